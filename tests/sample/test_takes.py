"""Best of n, texts that loop, and the numbers of takes."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from penwright import sample
from penwright.config import SamplingConfig
from penwright.errors import UsageError
from penwright.sample import logits
from penwright.sample.takes import FAR, TRIES

PROMPTS = ["The goose", "", "asked for tea"]


def likeliness(model, tokenizer, one: sample.Sample) -> float:
    """The mean log-probability of a text's tokens, which are those of its encoding here."""
    ids = tokenizer.encode_prompt(one.prompt)
    row = tokenizer.encode(one.prompt + one.text)[len(ids) - 1 :]
    with torch.no_grad():
        logp_TV = model.logits(model(torch.tensor([[*ids, *row]])))[0].log_softmax(-1)
    return float(logp_TV[len(ids) - 1 : -1].gather(1, torch.tensor(row)[:, None]).mean())


def test_the_likeliest_of_n_is_kept(make_model, tokenizer):
    model = make_model(std=0.1)
    sampling = SamplingConfig(max_new_tokens=12, min_new_tokens=12, temperature=1.5, best_of=4)
    best = sample.generate(model, tokenizer, PROMPTS, 2, sampling)
    assert [one.index for one in best] == list(range(6))
    single = dataclasses.replace(sampling, best_of=1)
    agreeing = 0
    for one in best:
        takes = [
            sample.generate(
                model, tokenizer, [one.prompt], 1, single, first_index=one.index + n * TRIES * FAR
            )[0]
            for n in range(4)
        ]
        assert one.text in [take.text for take in takes]
        exact = [
            take for take in takes
            if len(tokenizer.encode(one.prompt + take.text))
            == len(tokenizer.encode(one.prompt)) + 12
        ]  # fmt: skip
        if len(exact) == 4:  # the text is encoded into the tokens that were written
            agreeing += 1
            likely = [likeliness(model, tokenizer, take) for take in takes]
            assert one.text == takes[likely.index(max(likely))].text
    again = sample.generate(model, tokenizer, PROMPTS, 2, sampling, batch_size=2)
    assert again == best


def test_a_stream_gives_the_likeliest_text(model, tokenizer):
    sampling = SamplingConfig(max_new_tokens=12, best_of=3)
    [best] = sample.generate(model, tokenizer, ["The"], 1, sampling)
    assert "".join(sample.stream(model, tokenizer, "The", sampling)) == best.text


def test_a_looping_text_is_ended_or_written_again(make_model, tokenizer):
    model = make_model(std=0.15)
    with torch.no_grad():  # a model that loves to repeat one token
        model.embed_tokens.weight[tokenizer.encode(" tea")[0]] *= 2.6
    options = {"max_new_tokens": 100, "min_new_tokens": 100, "temperature": 0.7}
    loops = sample.generate(model, tokenizer, PROMPTS, 8, SamplingConfig(on_loop="stop", **options))
    looping = {one.index for one in loops if one.finish_reason == "loop"}
    assert 0 < len(looping) < 24
    heard: list[str] = []
    again = sample.generate(
        model, tokenizer, PROMPTS, 8, SamplingConfig(on_loop="retry", **options), warn=heard.append
    )
    assert [one.index for one in again] == list(range(24))
    for one, before in zip(again, loops, strict=True):
        if one.index not in looping:
            assert one == before
    left = [one for one in again if one.finish_reason == "loop"]
    assert len(left) == len(heard) < len(looping)
    assert all("repeats itself after 10 tries" in sentence for sentence in heard)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"greedy": True, "top_k": 5}, "--greedy draws no tokens, so --top-k would"),
        ({"greedy": True, "temperature": 1.2, "min_p": 0.1}, "--temperature, --min-p would"),
        ({"num_beams": 2, "typical_p": 0.5}, "A beam search draws no tokens, so --typical-p"),
        ({"num_beams": 2, "best_of": 2}, "A beam search writes the same text each time"),
        ({"temperature": 0.0, "on_loop": "retry"}, "--temperature 0 writes the same text"),
        ({"min_new_tokens": 5, "max_new_tokens": 4}, "min_new_tokens is 5, which is more than"),
        ({"best_of": 0}, "best_of must be at least 1"),
        ({"max_copy": -1}, "max_copy cannot be below 0"),
        ({"ban": ("a", "")}, "ban cannot be an empty text"),
        ({"require": ("",)}, "require cannot be an empty text"),
    ],
)
def test_options_that_contradict_each_other(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        logits.check(SamplingConfig(**options))


@pytest.mark.parametrize(
    "options", [{"greedy": True, "top_p": 1.0}, {"temperature": 0.0, "top_p": 0.5, "top_k": 3}]
)
def test_options_that_go_together(model, tokenizer, options):
    """They are allowed, and the text is the likeliest one."""
    written, plain = (
        sample.generate(model, tokenizer, PROMPTS, 1, SamplingConfig(max_new_tokens=12, **given))
        for given in (options, {"greedy": True})
    )
    assert [one.text for one in written] == [one.text for one in plain]
