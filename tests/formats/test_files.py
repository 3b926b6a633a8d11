from __future__ import annotations

from pathlib import Path

import pytest

from penwright import formats
from penwright.config import DataConfig
from penwright.errors import DataError, UsageError

from .conftest import Read


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"text of {name}\n", encoding="utf-8")


def test_folders_are_read_in_order_and_without_hidden_files(tmp_path: Path, read: Read) -> None:
    make(tmp_path, "b.txt", "a/z.txt", "c.txt", ".git/x.txt", ".hidden.txt", "picture.bin")
    names = [d.source.path for d in read(tmp_path)]
    assert names == [str(tmp_path / n) for n in ("a/z.txt", "b.txt", "c.txt")]


def test_given_order_is_kept_and_nothing_is_read_twice(tmp_path: Path, read: Read) -> None:
    make(tmp_path, "b.txt", "a.txt")
    names = [d.source.path for d in read(tmp_path / "b.txt", tmp_path / "*.txt")]
    assert names == [str(tmp_path / "b.txt"), str(tmp_path / "a.txt")]


def test_a_folder_of_unknown_kinds_is_text(tmp_path: Path, read: Read) -> None:
    make(tmp_path, "README", "chapter.one")
    assert len(read(tmp_path)) == 2


def test_a_file_with_a_pattern_in_its_name(tmp_path: Path, read: Read) -> None:
    make(tmp_path, "a[1].txt")
    assert len(read(tmp_path / "a[1].txt")) == 1


def test_nothing_there(tmp_path: Path, read: Read) -> None:
    make(tmp_path, "stories.txt")
    with pytest.raises(DataError, match=r"Did you mean .stories.txt."):
        read(tmp_path / "storys.txt")
    with pytest.raises(DataError, match="Nothing matches"):
        read(tmp_path / "*.csv")
    (tmp_path / "sub").mkdir()
    with pytest.raises(DataError, match="no files in it"):
        read(tmp_path / "sub")
    with pytest.raises(UsageError, match="No data"):
        read()


def test_describe_says_what_read_does(tmp_path: Path) -> None:
    make(tmp_path, *(f"{i}.txt" for i in range(7)))
    plan = formats.describe([tmp_path], DataConfig())
    assert [choice["format"] for choice in plan.as_json()] == ["text"] * 7
    assert str(plan).endswith("... and 2 more files.")
    assert plan.prompt_format is None
