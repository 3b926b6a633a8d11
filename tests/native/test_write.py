"""Many tokens in one call are those of `feed` and sample/logits.draw, token by token."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.config import SamplingConfig
from penwright.errors import ModelError
from penwright.native import Choice
from penwright.native.packed import PackedModel
from penwright.sample import logits
from tests.model.conftest import tiny
from tests.native.conftest import every_variant, needs_library, pack
from tests.native.test_decoder import random_model

pytestmark = needs_library


def choice(sampling: SamplingConfig, index: int, last: int, limit: int, step: int = 0) -> Choice:
    return Choice(
        key=logits.sample_key(sampling.seed, index),
        step=step,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
        top_k=sampling.top_k,
        greedy=logits.is_greedy(sampling),
        limit=limit,
        last=last,
    )


def plainly(packed: PackedModel, prompts, samplings, limits, ends, vocabulary) -> list[list[int]]:
    texts = []
    for index, (prompt, sampling, limit) in enumerate(zip(prompts, samplings, limits, strict=True)):
        decoder = packed.decoder()
        decoder.enter([prompt[:-1]])
        text = prompt[-1:]
        key = np.array([logits.sample_key(sampling.seed, index)], dtype=np.uint64)
        while len(text) <= limit and (len(text) == 1 or text[-1] not in ends):
            found = decoder.feed([text[-1:]])[:, :vocabulary]
            if logits.is_greedy(sampling):
                chosen = logits.likeliest(found, sampling)
            else:
                chosen = logits.draw(found, sampling, key, np.array([len(text) - 1]))
            text.append(int(chosen[0]))
        texts.append(text[1:])
    return texts


SAMPLINGS = st.builds(
    SamplingConfig,
    temperature=st.sampled_from([0.0, 0.3, 0.8, 1.0, 1.7]),
    top_k=st.sampled_from([0, 0, 1, 5, 40, 1000]),
    top_p=st.sampled_from([0.0, 0.1, 0.5, 0.95, 1.0]),
    min_p=st.sampled_from([0.0, 0.0, 0.05, 0.5, 1.0]),
    seed=st.integers(0, 2**31),
)
MODELS: dict[float, PackedModel] = {}


def model(std: float) -> PackedModel:
    """Flat and peaked distributions over a vocabulary that is no multiple of anything."""
    if std not in MODELS:
        MODELS[std] = pack(random_model(tiny(n_positions=60, vocab_size=613), std=std))
    return MODELS[std]


@settings(max_examples=100)
@given(st.data())
def test_written_tokens_are_those_of_draw(data):
    packed = model(data.draw(st.sampled_from([0.02, 0.3])))
    vocabulary = data.draw(st.sampled_from([613, 600, 16]))
    n = data.draw(st.integers(1, 5))
    token = st.integers(0, vocabulary - 1)
    prompts = [data.draw(st.lists(token, min_size=1, max_size=40)) for _ in range(n)]
    samplings = [data.draw(SAMPLINGS) for _ in range(n)]
    limits = [data.draw(st.integers(0, 20)) for _ in range(n)]
    ends = data.draw(st.lists(token, max_size=30))
    decoder = packed.decoder()
    decoder.enter([prompt[:-1] for prompt in prompts])
    choices = [
        choice(sampling, index, prompt[-1], limit)
        for index, (sampling, prompt, limit) in enumerate(
            zip(samplings, prompts, limits, strict=True)
        )
    ]
    written = decoder.write(choices, ends, vocabulary)
    assert written == plainly(packed, prompts, samplings, limits, ends, vocabulary)
    lengths = [len(prompt) - 1 + len(text) for prompt, text in zip(prompts, written, strict=True)]
    assert decoder.lengths == lengths


@every_variant
def test_two_calls_write_what_one_does(variant):
    packed = pack(random_model(tiny(n_positions=90, vocab_size=613), std=0.1), variant=variant)
    sampling = SamplingConfig(top_p=0.9)
    once, twice = packed.decoder(), packed.decoder()
    for decoder in (once, twice):
        decoder.enter([[1, 2, 3], [4]])
    (whole, other) = once.write([choice(sampling, i, 7, 50) for i in (0, 1)], [], 613)
    (first, _) = twice.write([choice(sampling, 0, 7, 20), choice(sampling, 1, 7, 0)], [], 613)
    (second, late) = twice.write(
        [choice(sampling, 0, first[-1], 30, 20), choice(sampling, 1, 7, 50)], [], 613
    )
    assert (first + second, late) == (whole, other)


def test_equal_logits_are_kept_together():
    gpt2 = random_model(tiny(n_positions=60, vocab_size=613))
    with torch.no_grad():
        gpt2.embed_tokens.weight[:] = gpt2.embed_tokens.weight[:1]
    packed = pack(gpt2)
    for sampling in (
        SamplingConfig(top_k=3),
        SamplingConfig(top_p=0.2),
        SamplingConfig(top_k=7, top_p=0.2, min_p=0.3),
        SamplingConfig(greedy=True),
    ):
        decoder = packed.decoder()
        decoder.enter([[]])
        written = decoder.write([choice(sampling, 0, 5, 30)], [], 613)
        assert written == plainly(packed, [[5]], [sampling], [30], [], 613)


def test_scores_that_are_not_numbers_are_an_error():
    gpt2 = random_model(tiny())
    with torch.no_grad():
        gpt2.transformer["ln_f"].weight[:] = 3e38
        gpt2.transformer["ln_f"].bias[:] = 3e38
    decoder = pack(gpt2).decoder()
    decoder.enter([[]])
    for sampling in (SamplingConfig(), dataclasses.replace(SamplingConfig(), greedy=True)):
        with pytest.raises(ModelError, match="not numbers"):
            decoder.write([choice(sampling, 0, 1, 1)], [], 61)
