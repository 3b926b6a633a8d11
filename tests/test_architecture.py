"""The map in docs/architecture.md shows the code as it is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def rows(heading: str) -> list[str]:
    """The first cell of each row in the table of a chapter."""
    chapter = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| (?!---)(.*?) \|", chapter, re.M)[1:]


def test_packages_are_those_of_the_import_layers():
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (layers,) = [c["layers"] for c in linter["contracts"] if c["type"] == "layers"]
    assert [f"`{name}`" for layer in layers for name in layer.split(" | ")] == rows("Packages")


def test_every_file_that_is_named_exists():
    named = set(re.findall(r"`([\w/]+\.py)`", PAGE))
    assert len(named) > 30
    assert [name for name in named if not (ROOT / "src" / "penwright" / name).is_file()] == []


def test_every_table_that_is_named_exists():
    named = re.findall(r"`([A-Z]\w+)` in `([\w/]+\.py)`", PAGE)
    assert len(named) > 4
    for name, file in named:
        text = (ROOT / "src" / "penwright" / file).read_text("utf-8")
        assert re.search(rf"^(class )?{name}\b", text, re.M), (name, file)


def test_a_word_has_one_meaning():
    words = rows("Words")
    assert len(words) == len(set(words)) > 20
