from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.document import Document, Source, Span
from penwright.errors import DataError, UsageError
from penwright.formats.delimited import RowReader
from penwright.formats.tables import look_at_csv

from .conftest import Read

CELL = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\0"), max_size=100)
FILLED = CELL.filter(lambda text: bool(text.strip()))


# Cells of the characters that CSV gives a meaning to.
TRICKY = st.text(st.sampled_from('",;\t|\\\n ab1'), max_size=12)
TRICKY_FILLED = TRICKY.filter(lambda text: bool(text.strip()))


def written(rows: Sequence[Sequence[str]], **options: Any) -> str:
    """The rows as Python's csv module writes them."""
    out = io.StringIO()
    csv.writer(out, **{"lineterminator": "\n"} | options).writerows(rows)
    return out.getvalue()


@given(
    rows=st.lists(st.tuples(CELL | TRICKY, FILLED | TRICKY_FILLED), min_size=1),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    sep=st.booleans(),
)
@example([("\\", " ;0")], ";", csv.QUOTE_MINIMAL, "\n", "utf-8", False)
def test_csv_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    delimiter: str,
    quoting: int,
    end: str,
    encoding: str,
    sep: bool,
) -> None:
    text = written([("category", "text"), *rows], delimiter=delimiter, quoting=quoting)
    text = f"sep={delimiter}\n" * sep + text
    path = tmp_path_factory.mktemp("f") / "t.csv"
    path.write_bytes(text.replace("\n", end).encode(encoding))
    given = encoding if encoding == "utf-8" else None  # a NUL in a cell must not look binary
    found = list(formats.read([path], DataConfig(encoding=given, text_column="text"), print))
    missing = ("\\N", "NULL", "NA", "NaN")
    assert [(d.fields["category"], d.text) for d in found] == [
        ("" if quoting == csv.QUOTE_MINIMAL and a in missing else a, b)
        for a, b in rows
        if quoting != csv.QUOTE_MINIMAL or b not in missing
    ]


@given(
    rows=st.lists(st.tuples(TRICKY, TRICKY_FILLED), min_size=1),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_NONE]),
)
def test_quotes_after_a_backslash(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    delimiter: str,
    quoting: int,
) -> None:
    path = tmp_path_factory.mktemp("f") / "t.csv"
    names = [("category", "text")]
    form = {"quoting": quoting, "doublequote": False, "escapechar": "\\"}
    path.write_text(written([*names, *rows], delimiter=delimiter, **form))
    options = DataConfig(quotes="backslash", delimiter=delimiter, text_column="text")
    found = list(formats.read([path], options, print))
    assert [(d.fields["category"], d.text) for d in found] == rows


@given(rows=st.lists(st.tuples(TRICKY, TRICKY_FILLED), min_size=1))
def test_quotes_as_text(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    rows = [(a.translate({9: 32, 10: 32}), b.translate({9: 32, 10: 32})) for a, b in rows]
    path = tmp_path_factory.mktemp("f") / "t.tsv"
    path.write_text("".join(f"{a}\t{b}\n" for a, b in [("category", "text"), *rows]))
    found = list(formats.read([path], DataConfig(quotes="none", text_column="text"), print))
    assert [(d.fields["category"], d.text) for d in found] == rows


@given(text=st.text(st.sampled_from('",;|\\\n ab'), min_size=1), header=st.booleans())
def test_every_row_of_any_file_is_learned_or_reported(
    tmp_path_factory: pytest.TempPathFactory, text: str, header: bool
) -> None:
    """Whatever a file holds: rows in = documents + rows reported, and no word is made up."""
    path = tmp_path_factory.mktemp("f") / "t.csv"
    path.write_text("category,text\n" * header + text)
    data = DataConfig(skip_bad_rows=True, skip_empty=True)
    warned: list[str] = []
    try:
        (choice,) = formats.describe([path], data).choices
        found = list(formats.read([path], data, warned.append))
    except DataError as error:
        if not re.search("is empty|no text to learn|clearly the text|the same name", str(error)):
            raise
        return
    reported = sum(
        int(re.findall(r":\d+: (\d+) rows?\b", warning)[0])
        for warning in warned
        if "left out" in warning
    )
    dialect = look_at_csv(str(path), data).dialect
    rows = sum(1 for _ in RowReader(iter(path.read_text().split("\n")), dialect))
    assert len(found) + reported == rows - bool(choice.header)
    plain = re.sub(r'["\\]', "", path.read_text())
    assert all(re.sub(r'["\\]', "", document.text) in plain for document in found)


def table(*rows: str, header: str = "id,text") -> str:
    return "\n".join([header, *rows]) + "\n"


MANY = [f"{number},Row {number} has a text" for number in range(1, 61)]


@pytest.mark.parametrize(
    ("text", "texts", "warning"),
    [
        (table('1,"Hi" she said', "2,b"), ['"Hi" she said', "b"], "closes nowhere"),
        (table('1,"Hi, she said', "2,b", '3,"c"'), None, "t.csv:2: this row has 3 columns"),
        (table('1,"Hi', "2,b", '3,"c"'), ['"Hi', "b", "c"], "t.csv:2: 1 cell began with a quote"),
        (table('1,"He said "hi" to us"', "2,b"), ['He said "hi" to us', "b"], "not doubled"),
        (table('1,"Hi" is "hello"', "2,b"), ['"Hi" is "hello"', "b"], "closes nowhere"),
        (table('1,"\\"Hi\\", she said"', '2,"b"'), ['"Hi", she said', "b"], None),
        (
            table('1,"a\\\\b \\"c\\""', '2,"C:\\d\\"'),
            ['a\\b "c"', "C:\\d\\"],
            "before quotes",
        ),
        (table('1, "Hi, you" ', '2, "b"'), ["Hi, you", "b"], None),
        (table("1|Hi, you", "2|b, c", header="id|text"), ["Hi, you", "b, c"], None),
        (
            table("0|Hi, you", "1|b, c", "2|d, e"[:0], header="3|x, y"),
            ["x, y", "Hi, you", "b, c"],
            None,
        ),
        ("sep=;\nid;text\n1;Hi, you\n", ["Hi, you"], None),
        ('"sep=;"\nid;text\n1;Hi, you\n', ["Hi, you"], None),
        (
            "v1,v2,,,\nham,Hi there to you all,,,\nspam,b b b b,,,\n",
            ["Hi there to you all", "b b b b"],
            None,
        ),
        (table("1,a,,,", "2,b,"), ["a", "b"], None),
        ("text,id,x\na,1,2\nb\n", ["a", "b"], "t.csv:3: 1 row had fewer cells"),
        ("id,text\r1,a\r2,b\r", ["a", "b"], None),
        ("text\nHi, you\nb\n", ["Hi, you", "b"], None),
        (table("1,\\N", "2,NA", '3,"NA"', "4,b"), ["NA", "b"], "2 rows without text were left out"),
        (table('1,"a\n2,b\n3,c"', "4,d"), ["a\n2,b\n3,c", "d"], "look like rows of their own"),
        (table(*MANY[:9], '10,"Ten" is a number', *MANY[10:]), 60, "t.csv:11: 1 cell began"),
        ("Sales\n\nid,text\n1,a\n2,b\n3,c\n4,d\n5,e\n", None, "t.csv:3: this row has 2 columns"),
    ],
)
def test_malformed_and_unusual_tables(
    tmp_path: Path,
    read: Read,
    warnings: list[str],
    text: str,
    texts: list[str] | int | None,
    warning: str | None,
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    if texts is None:
        with pytest.raises(DataError, match=warning):
            read(path)
        return
    found = [document.text for document in read(path)]
    assert texts in (found, len(found))
    assert len(warnings) == (warning is not None)
    assert warning is None or warning in warnings[0]


def test_a_cell_of_any_size(tmp_path: Path, read: Read) -> None:
    limit = csv.field_size_limit()
    cell = 'A long, long "story".\n' * 50_000
    path = tmp_path / "t.csv"
    path.write_text(written([("id", "text"), ("1", cell), ("2", "end")]))
    assert [d.text for d in read(path)] == [cell, "end"]
    assert csv.field_size_limit() == limit


def test_bad_rows_may_be_skipped(tmp_path: Path, read: Read, warnings: list[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,text\n1,a\n2\n3,b, c\n4,d\n")
    assert [d.text for d in read(path, skip_bad_rows=True)] == ["a", "d"]
    assert len(warnings) == 1
    assert f"{path}:3: 2 rows, the first one here, did not have" in warnings[0]


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ("id;text\n1;a\n", {}, "cells end at a semicolon (--delimiter)"),
        ('id,text\n1,"\\"a\\" b"\n', {}, "quotes in a cell are written after a backslash"),
        (",text\n0,a\n", {}, "columns without a name are called 1"),
        ("id,text,n\n1,a,2\n", {}, "not used: id, n (choose with --text-column or --template)"),
        ("text\na, b\n", {}, "each line is one cell (--delimiter)"),
        ("a, b\n", {"delimiter": "none"}, "each line is one cell (--delimiter)"),
        ("id,text\n1,a\n", {"quotes": "none"}, "quotes in a cell are part of the text"),
    ],
)
def test_choices_are_told(tmp_path: Path, text: str, options: dict[str, Any], says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert says in str(formats.describe([path], DataConfig(**options)))


@pytest.mark.parametrize("delimiter", ["", "::", '"'])
def test_what_cannot_delimit(tmp_path: Path, read: Read, delimiter: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,text\n1,a\n")
    with pytest.raises(UsageError, match="cannot delimit cells"):
        read(path, delimiter=delimiter)


@given(rows=st.lists(st.tuples(CELL, FILLED), min_size=1))
def test_jsonl_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("f") / "t.jsonl"
    lines = [json.dumps({"prompt": a, "completion": b, "score": 7}) for a, b in rows]
    path.write_text("\n\n".join(lines), encoding="utf-8")
    options = DataConfig(separator="", prompt_column="prompt", completion_column="completion")
    found = list(formats.read([path], options, print))
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
        ("t.jsonl", "{}\n" + "[" * 100000, "t.jsonl:2: this line"),
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
