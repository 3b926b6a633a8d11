"""Files of prompts: every kind of file, and rows that cannot be read."""

from __future__ import annotations

import gzip

import pytest

from penwright.errors import DataError
from penwright.formats.prompts import open_prompts


def rows_of(path, column=None):
    with open_prompts(str(path), column, print) as file:
        return [(row.line, row.problem or row.prompt) for row in file.rows(print)]


@pytest.fixture
def write(tmp_path):
    def make(name, content):
        (tmp_path / name).write_text(content, encoding="utf-8")
        return tmp_path / name

    return make


def test_lines_of_text_are_counted_with_the_empty_ones(write):
    assert rows_of(write("p.txt", "The sea\n\n A hat\r\n")) == [(1, "The sea"), (3, " A hat")]


def test_a_table_by_the_name_of_its_column(write):
    path = write("p.csv", 'id,prompt\n1,"The, sea\nand"\n2,\n')
    assert rows_of(path) == [(2, "The, sea\nand"), (4, "")]
    assert rows_of(path, "id") == [(2, "1"), (4, "2")]
    assert rows_of(write("p.tsv", "title\tinstruction\na\tGo\n")) == [(2, "Go")]


def test_json_lines_and_their_broken_rows(write):
    path = write(
        "p.jsonl",
        '{"id": 1, "prompt": "The sea"}\n{"prompt": \n\n{"id": 2}\n{"prompt": {"a": 1}}\n'
        '"A hat"\n[1]\n{"prompt": null}\n{"prompt": ""}\n',
    )
    found = dict(rows_of(path))
    assert {line: text for line, text in found.items() if line in (1, 6, 9)} == {
        1: "The sea", 6: "A hat", 9: "",
    }  # fmt: skip
    assert list(found) == [1, 2, 4, 5, 6, 7, 8, 9]
    for line in (2, 4, 5, 7, 8):
        assert found[line].startswith(f"{path}:{line}: ")


def test_a_row_with_too_many_cells_is_broken(write):
    path = write("p.csv", "id,prompt\n1,The sea\n2,A hat, and a coat\n3,A boot\n")
    assert rows_of(path) == [
        (2, "The sea"), (3, f"{path}:3: this row has 3 cells, not 2."), (4, "A boot"),
    ]  # fmt: skip


def test_other_records_and_compressed_files(write, tmp_path):
    path = write("p.json", '[{"prompt": "The sea", "n": 1}, {"prompt": "A hat", "n": 2}]')
    assert rows_of(path) == [(1, "The sea"), (2, "A hat")]
    with gzip.open(tmp_path / "p.jsonl.gz", "wt") as file:
        file.write('{"prompt": "The sea"}\n')
    assert rows_of(tmp_path / "p.jsonl.gz") == [(1, "The sea")]


def test_a_column_that_is_not_there(write):
    path = write("p.csv", "id,words\n1,The sea\n2,A hat\n")
    with pytest.raises(DataError, match=r"no column is called prompt\. It has id, words"):
        rows_of(path)
    with pytest.raises(DataError, match=r"there is no column 'wrds'.*Did you mean 'words'"):
        rows_of(path, "wrds")
    with pytest.raises(DataError, match="read as lines of text"):
        rows_of(write("p.txt", "The sea\n"), "words")
