"""Banned words never stand in a text, required ones do, in any case and in any tokens."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright import sample
from penwright.config import SamplingConfig
from penwright.errors import UsageError
from penwright.sample import logits
from penwright.sample.phrases import BannedPhrases, RequiredWords, phrase_pattern

LIGHT = settings(deadline=None)


def stands_in(phrase: str, text: str) -> bool:
    """Whether a phrase stands in a text as whole words, in any case."""
    phrase, text = phrase.strip().casefold(), text.casefold()
    for at in range(len(text)):
        end = at + len(phrase)
        before, after = text[at - 1 : at] if at else "", text[end : end + 1]
        whole = not (phrase[:1].isalnum() and (before.isalnum() or before == "_"))
        whole &= not (phrase[-1:].isalnum() and (after.isalnum() or after == "_"))
        if text[at:end] == phrase and whole:
            return True
    return False


texts = st.text("aAbB éÉß🦆.", max_size=12)
phrases = st.text("aAb éÉß🦆.", min_size=1, max_size=4).filter(str.strip)


@LIGHT
@given(texts, st.lists(phrases, min_size=1, max_size=3))
def test_a_phrase_is_found_as_whole_words_in_any_case(text, some):
    expected = any(stands_in(phrase, text) for phrase in some)
    assert bool(phrase_pattern(some).search(text.casefold())) == expected


@LIGHT
@given(st.data(), texts, texts, phrases)
def test_the_token_that_completes_a_phrase_is_refused(tokenizer, data, prompt, text, phrase):
    """Accepted tokens never write the phrase, and no token is refused without need."""
    banned = BannedPhrases([phrase], tokenizer)
    by_bytes = dict(tokenizer.by_bytes)
    ids = tokenizer.encode_prompt(prompt)
    written, rest = b"", text.encode()
    while rest:
        size = data.draw(st.integers(1, 6))
        while rest[:size] not in by_bytes:
            size -= 1
        token = by_bytes[rest[:size]]
        before, after = prompt.encode() + written, prompt.encode() + written + rest[:size]
        appears = count(phrase, after) > count(phrase, before)
        refused = banned.refuses(ids, token)
        assert refused or not appears
        assert not refused or stands_in(phrase, after.decode("utf-8", "ignore"))
        ids.append(token)
        written, rest = written + rest[:size], rest[size:]


def count(phrase: str, data: bytes) -> int:
    text = data.decode("utf-8", "ignore")
    return sum(
        stands_in(phrase, text[:end]) and not stands_in(phrase, text[: end - 1])
        for end in range(1, len(text) + 1)
    )


def test_banned_words_do_not_appear_in_samples_or_beams(model, tokenizer):
    options = {"max_new_tokens": 80, "ban": ("e", "goose", "the COUNCIL")}
    for more in ({"temperature": 1.5, "top_p": 1.0}, {"greedy": True}, {"num_beams": 3}):
        written = sample.generate(
            model, tokenizer, ["The goose", "THE"], 2, SamplingConfig(**options, **more)
        )
        for one in written:
            assert not any(stands_in(word, one.text) for word in ("goose", "the council"))
            assert not re.search(r"\be\b", one.text, re.I)


def test_required_words_are_written(model, tokenizer):
    words = ("council", "tea", "biscuits")
    sampling = SamplingConfig(max_new_tokens=80, require=words)
    heard: list[str] = []
    written = sample.generate(model, tokenizer, ["The", ""], 8, sampling, warn=heard.append)
    missing = [one for one in written if not all(stands_in(word, one.text) for word in words)]
    assert len(missing) == len(heard) < 4
    without = sample.generate(model, tokenizer, ["The", ""], 8, SamplingConfig(max_new_tokens=80))
    assert not any(all(stands_in(word, one.text) for word in words) for one in without)


def test_a_word_that_cannot_be_written_is_named(model, tokenizer):
    heard: list[str] = []
    sampling = SamplingConfig(max_new_tokens=2, require=("council",), greedy=True)
    [one] = sample.generate(model, tokenizer, ["The"], 1, sampling, warn=heard.append)
    assert heard == ["Text 1 does not have 'council'."]
    assert one.tokens == 2
    heard.clear()
    sampling = SamplingConfig(max_new_tokens=1, require=("council sat",))
    sample.generate(model, tokenizer, ["The"], 1, sampling, warn=heard.append)
    assert heard == ["Text 1 does not have 'council sat' after 10 tries."]


def test_the_missing_words(tokenizer):
    words = RequiredWords(["Tea", "the council"], tokenizer)
    assert words.missing("TEA for The Council.") == {}
    assert list(words.missing("teas for the  council")) == ["Tea", "the council"]


@pytest.mark.parametrize(
    "settings_",
    [{"ban": ("goose",), "require": ("Goose",)}, {"ban": ("goose",), "require": ("a goose sat",)}],
)
def test_a_required_word_that_is_banned(settings_):
    with pytest.raises(UsageError, match="cannot be required and banned"):
        logits.check(SamplingConfig(**settings_))
