from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright.errors import UsageError
from penwright.sections import NAMES, Marks, build_body, build_line, build_prefix, parse, slug

LINE = (
    "<|startoftext|>~`cats~^my-soul straight soul~@My little Clementine always looks like she's "
    "staring straight into my soul<|endoftext|>\n"
)
PARTS = {
    "category": "cats",
    "keywords": "my-soul straight soul",
    "title": "My little Clementine always looks like she's staring straight into my soul",
}
# Texts full of what could be taken for a mark.
tricky = st.text() | st.lists(
    st.sampled_from(["~", "`", "^", "@", "}", "\\", "<", "|startoftext|>", "<|endoftext|>", "a"])
).map("".join)
sections = st.dictionaries(st.sampled_from(NAMES), tricky)


def test_the_line_is_the_one_that_people_have():
    assert build_line(PARTS) == LINE
    assert parse(LINE) == PARTS
    assert parse(build_body(PARTS)) == PARTS
    body = build_line({"title": "A", "body": "B"}, Marks("<s>", "</s>"))
    assert body == "<s>~@A~}B</s>\n"


@given(sections)
def test_every_text_comes_back(parts):
    assert parse(build_line(parts)) == parts
    marks = Marks("ab", "a\nb|")
    assert parse(build_line(parts, marks), marks) == parts


@given(tricky)
def test_only_what_could_be_taken_for_a_mark_is_escaped(text):
    marks = Marks()
    escaped = marks.escape(text)
    assert marks.unescape(escaped) == text
    if not any(mark in text.replace("\\", "") for mark in ("~", "<|")):
        assert escaped == text


def test_a_text_may_be_broken_off_or_have_sections_twice():
    assert parse("~@A title that never en") == {"title": "A title that never en"}
    assert parse("~^a b~@one~@two") == {"keywords": "a b", "title": "one"}
    assert parse("no sections at all") == {}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("my soul", "my-soul"),
        (" Elon Musk's ", "Elon-Musk's"),
        ("a~^b", "a-b"),
        ("--", ""),
        ("don't", "don't"),
        ("snake_case", "snake-case"),
        ("naïve café", "naïve-café"),
    ],
)
def test_a_keyword_is_one_word(text, word):
    assert slug(text) == word
    assert slug(text, lower=True) == word.lower()


def test_a_prefix_is_how_such_a_text_begins():
    has = ("category", "keywords", "title")
    prefix = build_prefix(has, ["my soul", " straight", ""], "Cats", "My little")
    assert prefix == "~`cats~^my-soul straight~@My little"
    assert build_prefix(has, ["a"]) == "~^a~@"
    assert build_prefix(("keywords", "body"), ["a"]) == "~^a~}"
    with pytest.raises(UsageError, match=r"have no category\. They have: keywords, title"):
        build_prefix(("keywords", "title"), ["a"], "cats")


@pytest.mark.parametrize("token", ["", "x", "a\\b"])
def test_marks_that_mark_nothing_are_refused(token):
    with pytest.raises(UsageError):
        Marks(start=token)
