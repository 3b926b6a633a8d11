"""Where a text ends: stop texts, whole sentences, loops; nothing that came out is taken back."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penwright.config import SamplingConfig
from penwright.sample.endings import TextStream, find_sentence_end, is_looping

LIGHT = settings(deadline=None)
LETTERS = "ab🦆ι— ."


def search_whole(text: str, stops: tuple[str, ...]) -> str:
    """The text before the stop that is complete first, the longest of those."""
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)]
    return text


@st.composite
def tokens_of(draw, tokenizer, text: str) -> list[int]:
    """The text as tokens cut anywhere, also inside of characters."""
    by_bytes = dict(tokenizer.by_bytes)
    data, tokens = text.encode(), []
    while data:
        size = draw(st.integers(1, 6))
        while data[:size] not in by_bytes:
            size -= 1
        tokens.append(by_bytes[data[:size]])
        data = data[size:]
    return tokens


@LIGHT
@given(st.data())
def test_stops_in_any_tokens_equal_a_search_in_the_whole_text(tokenizer, data):
    text = data.draw(st.text(LETTERS, max_size=30))
    stops = tuple(data.draw(st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=3)))
    tokens = data.draw(tokens_of(tokenizer, text))
    stream = TextStream(SamplingConfig(stop=stops, max_new_tokens=max(1, len(tokens))))
    expected, shown = search_whole(text, stops), ""
    for token in tokens:
        shown += stream.push(token, tokenizer)
        assert expected.startswith(shown), "a character that a stop removes is never shown"
        if stream.finish_reason:
            break
    assert shown == stream.text == expected
    if tokens:
        assert stream.finish_reason == ("stop" if expected != text else "length")


@pytest.mark.parametrize(
    ("before", "piece", "belongs"),
    [
        ("He had tea", ".", None),
        ("He had tea.", " Then", ""),
        ("He had tea", ". Then", "."),
        ("“Tea.", "” said", "”"),
        ("Tea!", "”) \n", "”)"),
        ("Mr", ". Goose", None),
        ("asked J", ". R", None),
        ("So do I", ". Then", "."),
        ("at 3", ".5 o'clock", None),
        ("He had tea. ", "Then", None),
        ("He had tea. ", "", ""),
        ("He had tea.\n", " ", " "),
        ("The goose", "\n\nThe", ""),
        ("The goose\n", "\nThe", ""),
        ("The goose\n", "The", None),
    ],
)
def test_where_a_sentence_ends(before, piece, belongs):
    found = find_sentence_end(before, piece)
    assert found == (None if belongs is None else len(belongs))


def write(tokenizer, text: str, **options) -> TextStream:
    stream = TextStream(SamplingConfig(**options))
    for token in tokenizer.encode(text):
        if not stream.finish_reason:
            stream.push(token, tokenizer)
    return stream


def test_a_sentence_is_finished(tokenizer):
    text = "The goose asked for tea. Twice. The council sat."
    first = len(tokenizer.encode("The goose asked"))
    stream = write(tokenizer, text, max_new_tokens=first, finish_sentence=True)
    assert (stream.text, stream.finish_reason) == ("The goose asked for tea.", "length")
    assert write(tokenizer, text, max_new_tokens=first).text == "The goose asked"
    stream = write(tokenizer, text, max_new_tokens=first, finish_sentence=True, stop=(" for",))
    assert (stream.text, stream.finish_reason) == ("The goose asked", "stop")
    endless = "tea " * 200
    stream = write(tokenizer, endless, max_new_tokens=10, finish_sentence=True)
    assert (len(stream.tokens), stream.finish_reason) == (74, "length")


@LIGHT
@given(st.lists(st.integers(0, 3), max_size=12), st.lists(st.integers(0, 3), min_size=1))
@example([], [1])
def test_a_loop_is_four_copies_over_64_tokens(start, turn):
    turn = turn[:64]
    copies = max(4, -(-64 // len(turn)))
    assert is_looping([*start, *turn * copies])
    assert not is_looping([*range(100), *turn * 3, 7])


def test_what_loops_no_more_is_no_loop():
    assert not is_looping([*[1, 2] * 40, 3])
    assert not is_looping([1] * 63)
    assert is_looping([1] * 64)


def test_a_loop_ends_the_text(tokenizer):
    looping = "tea and " * 200
    stream = write(tokenizer, looping, max_new_tokens=900, on_loop="stop")
    assert stream.finish_reason == "loop"
    assert looping.startswith(stream.text)
    assert len(stream.tokens) < 80
    assert write(tokenizer, looping, max_new_tokens=300).finish_reason == "length"


def test_what_is_written_again_is_no_part_of_the_text(tokenizer):
    stream = TextStream(SamplingConfig(), b" go")
    pieces = [stream.push(token, tokenizer) for token in tokenizer.encode(" goose sat")]
    assert "".join(pieces) == stream.text == "ose sat"
    assert stream.healing == b""
