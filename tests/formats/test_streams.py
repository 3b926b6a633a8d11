from __future__ import annotations

import re
from pathlib import Path

import pytest

from penwright.errors import DataError
from penwright.formats.catalog import SUFFIXES
from penwright.formats.streams import REFUSALS

from .conftest import Read


def test_no_suffix_is_both_read_and_refused() -> None:
    refused = [suffix for kind in REFUSALS for suffix in kind.suffixes]
    assert len(set(refused)) == len(refused)
    assert not SUFFIXES & set(refused)


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.name)
def test_each_kind_is_named_with_a_fix(tmp_path: Path, read: Read, kind: object) -> None:
    name, fix, suffixes, magic = kind  # type: ignore[misc]
    cases = [(f"FILE{suffix.upper()}", b"any") for suffix in suffixes]
    cases += [("novel.txt", start + b" and more") for start in magic]
    for file, content in cases:
        (tmp_path / file).write_bytes(content)
        with pytest.raises(DataError, match=re.escape(name)) as caught:
            read(tmp_path / file)
        assert file in caught.value.message
        assert caught.value.fix == fix


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("Hello, world.\n".encode("utf-16-le"), "Say --encoding utf-16-le"),
        ("Hello, world.\n".encode("utf-16-be"), "Say --encoding utf-16-be"),
        (b"Hello\0, world", r"not text: byte 5 is NUL. If it is text after all"),
        (b"Hello.\n" * 20_000 + b"\0", r"t.txt:20001: there is a NUL byte.*--clean control"),
    ],
)
def test_nul_bytes(tmp_path: Path, read: Read, content: bytes, error: str) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=error):
        read(path)


def test_what_the_fixes_say_works(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes("Hello.".encode("utf-16-le"))
    assert [d.text for d in read(path, encoding="utf-16-le")] == ["Hello."]
    path.write_bytes(b"Hel\0lo.")
    assert [d.text for d in read(path, encoding="utf-8", clean=("control",))] == ["Hello."]
