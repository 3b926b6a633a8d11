from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.document import Span
from penwright.errors import DataError

from .conftest import Read


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    (tmp_path / "s.wp_source").write_text("[ WP ] One\n[ WP ] Two\n")
    (tmp_path / "s.wp_target").write_text("A b . <newline> <newline> C d\nfoo\n")
    return tmp_path / "s"


def test_golden(pair: Path, read: Read) -> None:
    first, second = read(pair)
    assert first.spans == (Span("[ WP ] One <sep>", False), Span(" A b . \n \n C d", True))
    assert second.spans == (Span("[ WP ] Two <sep>", False), Span(" foo", True))
    assert second.source.line == 2
    plan = formats.describe([pair], DataConfig())
    assert plan.prompt_format == "{prompt} <sep>"


@pytest.mark.parametrize("name", ["s", "s.wp_source", "s.wp_target", "", "s.*"])
def test_every_way_to_name_a_pair(pair: Path, read: Read, name: str) -> None:
    assert len(read(pair.parent / name)) == 2


def test_words_and_separator(pair: Path, read: Read) -> None:
    assert read(pair, max_words=4, separator="\\n")[0].spans == (
        Span("[ WP ] One\n", False),
        Span("A b . \n", True),
    )


@given(
    rows=st.lists(
        st.tuples(
            *[st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1)] * 2
        ).filter(lambda row: bool(row[1].strip())),
        min_size=1,
    )
)
def test_lines_stay_together(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("f")
    for i, suffix in enumerate((".wp_source", ".wp_target")):
        text = "".join(row[i] + "\n" for row in rows)
        (folder / f"x{suffix}").write_text(text, encoding="utf-8", newline="")
    found = formats.read([folder], DataConfig(encoding="utf-8"), print)
    assert [d.text for d in found] == [f"{a} <sep> {b}".replace("<newline>", "\n") for a, b in rows]


def test_bad_pairs(pair: Path, read: Read) -> None:
    with (pair.parent / "s.wp_target").open("a") as stream:
        stream.write("one more\n")
    with pytest.raises(DataError, match=r"s.wp_source has 2 lines, but .*s.wp_target has 3"):
        read(pair)
    (pair.parent / "s.wp_target").unlink()
    with pytest.raises(DataError, match=r"needs the other half of the pair, s.wp_target"):
        read(pair)
