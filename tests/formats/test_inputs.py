from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.errors import DataError, UsageError
from penwright.formats.catalog import find_inputs

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


def test_files_of_other_types_are_reported(tmp_path: Path, read: Read, warnings: list[str]) -> None:
    make(tmp_path, "README.md", *(f"src/{i}.py" for i in range(20)), "Makefile")
    assert len(read(tmp_path)) == 1
    assert warnings == [
        f"{tmp_path}: 21 of 22 files are not read: 20 .py, 1 Makefile. Choose files by name, such "
        'as --files "*.py".'
    ]


def test_labels_of_generated_text_are_not_read(
    tmp_path: Path, read: Read, warnings: list[str]
) -> None:
    make(tmp_path, "a.txt", "b.txt")
    (tmp_path / "a.txt.json").write_text('{"machine_written": true, "model": "base"}')
    (tmp_path / "c.json").write_text('[{"machine_written": true, "text": "a goose"}]')
    assert [d.source.path for d in read(tmp_path)] == [
        str(tmp_path / name) for name in ("a.txt", "b.txt", "c.json")
    ]
    (said,) = (text for text in warnings if "not read" in text)
    assert "1 of 4 files are not read: 1 label of generated text." in said


@pytest.mark.parametrize(
    ("patterns", "count"), [(("*.py",), 3), (("src/*",), 2), (("*.py", "*.md"), 4), (("*",), 5)]
)
def test_files_by_name(tmp_path: Path, read: Read, patterns: tuple[str, ...], count: int) -> None:
    make(tmp_path, "README.md", "src/a.py", "src/b.py", "c.py", "d.txt", ".git/e.py")
    assert len(read(tmp_path, files=patterns)) == count
    (path,) = tmp_path.glob("d.txt")
    assert len(read(path, files=patterns)) == 1  # a file that is named is read


def test_no_file_of_that_name(tmp_path: Path, read: Read) -> None:
    make(tmp_path, "a.txt")
    with pytest.raises(DataError, match=r"1 of 1 files are not read: 1 .txt"):
        read(tmp_path, files=("*.py",))


def test_a_folder_of_code_and_pictures(tmp_path: Path, read: Read, warnings: list[str]) -> None:
    make(tmp_path, "a.py", "b.py")
    (tmp_path / "c.png").write_bytes(b"\x89PNG\0\0")
    assert len(read(tmp_path)) == 2
    assert "1 of 3 files are not read: 1 .png" in warnings[0]


@given(
    names=st.sets(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["", ".md", ".py", ".TXT", ".x"])),
        min_size=1,
    ),
    patterns=st.sampled_from([(), ("*.py",), ("a*",), ("*",)]),
)
def test_files_found_are_read_or_reported(
    tmp_path_factory: pytest.TempPathFactory,
    names: set[tuple[str, str]],
    patterns: tuple[str, ...],
) -> None:
    folder = tmp_path_factory.mktemp("f")
    make(folder, *(stem + suffix for stem, suffix in names))
    warned: list[str] = []
    try:
        count = len(find_inputs([folder], patterns, warned.append))
    except DataError as error:
        count, warned = 0, [error.message]
    reported = sum(int(re.findall(r"(\d+) of \d+ files", text)[0]) for text in warned)
    assert count + reported == len(names)


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
