from __future__ import annotations

import json
import re
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.document import Span
from penwright.errors import DataError
from penwright.formats import decode
from penwright.formats.json_records import read_items

from .conftest import Read

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    items=st.lists(VALUE, max_size=4),
    indent=st.none() | st.integers(0, 2),
    wrap=st.booleans(),
    block=st.integers(1, 40),
)
def test_items_are_read_one_at_a_time(
    tmp_path_factory: pytest.TempPathFactory,
    items: list[object],
    indent: int | None,
    wrap: bool,
    block: int,
) -> None:
    path = tmp_path_factory.mktemp("f") / "t.json"
    value = {"version": "1", "data": items} if wrap else items
    path.write_text(json.dumps(value, indent=indent), encoding="utf-8")
    with mock.patch.object(decode, "BLOCK", max(block, 30) if wrap else block):
        assert list(read_items(str(path), None, print)) == items


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
