"""A prompt that ends in a space or inside a word goes on as if it had been cut before that."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright import sample
from penwright.config import SamplingConfig
from penwright.sample.healing import find_fitting, heal
from penwright.tokens import Tokenizer


@pytest.mark.parametrize(
    ("prompt", "again"),
    [
        ("It was ", " "),
        ("It was  \t", "  \t"),
        (" ", " "),
        ("I love choc", " choc"),
        ("The goos", " goos"),
        ("The goose", ""),
        ("a lighthouse", ""),
        ("It was", ""),
        ("It was.", ""),
        ("It was\n", ""),
        ("It was\n\n", ""),
        ("in 1999", ""),
        ("", ""),
    ],
)
def test_what_is_healed(prompt, again):
    tokenizer = Tokenizer.gpt2()
    ids = tokenizer.encode_prompt(prompt)
    found = heal(prompt, ids, tokenizer)
    assert found.again.decode() == again
    assert found.ids == tokenizer.encode_prompt(prompt.removesuffix(again) if again else prompt)


@settings(deadline=None)
@given(st.text("ab goose🦆é—", min_size=1, max_size=8))
def test_the_tokens_that_spell_a_text(tokenizer, text):
    data = text.encode()
    expected = {
        token
        for token in range(tokenizer.vocab_size)
        if (piece := tokenizer.printed_bytes(token))
        and (piece.startswith(data) or data.startswith(piece))
    }
    assert set(find_fitting(data, tokenizer)) == expected


@pytest.mark.parametrize("more", [{}, {"greedy": True}, {"num_beams": 3}])
@pytest.mark.parametrize("end", [" tea ", " tea  ", ""])
def test_texts_continue_the_prompt_in_whole_tokens(model, tokenizer, end, more):
    known = dict(tokenizer.by_bytes)
    begun = [piece[:-1] for piece in known if piece[:-1] not in known and piece.strip().isalpha()]
    prompt = "The goose sat" + (end or begun[0].decode())
    healed = heal(prompt, tokenizer.encode_prompt(prompt), tokenizer)
    assert healed.again
    heard: list[str] = []
    sampling = SamplingConfig(max_new_tokens=20, **more)
    written = sample.generate(model, tokenizer, [prompt], 3, sampling, warn=heard.append)
    assert len(heard) == 1
    assert "the model writes that end again" in heard[0]
    for one in written:
        pieces = sample.stream(model, tokenizer, prompt, sampling, index=one.index)
        assert more.get("num_beams") or "".join(pieces) == one.text
    raw = SamplingConfig(max_new_tokens=20, heal=False, **more)
    assert [one.text for one in written] != [
        one.text for one in sample.generate(model, tokenizer, [prompt], 3, raw, warn=heard.append)
    ]
    assert len(heard) == 1


def test_it_is_what_the_shorter_prompt_gives_where_that_spells_the_end(model, tokenizer):
    """With greedy choice, a text that begins with the end of the prompt is the healed text."""
    sampling = SamplingConfig(max_new_tokens=12, greedy=True)
    [whole] = sample.generate(model, tokenizer, ["The goose"], 1, sampling)
    first = next(iter(sample.stream(model, tokenizer, "The goose", sampling)))
    if first.startswith(" ") and len(first) > 1:
        [healed] = sample.generate(model, tokenizer, ["The goose "], 1, sampling)
        assert " " + healed.text == whole.text
    [healed] = sample.generate(model, tokenizer, ["The goose" + first[:1]], 1, sampling)
    assert healed.tokens == 12
