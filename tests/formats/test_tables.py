from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.errors import DataError
from penwright.formats import Document, Source, Span

from .conftest import Read

CELL = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\0"), max_size=100)
FILLED = CELL.filter(lambda text: bool(text.strip()))


@given(rows=st.lists(st.tuples(CELL, FILLED), min_size=1), delimiter=st.sampled_from(",;\t"))
def test_csv_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str
) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(
        [("category", "text"), *rows]
    )
    path = tmp_path_factory.mktemp("f") / "t.csv"
    path.write_bytes(out.getvalue().encode("utf-8-sig"))
    found = list(formats.read([path], DataConfig(encoding="utf-8"), print))
    assert [(d.fields["category"], d.text) for d in found] == rows


@given(rows=st.lists(st.tuples(CELL, FILLED), min_size=1))
def test_jsonl_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("f") / "t.jsonl"
    lines = [json.dumps({"prompt": a, "completion": b, "score": 7}) for a, b in rows]
    path.write_text("\n\n".join(lines), encoding="utf-8")
    found = list(formats.read([path], DataConfig(separator=""), print))
    assert [d.text for d in found] == [a + b for a, b in rows]
    assert all(d.fields["score"] == "7" for d in found)
    for document, (prompt, completion) in zip(found, rows, strict=True):
        moved = prompt.endswith(" ") and not completion[0].isspace()
        assert document.learned == " " * moved + completion


def test_the_completion_lesson(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text('{"prompt": "Harry Potter is a series of", "completion": "seven novels"}\n')
    assert read(path) == [
        Document(
            (Span("Harry Potter is a series of", False), Span(" seven novels", True)),
            Source(str(path), 1),
            {"prompt": "Harry Potter is a series of", "completion": "seven novels"},
        )
    ]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("subreddit,title\ncats,Look at her\n", True),
        ("What would you do?\nHow are you today?\n", False),
        ("Title\nfoo\n", True),
        ("joke\nA man walks into a bar, and the barman says: no.\n".replace(",", ""), True),
        ("Hello\nWorld\n", False),
        ("a,b\nc,d\n", False),
        ("1,first text here\n2,second text here\n", False),
    ],
)
def test_a_header_is_seen(tmp_path: Path, text: str, header: bool) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    options = DataConfig(text_column=None if "a,b" not in text else "2")
    (choice,) = formats.describe([path], options).choices
    assert choice.header is header
    for forced in (True, False):
        column = None if len(choice.columns) == 1 else (choice.columns[-1] if forced else "2")
        if forced and not header and column is not None:
            column = text.split("\n", 1)[0].split(",")[-1]
        plan = formats.describe([path], DataConfig(header=forced, text_column=column))
        assert plan.choices[0].header is forced


def test_rows_keep_their_line_numbers(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.csv"
    path.write_text('id,text\n1,"two\nlines"\n\n2,next\n')
    assert [(d.text, d.source.line) for d in read(path)] == [("two\nlines", 2), ("next", 5)]


def test_rows_without_text_are_left_out_and_counted(
    tmp_path: Path, read: Read, warnings: list[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,text\n1,one\n2,\n3, \n4,four\n")
    assert [d.text for d in read(path)] == ["one", "four"]
    assert warnings == [f"{path}:3: 2 rows without text were left out, starting here."]


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("t.csv", "id,text\n1,a\n2\n", "t.csv:3: this row has 1 column, but the first row has 2"),
        ("t.csv", "id,text\n1,a, b\n", "t.csv:2: this row has 3 columns"),
        ("t.csv", 'id,text\n1,"a\n2,b\n', "t.csv:2: a quote that opens in this row is never"),
        ("t.csv", "text,text\na,b\n", "two columns have the name 'text'"),
        ("t.csv", "\n\n", "t.csv is empty"),
        ("t.csv", "text\n", "t.csv has no text to learn from"),
        ("t.csv", "prompt,story\na,b\nc,\n", "t.csv:3: 'story' is empty"),
        ("t.jsonl", '{"text": "a"}\n{"text": \n', "t.jsonl:2: this line is not valid JSON"),
        ("t.jsonl", '{"text": "a"}\n[1]\n', "t.jsonl:2: a record must be an object"),
        ("t.jsonl", '{"text": "a"}\n{"x": "a"}\n', "t.jsonl:2: there is no 'text'"),
        ("t.jsonl", '{"text": "\\ud800"}\n', "t.jsonl:1: 'text' holds half of a character"),
        ("t.jsonl", '{"prompt": "a", "completion": ""}\n', "t.jsonl:1: 'completion' is empty"),
        ("t.jsonl", "\n", "t.jsonl has no records"),
        ("t.jsonl", "[" * 100000, "t.jsonl:1: this line"),
    ],
)
def test_bad_tables(tmp_path: Path, read: Read, name: str, text: str, error: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(error)) as caught:
        read(path)
    assert caught.value.message.count(". ") == 0


def test_prompts_without_text_may_be_skipped(
    tmp_path: Path, read: Read, warnings: list[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("prompt,story\na,b\nc,\n")
    assert [d.text for d in read(path, skip_empty=True)] == ["a b"]
    assert warnings == [f"{path}:3: 1 row without text was left out."]


def test_jsonl_is_known_by_its_look(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text('{"text": "a"}\n')
    assert formats.detect(path) == "jsonl"
    path.write_text("{curly} text\n")
    assert formats.detect(path) == "text"
