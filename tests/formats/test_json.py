from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.document import Span
from penwright.errors import DataError
from penwright.formats import decode, json_text, record_files
from penwright.formats.record_files import read_items

from .conftest import Read

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def spelled(value: object) -> object:
    """A value as it is read: a number with a fraction as it is spelled."""
    return json.loads(json.dumps(value), parse_float=str, parse_constant=constant)


@given(
    items=st.lists(VALUE.filter(lambda v: not isinstance(v, list)), min_size=1, max_size=4),
    indent=st.none() | st.integers(0, 2),
    layout=st.sampled_from(["list", "wrapped", "values", "lists"]),
    block=st.integers(1, 40),
)
def test_items_are_read_one_at_a_time(
    tmp_path_factory: pytest.TempPathFactory,
    items: list[object],
    indent: int | None,
    layout: str,
    block: int,
) -> None:
    def dump(value: object) -> str:
        return json.dumps(value, indent=indent)

    path = tmp_path_factory.mktemp("f") / "t.json"
    text = {
        "list": dump(items),
        "wrapped": dump({"version": "1", "data": items}),
        "values": "\n".join(map(dump, [{"a": 1}, *items])),
        "lists": dump(items) + dump([]) + "\n" + dump(items),
    }[layout]
    path.write_text(text, encoding="utf-8")
    expected = {"values": [{"a": 1}, *items], "lists": items + items}.get(layout, items)
    with mock.patch.object(decode, "BLOCK", block):
        assert list(read_items(str(path), None, print)) == spelled(expected)


CELL = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.none() | st.text(), max_size=3)
    | st.dictionaries(st.text(), st.text(), max_size=2)
    | VALUE
)


def texts_in(value: object) -> set[str]:
    """Every text that a value may be learned as: strings, numbers as spelled, joined lists."""
    if isinstance(value, dict):
        return {"", *(text for item in value.values() for text in texts_in(item))}
    if isinstance(value, list):
        inner = {text for item in value for text in texts_in(item)}
        strings = [item for item in value if item is not None]
        joined = all(isinstance(item, str) for item in strings)
        return {*inner, "\n".join(strings)} if joined else inner
    if value is None or isinstance(value, bool):
        return {"" if value is None else str(value).lower()}
    return {str(value)}


@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["text", "a", "b", "c"]), CELL), max_size=5)
    | st.lists(st.fixed_dictionaries({"text": CELL, "id": CELL}), min_size=1, max_size=5)
    | st.lists(VALUE, max_size=4),
    name=st.sampled_from(["t.json", "t.jsonl"]),
    orient=st.sampled_from(["rows", "values", "columns", "index", "split", "lists", "wrapped"]),
)
def test_learned_text_is_in_the_file_and_rows_are_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], name: str, orient: str
) -> None:
    """Whatever JSON holds: it is refused, or its rows are documents or said to be left out."""
    columns = list(dict.fromkeys(c for row in rows if isinstance(row, dict) for c in row))
    table = all(isinstance(row, dict) and len(row) == len(columns) for row in rows)
    if name == "t.jsonl" or not table:
        orient = "values" if name == "t.jsonl" else "rows"
    by_column = {c: [row[c] for row in rows] for c in columns} if orient == "lists" else {}
    value = {
        "columns": lambda: {c: {str(i): r[c] for i, r in enumerate(rows)} for c in columns},
        "index": lambda: {str(i): row for i, row in enumerate(rows)},
        "split": lambda: {"columns": columns, "data": [[r[c] for c in columns] for r in rows]},
        "lists": lambda: by_column,
        "wrapped": lambda: {"version": 1, "records": rows},
    }.get(orient, lambda: rows)()
    path = tmp_path_factory.mktemp("f") / name
    lines = [json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) if orient == "values" else json.dumps(value))
    known = texts_in(json.loads(json.dumps(value), parse_float=str, parse_constant=constant))
    warned: list[str] = []
    try:
        documents = list(formats.read([path], DataConfig(text_column="text"), warned.append))
    except DataError:
        return
    assert {document.learned for document in documents} <= known
    skipped = sum(int(n.replace(",", "")) for w in warned for n in re.findall(r": ([\d,]+) row", w))
    assert len(documents) + skipped == len(rows)


def constant(name: str) -> str | None:
    return None if name == "NaN" else name


def test_golden(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.json"
    path.write_text('[{"title": "One", "id": 1},\n {"title": "Two", "id": null}]\n')
    found = read(path)
    assert [(d.text, d.fields["id"]) for d in found] == [("One", "1"), ("Two", "")]
    path.write_text('{"text": "only one"}')
    assert [d.text for d in read(path)] == ["only one"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[{"text": "a"},\n{"text": }]', "t.json:2: this is not valid JSON: Expecting value"),
        ('[{"text": "a"}\n{"text": "b"}]', "t.json:2: this is not valid JSON: there is no comma"),
        ('[{"text": "a"},\n', "t.json:2: this is not valid JSON"),
        ('[{"text": "a', "t.json:1: this is not valid JSON: Unterminated string"),
        ("[]", "t.json has no records"),
        ("[1]", "t.json: record 1: a record must be an object"),
        ("[" * 100000, "t.json:1: this is not valid JSON: it is nested too deeply"),
    ],
)
def test_bad_json(tmp_path: Path, read: Read, text: str, error: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(DataError, match=re.escape(error)):
        read(path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"text": "a"}\n{"text": "b"}\n', ["a", "b"]),
        ('{"text": "a",\n "data": [{"text": "x"}]}\n{"text": "b"}', ["a", "b"]),
        ('{"text": "a"}{"text": "b"} [{"text": "c"}]', ["a", "b", "c"]),
        ('[{"text": "a"}]\n[]\n[{"text": "b"}, {"text": "c"}]', ["a", "b", "c"]),
        ('{"author": "me", "poems": [{"text": "a"}, {"text": "b"}]}', ["a", "b"]),
        ('{"text": {"0": "a", "1": "b"}, "n": {"0": 1, "1": null}}', ["a", "b"]),
        ('{"0": {"text": "a", "n": 1}, "1": {"text": "b", "n": 2}}', ["a", "b"]),
        ('{"first": {"text": "a"}, "second": {"text": "b", "n": 2}}', ["a", "b"]),
        ('{"columns": ["text"], "index": [0, 1], "data": [["a"], ["b"]]}', ["a", "b"]),
        ('{"schema": {"fields": []}, "data": [{"index": 0, "text": "a"}]}', ["a"]),
        ('{"text": ["a", "b"], "label": [0, 1]}', ["a", "b"]),
        ('[{"text": ["a", null, "b"]}, {"text": 1.50}, {"text": true}]', ["a\nb", "1.50", "true"]),
        ('[{"text": "a"}, {"text": NaN}, {"text": null}, {"text": []}]', ["a"]),
        ('[{"text": "a", "meta": {"x": [1]}}]', ["a"]),
    ],
)
def test_records_are_found_wherever_they_are(
    tmp_path: Path, read: Read, text: str, found: list[str]
) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    assert [document.text for document in read(path)] == found


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[{"text": "a"}] x', "t.json:1: this is not valid JSON"),
        ('{"data": [{"text": "a"}]}\n]', "t.json:2: this is not valid JSON"),
        ('[{"text": "a", "text": "b"}]', "an object has the name 'text' twice"),
        ('{"text": "a", "text": "b"}', "an object has the name 'text' twice"),
        ('[["a", 1]]', "record 1: a record must be an object such as"),
        ('[{"text": {"a": 1}}]', "record 1: 'text' holds an object, which is not text"),
        ('[{"text": "a"}, {"text": [1]}]', "record 2: 'text' holds a list of something other"),
        ('{"train": [{"text": "a"}], "test": [{"text": "b"}]}', "several lists of records: train"),
        ('{"x": {"a": "1"}, "y": {"a": "2"}}', "it is not clear whether its outer names"),
        ('{"text": ["a", "b"], "n": [1]}', "lists of different lengths: text 2, n 1"),
        ('{"columns": ["text"], "data": [["a", 1]]}', "row 1 of 'data' is not a list of 1 values"),
        ("{}", "t.json has no columns"),
        ('[{"text": ' + "1" * 5000 + "}]", "t.json:1: this is not valid JSON"),
    ],
)
def test_json_that_could_be_read_wrongly_is_refused(
    tmp_path: Path, read: Read, text: str, error: str
) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(DataError, match=re.escape(error)):
        read(path)


def test_a_long_list_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for where, name, value in [(decode, "BLOCK", 64), (record_files, "HELD", 500)]:
        monkeypatch.setattr(where, name, value)
    monkeypatch.setattr(json_text, "LONGEST_VALUE", 2000)
    path = tmp_path / "t.json"
    poems = json.dumps({"a": 1, "poems": [{"text": "line " * 50}] * 500, "b": 2})
    path.write_text(poems)
    assert sum(1 for _ in read_items(str(path), None, print)) == 500
    path.write_text(poems + '{"text": "one more"}')
    with pytest.raises(DataError, match="something follows the object that holds the records"):
        list(read_items(str(path), None, print))
    path.write_text(json.dumps({"text": {str(i): "line " * 50 for i in range(500)}}))
    with pytest.raises(DataError, match="a value of more than 2,000 characters"):
        list(read_items(str(path), None, print))


def test_pretty_printed_records_may_be_called_jsonl(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{\n "text": "a"\n}\n{\n "text": "b"\n}\n')
    assert [document.text for document in read(path)] == ["a", "b"]


SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Ann",
            "paragraphs": [
                {
                    "context": "Ann has a cat.",
                    "qas": [
                        {"id": "1", "question": "Who?", "answers": [{"text": "Ann"}]},
                        {
                            "id": "2",
                            "question": "What?",
                            "answers": [{"text": "a cat"}, {"text": "x"}],
                        },
                    ],
                }
            ],
        }
    ],
}


def test_squad(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(SQUAD))
    first, second = read(path)
    assert first.spans == (Span("Ann has a cat.\nQ: Who?\nA:", False), Span(" Ann", True))
    assert (second.learned, second.fields["id"]) == (" a cat", "2")
    path.write_text(
        '[{"context": "Ann has a cat.", "question": "Who?", "answers": {"text": ["Ann", "x"]}}]'
    )
    assert [document.spans for document in read(path)] == [first.spans]
    path.write_text('[{"paragraphs": [{"qas": [{"question": "Who?"}]}]}]')
    with pytest.raises(DataError, match=r"record 1 is not in SQuAD's schema \('context'\)"):
        read(path)


def test_malformed_json_is_seen_before_the_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('[{"a": x}, ' + '"long" ' * 1000)
    with mock.patch.object(decode, "BLOCK", 100), pytest.raises(DataError, match=r"t.json:1"):
        next(read_items(str(path), None, print))


COQA = {
    "version": "1.0",
    "data": [
        {
            "source": "wikipedia",
            "id": "x1",
            "story": "Ann has a cat.",
            "questions": [
                {"input_text": "Who has a cat?", "turn_id": 1},
                {"input_text": "Is it a dog?", "turn_id": 2},
            ],
            "answers": [
                {"input_text": "no", "turn_id": 2, "span_text": "a cat"},
                {"input_text": "Ann", "turn_id": 1, "span_text": "Ann"},
            ],
        }
    ],
}


def write_coqa(path: Path, value: object = COQA) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_coqa_golden(tmp_path: Path, read: Read) -> None:
    (document,) = read(write_coqa(tmp_path / "coqa.json"))
    assert document.spans == (
        Span("Ann has a cat.\nQ: Who has a cat?\nA:", False),
        Span(" Ann", True),
        Span("\nQ: Is it a dog?\nA:", False),
        Span(" no", True),
    )
    assert document.fields == {"source": "wikipedia", "id": "x1"}
    (everything,) = read(tmp_path / "coqa.json", learn=("all",))
    assert everything.spans == (Span(document.text, True),)


def test_coqa_turns_while_they_fit(tmp_path: Path, read: Read) -> None:
    path = write_coqa(tmp_path / "coqa.json")
    (document,) = read(path, max_words=11)
    assert document.text == "Ann has a cat.\nQ: Who has a cat?\nA: Ann"
    with pytest.raises(DataError, match="story 1 leaves no room for a turn within 5 words"):
        read(path, max_words=5)


@given(
    turns=st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1), data=st.data()
)
def test_coqa_keeps_every_turn_in_order(
    tmp_path_factory: pytest.TempPathFactory, turns: list[tuple[str, str]], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(turns))))
    story = {
        "story": "s",
        "questions": [{"input_text": turns[i][0], "turn_id": i} for i in range(len(turns))],
        "answers": [{"input_text": turns[i][1], "turn_id": i} for i in order],
    }
    path = write_coqa(tmp_path_factory.mktemp("f") / "c.json", {"data": [story]})
    (document,) = formats.read([path], DataConfig(), print)
    assert document.text == "s" + "".join(f"\nQ: {q.strip()}\nA: {a.strip()}" for q, a in turns)
    assert document.learned == "".join(f" {a.strip()}" for _, a in turns)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"answers": []}, "story 1 has 2 questions, but 0 answers"),
        ({"questions": [], "answers": []}, "story 1 has no questions"),
        ({"questions": [{"input_text": "x"}]}, "story 1 is not in CoQA's schema ('turn_id'"),
    ],
)
def test_bad_coqa(tmp_path: Path, read: Read, change: dict[str, object], error: str) -> None:
    path = write_coqa(tmp_path / "coqa.json", {"data": [COQA["data"][0] | change]})  # type: ignore[index]
    with pytest.raises(DataError, match=re.escape(error)):
        read(path, format="coqa")


def test_an_archive_of_tweets(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "tweets.js"
    tweets = [
        {"tweet": {"id_str": str(n), "full_text": f"It rains again, day {n}."}} for n in (1, 2)
    ]
    path.write_text("window.YTD.tweets.part0 = " + json.dumps(tweets, indent=2))
    assert [d.text for d in read(path)] == ["It rains again, day 1.", "It rains again, day 2."]
