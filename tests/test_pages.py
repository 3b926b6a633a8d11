"""The pages of the documentation: their links, their spelling, and what is made by a script."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "bench/README.md",
]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|src=\"([^\"]+)\"")


def load_maker():
    """The script tools/make_pages.py as a module."""
    spec = spec_from_file_location("make_pages", ROOT / "tools" / "make_pages.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prose(page: Path) -> str:
    """A page without its blocks and inline code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for match in LINK.finditer(prose(page)):
        target = match[1] or match[2]
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target
        if page.parent == ROOT / "docs":
            assert ".." not in path, f"{target} would leave the site"


def test_every_page_is_linked_from_the_index():
    linked = set(re.findall(r"\]\(([\w-]+\.md)", (ROOT / "docs" / "index.md").read_text("utf-8")))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - linked == {"index.md"}


def test_what_a_script_makes_is_up_to_date():
    for path, make in load_maker().PAGES.items():
        assert path.read_text("utf-8") == make(), f"{path.name}: run `python tools/make_pages.py`"


def test_a_stale_page_is_found():
    maker = load_maker()
    assert maker.make_reference() != maker.make_reference().replace("`0.95`", "`0.9`")


def test_the_site_is_built_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=quiet
    )
    assert built.returncode == 0, built.stderr
    for page in PAGES:
        if page.parent == ROOT / "docs":
            html = (tmp_path / page.with_suffix(".html").name).read_text("utf-8")
            assert (
                re.findall(r"<(?:script|img)[^>]* src=\"https?:|<link[^>]* href=\"https?:", html)
                == []
            )


def test_spelling(tmp_path):
    pytest.importorskip("codespell_lib")
    texts = tmp_path / "docstrings.txt"
    texts.write_text("\n".join(docstrings()), encoding="utf-8")
    command = [sys.executable, "-m", "codespell_lib", *map(str, PAGES), str(texts)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert found.stdout == ""


def docstrings() -> list[str]:
    """Every docstring and every text below an option, of the package."""
    return [
        f"{file.name}: {node.value.value}"
        for file in sorted((ROOT / "src").rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]


def test_spelling_finds_a_mistake(tmp_path):
    pytest.importorskip("codespell_lib")
    (tmp_path / "page.md").write_text("This is definately wrong.")  # codespell:ignore
    command = [sys.executable, "-m", "codespell_lib", str(tmp_path / "page.md")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "definitely" in found.stdout
