"""Beam search finds what transformers' finds, in the same order."""

from __future__ import annotations

import dataclasses

import pytest
import torch

pytest.importorskip("transformers", reason="needs transformers")

from transformers.generation import RepetitionPenaltyLogitsProcessor

from penwright import sample
from penwright.config import SamplingConfig
from penwright.errors import ModelError, UsageError
from penwright.sample import beam
from penwright.sample.decoder import as_source

PROMPTS = ["The goose", "", "asked for tea, with “biscuits” — twice."]
BEAMS = SamplingConfig(num_beams=3, max_new_tokens=20)


def search(model, tokenizer, prompt: str, sampling: SamplingConfig) -> list[list[int]]:
    ids = [tokenizer.eot_id, *tokenizer.encode(prompt)]
    return beam.search(as_source(model), tokenizer, ids, sampling)


def search_there(peer, tokenizer, prompt: str, sampling: SamplingConfig) -> list[list[int]]:
    ids = [tokenizer.eot_id, *tokenizer.encode(prompt)]
    end = tokenizer.eot_id
    more = {}
    if sampling.repetition_penalty != 1:
        penalty = sampling.repetition_penalty
        more["logits_processor"] = [
            RepetitionPenaltyLogitsProcessor(penalty, prompt_ignore_length=1)
        ]
    found = peer.generate(
        torch.tensor([ids]),
        do_sample=False,
        num_beams=sampling.num_beams,
        num_return_sequences=sampling.num_beams,
        length_penalty=sampling.length_penalty,
        max_new_tokens=sampling.max_new_tokens,
        min_new_tokens=sampling.min_new_tokens,
        no_repeat_ngram_size=sampling.no_repeat_ngram_size,
        eos_token_id=end,
        pad_token_id=end,
        early_stopping=False,
        **more,
    )[:, len(ids) :].tolist()
    return [text[: text.index(end) + 1] if end in text else text for text in found]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"num_beams": 2},
        {"num_beams": 5, "max_new_tokens": 35},
        {"length_penalty": 0.0},
        {"length_penalty": 2.5},
        {"length_penalty": -1.0},
        {"no_repeat_ngram_size": 2},
        {"min_new_tokens": 8},
        {"repetition_penalty": 1.5},
        {"max_new_tokens": 1},
    ],
    ids=str,
)
def test_same_as_transformers(make_model, tokenizer, as_transformers, prompt, changes):
    sampling = dataclasses.replace(BEAMS, **changes)
    ends = set()
    for seed in (1, 2, 3):
        model = make_model(seed=seed, n_positions=64, std=0.15)
        with torch.no_grad():  # a likely end, so that beams of unequal length compete
            model.embed_tokens.weight[tokenizer.eot_id] *= 2.5
        expected = search_there(as_transformers(model), tokenizer, prompt, sampling)
        assert search(model, tokenizer, prompt, sampling) == expected
        ends |= {text[-1] == tokenizer.eot_id for text in expected}
    assert ends


def test_texts_and_reasons(make_model, tokenizer):
    model = make_model(std=0.15)
    with torch.no_grad():
        model.embed_tokens.weight[tokenizer.eot_id] *= 2.5
    found = [text for prompt in PROMPTS for text in search(model, tokenizer, prompt, BEAMS)[:2]]
    written = sample.generate(model, tokenizer, PROMPTS, 2, BEAMS, first_index=7)
    assert [one.index for one in written] == list(range(7, 13))
    for tokens, one in zip(found, written, strict=True):
        ended = tokens[-1] == tokenizer.eot_id
        assert one.finish_reason == ("end" if ended else "length")
        assert one.tokens == len(tokens) - ended
    pieces = list(sample.stream(model, tokenizer, PROMPTS[1], BEAMS, index=9))
    assert "".join(pieces) == written[2].text


def test_stop_texts(make_model, tokenizer):
    model = make_model(std=0.15)
    sampling = dataclasses.replace(BEAMS, stop=("e", "o"))
    written = sample.generate(model, tokenizer, PROMPTS, 3, sampling)
    assert "stop" in {one.finish_reason for one in written}
    assert not any("e" in one.text or "o" in one.text for one in written)


def test_longer_than_the_context_and_no_cache(make_model, tokenizer, monkeypatch):
    model = make_model(n_positions=16, std=0.15)
    sampling = dataclasses.replace(BEAMS, max_new_tokens=50, min_new_tokens=50)
    cached = [search(model, tokenizer, prompt * 3, sampling) for prompt in PROMPTS]
    read = beam._Reader.read

    def read_all(self, texts, parents):
        self._decoder.drop(range(len(self._decoder.lengths)))
        return read(self, texts, parents)

    monkeypatch.setattr(beam._Reader, "read", read_all)
    assert cached == [search(model, tokenizer, prompt * 3, sampling) for prompt in PROMPTS]
    assert all(len(text) == 50 for found in cached for text in found)


def test_likelier_than_greedy(make_model, tokenizer):
    model = make_model(std=0.15)
    sampling = dataclasses.replace(BEAMS, num_beams=8, min_new_tokens=20)
    [greedy] = search(model, tokenizer, "The", dataclasses.replace(sampling, num_beams=1))
    best = search(model, tokenizer, "The", sampling)[0]

    def log_probability(text: list[int]) -> float:
        ids = torch.tensor([[tokenizer.eot_id, *tokenizer.encode("The"), *text]])
        with torch.no_grad():
            logp = model.logits(model(ids))[0, :-1].log_softmax(-1)
        return float(logp.gather(1, ids[0, 1:, None])[-20:].sum())

    assert log_probability(best) > log_probability(greedy)


def test_errors(model, tokenizer):
    with pytest.raises(UsageError, match="at most 3 texts"):
        sample.generate(model, tokenizer, ["a"], 4, BEAMS)
    with pytest.raises(UsageError, match="num_beams"):
        sample.generate(model, tokenizer, ["a"], 1, SamplingConfig(num_beams=0))
    nothing = dataclasses.replace(BEAMS, max_new_tokens=0)
    assert [one.text for one in sample.generate(model, tokenizer, ["a"], 2, nothing)] == ["", ""]
    with torch.no_grad():
        model.embed_tokens.weight[5] = float("nan")
    with pytest.raises(ModelError, match="not numbers"):
        sample.generate(model, tokenizer, ["a"], 1, BEAMS)
