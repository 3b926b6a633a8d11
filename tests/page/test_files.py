"""The files of the page: unchanged libraries, their licences, sizes, nothing from elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import penwright.serve

PAGE = Path(penwright.serve.__file__).parent / "page"
VENDOR = PAGE / "vendor"
OURS = sorted(p for p in PAGE.rglob("*") if p.is_file() and VENDOR not in p.parents)
LOADED = [*OURS, *VENDOR.glob("*.js"), *VENDOR.glob("*.woff2")]


def size(paths) -> int:
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in paths)


def test_vendored_files_are_those_that_were_built():
    sums = dict(reversed(line.split()) for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    files = {path.name: path for path in VENDOR.iterdir() if path.name != "SHA256SUMS"}
    assert sums == {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()
    }


def test_every_vendored_package_has_its_licence():
    text = (VENDOR / "LICENSES.txt").read_text("utf-8")
    script = (Path(__file__).parents[2] / "tools" / "vendor-page.sh").read_text()
    wanted = re.findall(r"(@?[a-z/0-9-]+)@([0-9.]+)", script)
    assert len(wanted) > 6
    for package, version in wanted:
        assert package == "esbuild" or f"{package} {version} (" in text
    assert text.count("=" * 40) >= len(wanted) - 1


def test_the_page_is_small():
    assert size(OURS) < 60 * 1024
    assert size(LOADED) < 250 * 1024


def test_the_page_names_no_other_site_and_no_inline_code():
    for path in OURS:
        text = path.read_text("utf-8")
        found = set(re.findall(r"https?://[\w.]+", text)) - {"http://www.w3.org"}
        assert not found, path
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", text), path
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=", text), path


def test_all_files_that_the_page_imports_are_there():
    for path in OURS:
        text = path.read_text("utf-8")
        for name in re.findall(r"(?:from |import\()\"(\.[^\"]+)\"", text):
            assert (path.parent / name).is_file(), f"{path.name}: {name}"
        for name in re.findall(r"[\"(]/page/([^\")]+)\"", text):
            assert (PAGE / name).is_file(), f"{path.name}: {name}"
