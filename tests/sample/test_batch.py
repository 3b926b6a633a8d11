"""Stop texts across pieces, and characters across tokens."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penwright.sample.batch import CharacterStream, StopMatcher

LIGHT = settings(deadline=None)
letters = st.text("ab", max_size=12)
stops = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


def cut_plainly(text: str, stop_texts: list[str]) -> tuple[str, str | None]:
    """Up to the stop that is complete first, the longest of those; by looking everywhere."""
    for end in range(len(text) + 1):
        found = [stop for stop in stop_texts if text[:end].endswith(stop)]
        if found:
            longest = max(found, key=len)
            return text[: end - len(longest)], longest
    return text, None


@LIGHT
@given(st.lists(letters, max_size=8), stops)
@example(["a", "a", "b"], ["ab"])
@example(["aab"], ["ab"])
@example(["a", "b", "a"], ["aba", "b"])
@example(["ab", "ab", "ac"], ["abac"])
def test_any_pieces_give_the_plain_cut(pieces, stop_texts):
    matcher = StopMatcher(stop_texts)
    came = [matcher.feed(piece) for piece in pieces]
    expected, found = cut_plainly("".join(pieces), stop_texts)
    assert matcher.found == found
    last = "" if found else matcher.finish()
    assert "".join(came) + last == expected


@LIGHT
@given(st.lists(letters, max_size=8), stops)
def test_never_more_than_is_sure_and_never_less(pieces, stop_texts):
    """What is out is right whatever comes; what is held back could begin a stop."""
    matcher, out = StopMatcher(stop_texts), ""
    for count in range(len(pieces)):
        out += matcher.feed(pieces[count])
        if matcher.found is not None:
            break
        text = "".join(pieces[: count + 1])
        held = text[len(out) :]
        assert text.startswith(out)
        assert not held or any(stop.startswith(held) for stop in stop_texts)
        endings = [stop[: len(stop) - cut] for stop in stop_texts for cut in range(1, len(stop))]
        longest = max([0, *(len(end) for end in endings if text.endswith(end))])
        assert len(held) == longest


@LIGHT
@given(st.text(max_size=30), st.data())
def test_characters_come_whole(text, data):
    encoded = text.encode("utf-8", "replace")
    cuts = data.draw(st.lists(st.integers(0, len(encoded)), max_size=6).map(sorted))
    stream = CharacterStream()
    pieces = [stream.feed(encoded[a:b]) for a, b in itertools.pairwise([0, *cuts, len(encoded)])]
    assert "".join(pieces) == encoded.decode("utf-8")


@LIGHT
@given(st.binary(max_size=30), st.data())
def test_any_bytes_come_as_decoding_them_at_once(encoded, data):
    cuts = data.draw(st.lists(st.integers(0, len(encoded)), max_size=6).map(sorted))
    stream = CharacterStream()
    pieces = [stream.feed(encoded[a:b]) for a, b in itertools.pairwise([0, *cuts, len(encoded)])]
    whole, joined = encoded.decode("utf-8", "replace"), "".join(pieces)
    assert joined in (whole, whole.removesuffix("\ufffd"))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_unfinished_character_is_left_out(count):
    stream = CharacterStream()
    assert stream.feed(b"duck " + "🦆".encode()[:count]) == "duck "
    assert stream.feed("🦆".encode()[count:]) == "🦆"
