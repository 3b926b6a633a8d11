"""Limits in tokens; here a token is a word, and two stand around each document."""

from __future__ import annotations

import json

import pytest

from penwright import formats
from penwright.config import DataConfig
from penwright.errors import DataError


def size(text):
    return len(text.split())


def read(path, told, **options):
    return list(formats.read([path], DataConfig(**options), told.append, size=size))


@pytest.fixture
def told():
    return []


def test_longer_documents_are_left_out_and_counted(tmp_path, told):
    path = tmp_path / "a.txt"
    path.write_text("one two three\none two three four\na b\none two three four five\n")
    found = read(path, told, documents="line", max_tokens=5)
    assert [document.text for document in found] == ["one two three", "a b"]
    assert told == [f"{path}:2: 2 documents of more than 5 tokens were left out, this one first."]


def test_a_document_in_pieces_is_left_out_whole(tmp_path, told, monkeypatch):
    monkeypatch.setattr("penwright.formats.plain.PIECE", 20)
    path = tmp_path / "a.txt"
    path.write_text("word " * 30 + "<|endoftext|>short one")
    assert [d.text for d in read(path, told, max_tokens=6)] == ["short one"]


def coqa(tmp_path, story, turns):
    item = {
        "story": story,
        "questions": [{"turn_id": n, "input_text": f"Q{n}?"} for n in range(turns)],
        "answers": [{"turn_id": n, "input_text": f"yes {n}"} for n in range(turns)],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": [item, {**item, "story": "long " * 50}]}))
    return path


def test_turns_of_a_dialogue_are_kept_while_they_fit(tmp_path, told):
    # A turn is "Q: Q0? A: yes 0": five words; the story three, and two tokens around it all.
    path = coqa(tmp_path, "a short story", 4)
    (found,) = read(path, told, max_tokens=3 + 2 + 2 * 5)
    assert found.text == "a short story\nQ: Q0?\nA: yes 0\nQ: Q1?\nA: yes 1"
    assert told == [f"{path}:2: 1 document of more than 15 tokens was left out."]
    both = read(path, told)
    assert [document.text.count("Q:") for document in both] == [4, 4]


def test_words_still_limit_as_before(tmp_path, told):
    path = coqa(tmp_path, "a short story", 4)
    with pytest.raises(DataError, match="leaves no room for a turn within 15 words"):
        read(path, told, max_words=15)
