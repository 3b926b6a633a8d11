"""Many at once, cached, batched, streamed: always the text that the plainest way writes."""

from __future__ import annotations

import codecs
import dataclasses

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from penwright import sample
from penwright.config import SamplingConfig
from penwright.errors import ModelError, OutOfRoomError, UsageError
from penwright.sample import Sample, batch, decoder, reference

PROMPTS = ["The goose", "", "asked for tea, with “biscuits” — twice.", "a", "🦆 sat in the council"]
SETTINGS = {
    "default": SamplingConfig(max_new_tokens=40),
    "greedy": SamplingConfig(max_new_tokens=40, greedy=True),
    "zero": SamplingConfig(max_new_tokens=40, temperature=0.0),
    "wild": SamplingConfig(max_new_tokens=40, temperature=1.5, top_p=1.0, seed=4),
    "top-k": SamplingConfig(max_new_tokens=40, top_k=20, top_p=0.9, seed=-3),
    "min-p": SamplingConfig(max_new_tokens=40, min_p=0.05, top_p=1.0),
    "penalty": SamplingConfig(max_new_tokens=40, repetition_penalty=1.3, temperature=0.5),
    "typical": SamplingConfig(max_new_tokens=40, typical_p=0.7, temperature=1.2, top_p=1.0),
    "penalties": SamplingConfig(max_new_tokens=40, frequency_penalty=0.9, presence_penalty=-0.3),
    "bias": SamplingConfig(max_new_tokens=40, logit_bias=("e=-3", " goose=2", "id:0=-9")),
    "ban": SamplingConfig(max_new_tokens=40, ban=("e", "goose"), temperature=1.5, top_p=1.0),
    "greedy ban": SamplingConfig(max_new_tokens=40, ban=("a", " THE "), greedy=True),
    "require": SamplingConfig(max_new_tokens=60, require=("council", "tea"), temperature=1.2),
    "pinned": SamplingConfig(max_new_tokens=100, pin=("Tea for a goose.",), min_new_tokens=60),
    "n-grams": SamplingConfig(max_new_tokens=40, no_repeat_ngram_size=2, greedy=True),
    "all": SamplingConfig(
        max_new_tokens=60,
        repetition_penalty=1.2,
        no_repeat_ngram_size=3,
        min_new_tokens=30,
        temperature=1.2,
        top_k=100,
        stop=("e t", "oo", "\n"),
    ),
    "long": SamplingConfig(max_new_tokens=100, min_new_tokens=100),
    "nothing": SamplingConfig(max_new_tokens=0),
}


def write_plainly(model, tokenizer, prompts, n, sampling) -> list[tuple[Sample, list[float]]]:
    return [
        reference.write(model, tokenizer, prompt, sampling, number * n + i)
        for number, prompt in enumerate(prompts)
        for i in range(n)
    ]


def assert_written(written: list[Sample], plain: list[tuple[Sample, list[float]]]) -> None:
    """Equal, unless rounding decided a token; that must be rare."""
    assert len(written) == len(plain)
    close = 0
    for ours, (theirs, margins) in zip(written, plain, strict=True):
        if margins and min(margins) < 1e-4:
            close += 1
        else:
            assert ours == theirs
    assert close <= max(1, len(plain) // 4)


@pytest.mark.parametrize("name", SETTINGS)
def test_batched_and_cached_equals_alone_and_plain(model, tokenizer, name):
    written = sample.generate(model, tokenizer, PROMPTS, 2, SETTINGS[name])
    assert_written(written, write_plainly(model, tokenizer, PROMPTS, 2, SETTINGS[name]))
    assert [one.index for one in written] == list(range(10))


@pytest.mark.parametrize("name", ["default", "greedy", "all", "long"])
def test_batch_size_changes_nothing(model, tokenizer, name):
    together = sample.generate(model, tokenizer, PROMPTS, 2, SETTINGS[name])
    for size in (1, 3, 7):
        assert together == sample.generate(
            model, tokenizer, PROMPTS, 2, SETTINGS[name], batch_size=size
        )


def test_one_sample_again_by_its_index(model, tokenizer):
    sampling = SETTINGS["wild"]
    together = sample.generate(model, tokenizer, PROMPTS, 2, sampling)
    alone = [
        sample.generate(model, tokenizer, [one.prompt], 1, sampling, first_index=one.index)[0]
        for one in together
    ]
    assert alone == together
    streamed = ["".join(sample.stream(model, tokenizer, PROMPTS[2], sampling, index=5))]
    assert streamed == [together[5].text]


def test_seeds(model, tokenizer):
    def texts(seed):
        sampling = SamplingConfig(seed=seed, max_new_tokens=20, temperature=1.5)
        return [one.text for one in sample.generate(model, tokenizer, ["The", "The"], 2, sampling)]

    assert texts(0) == texts(0)
    assert not set(texts(0)) & set(texts(1))
    assert len(set(texts(0))) == 4


@pytest.mark.usefixtures("global_generator_untouched")
def test_leaves_the_global_generator_and_the_mode_alone(make_model, tokenizer):
    model = make_model(resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5)
    calm = sample.generate(model, tokenizer, PROMPTS, 1, SETTINGS["default"])
    model.train()
    assert calm == sample.generate(model, tokenizer, PROMPTS, 1, SETTINGS["default"])
    pieces = sample.stream(model, tokenizer, PROMPTS[0], SETTINGS["default"])
    next(pieces)
    assert all(module.training for module in model.modules())
    assert not torch.is_inference_mode_enabled()
    assert next(pieces)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("name", ["wild", "all", "long"])
def test_pieces_join_to_the_text(model, tokenizer, name):
    pieces: dict[int, list[str]] = {}
    written = sample.generate(
        model,
        tokenizer,
        PROMPTS,
        2,
        SETTINGS[name],
        on_text=lambda index, piece: pieces.setdefault(index, []).append(piece),
    )
    assert [one.text for one in written] == ["".join(pieces.get(i, [])) for i in range(10)]
    assert all(piece for many in pieces.values() for piece in many)


def test_stream_returns_the_sample(model, tokenizer):
    def listen():
        heard.append((yield from sample.stream(model, tokenizer, "The", SETTINGS["all"])))

    heard: list[Sample] = []
    text = "".join(listen())
    assert heard == sample.generate(model, tokenizer, ["The"], 1, SETTINGS["all"])
    assert heard[0].text == text


def test_samples_come_as_they_finish(model, tokenizer):
    sampling = dataclasses.replace(SETTINGS["wild"], max_new_tokens=200)
    each = list(sample.write_each(model, tokenizer, PROMPTS, 4, sampling, batch_size=5))
    assert sorted(each, key=lambda one: one.index) == sample.generate(
        model, tokenizer, PROMPTS, 4, sampling
    )
    assert [one.index for one in each] != list(range(20))


def test_how_texts_finish(model, tokenizer):
    sampling = SamplingConfig(max_new_tokens=60, temperature=1.5, top_p=1.0, stop=("e", "t the"))
    written = sample.generate(model, tokenizer, PROMPTS, 20, sampling)
    assert {one.finish_reason for one in written} == {"end", "stop", "length"}
    for one in written:
        assert "e" not in one.text
        assert "<|endoftext|>" not in one.text
        assert (one.tokens == 60) or one.finish_reason != "length"
    # Without stops the texts are the same up to where the stop begins.
    freely = sample.generate(model, tokenizer, PROMPTS, 20, dataclasses.replace(sampling, stop=()))
    for stopped, free in zip(written, freely, strict=True):
        cut = free.text.find("e")
        assert stopped.text == (free.text if cut < 0 else free.text[:cut])
        assert (stopped.finish_reason == "stop") == (cut >= 0)


def chain_model(make_model, tokenizer, ids: list[int]):
    """A GPT-2 that writes `ids` and ends: each token has one follower."""
    model = make_model(std=1e-9, tie_word_embeddings=False)
    chain = [tokenizer.eot_id, *ids, tokenizer.eot_id]
    assert len(set(chain[:-1])) == len(chain) - 1, "each token has one follower"
    with torch.no_grad():
        model.embed_tokens.weight.normal_(generator=torch.Generator().manual_seed(0))
        known_TC = model(torch.tensor(chain[:-1])[:, None])[:, 0]
        model.lm_head.weight[chain[1:]] = known_TC
    return model


def test_stop_texts_and_characters_across_tokens(make_model, tokenizer):
    data = "x🦆 !".encode()
    by_bytes = {tokenizer.token_bytes(token): token for token in range(1, 257)}
    ids = [by_bytes[bytes([byte])] for byte in data]
    model = chain_model(make_model, tokenizer, ids)

    def write(**changes) -> tuple[str, str, int]:
        sampling = SamplingConfig(greedy=True, max_new_tokens=100, **changes)
        [one] = sample.generate(model, tokenizer, [""], 1, sampling)
        pieces = list(sample.stream(model, tokenizer, "", sampling))
        assert "".join(pieces) == one.text
        assert "\ufffd" not in one.text
        return one.text, one.finish_reason, one.tokens

    assert write() == ("x🦆 !", "end", 7)
    assert write(stop=("🦆 ?", "x🦆 !!")) == ("x🦆 !", "end", 7)
    assert write(stop=("🦆 ", "zzz")) == ("x", "stop", 6)
    assert write(stop=("x",)) == ("", "stop", 1)
    model = chain_model(make_model, tokenizer, ids[:3])
    assert write() == ("x", "end", 3)


@pytest.mark.parametrize(
    "ours", [{}, {"no_repeat_ngram_size": 2}, {"repetition_penalty": 1.4}], ids=str
)
def test_greedy_is_token_identical_with_transformers(make_model, tokenizer, as_transformers, ours):
    theirs = dict(ours)
    if penalty := theirs.pop("repetition_penalty", None):
        from transformers.generation import RepetitionPenaltyLogitsProcessor as Penalty

        # The <|endoftext|> before the prompt is no text, so it is not penalised.
        theirs["logits_processor"] = [Penalty(penalty, prompt_ignore_length=1)]
    model = make_model(n_positions=256, std=0.4)
    peer = as_transformers(model)
    length = {"max_new_tokens": 200, "min_new_tokens": 200}
    written = sample.generate(
        model, tokenizer, PROMPTS, 1, SamplingConfig(greedy=True, **length, **ours)
    )
    for prompt, one in zip(PROMPTS, written, strict=True):
        ids = [tokenizer.eot_id, *tokenizer.encode(prompt)]
        expected = peer.generate(
            torch.tensor([ids]), do_sample=False, eos_token_id=tokenizer.eot_id, **length, **theirs
        )[0, len(ids) :].tolist()
        assert one.tokens == len(expected) == 200
        assert one.text == decode_whole(tokenizer, expected)
        assert len(set(expected)) > (10 if ours else 0)


def decode_whole(tokenizer, ids: list[int]) -> str:
    """The text of tokens, without an unfinished character at the end."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return decoder.decode(b"".join(tokenizer.printed_bytes(id_) for id_ in ids))


@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    prompts=st.lists(st.text("goose council🦆 ", max_size=30), min_size=1, max_size=5),
    n=st.integers(1, 3),
    batch_size=st.integers(1, 6),
    seed=st.integers(),
    max_new=st.integers(0, 60),
    stop=st.lists(st.sampled_from(["e", " t", "oo", "ou", "�"]), max_size=2).map(tuple),
)
def test_any_batch_equals_the_plain_way(
    make_model, tokenizer, prompts, n, batch_size, seed, max_new, stop
):
    model = make_model(n_positions=20)
    sampling = SamplingConfig(max_new_tokens=max_new, seed=seed, stop=stop)
    written = sample.generate(model, tokenizer, prompts, n, sampling, batch_size=batch_size)
    assert_written(written, write_plainly(model, tokenizer, prompts, n, sampling))


def test_long_prompts_are_named(make_model, tokenizer):
    model, heard = make_model(n_positions=16), []
    prompts = ["tea " * 39 + "tea", "tea"]
    sampling = SamplingConfig(max_new_tokens=10)
    written = sample.generate(model, tokenizer, prompts, 1, sampling, warn=heard.append)
    assert [one.tokens for one in written] == [10, 10]
    assert len(heard) == 1
    assert "reads 16 at most; only its last 8 are used." in heard[0]
    assert_written(written, write_plainly(model, tokenizer, prompts, 1, sampling))


def test_ids_that_the_tokenizer_lacks_are_never_written(make_model, tokenizer):
    model = make_model(vocab_size=tokenizer.vocab_size + 500)
    written = sample.generate(model, tokenizer, PROMPTS, 4, SETTINGS["wild"])
    assert_written(written, write_plainly(model, tokenizer, PROMPTS, 4, SETTINGS["wild"]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_writes(model, tokenizer, dtype):
    written = sample.generate(model.to(dtype), tokenizer, PROMPTS, 2, SETTINGS["long"])
    assert all(one.tokens == 100 for one in written)


def test_autocast_writes(model, tokenizer):
    with torch.autocast("cpu", torch.bfloat16):
        written = sample.generate(model, tokenizer, PROMPTS, 2, SETTINGS["default"])
    assert len(written) == 10


def test_errors(model, tokenizer, monkeypatch):
    with pytest.raises(UsageError, match="at least 1"):
        sample.generate(model, tokenizer, PROMPTS, 0, SamplingConfig())
    with pytest.raises(UsageError, match="batch_size"):
        sample.generate(model, tokenizer, PROMPTS, 1, SamplingConfig(), batch_size=0)
    with pytest.raises(UsageError, match="top_p"):
        next(sample.stream(model, tokenizer, "", SamplingConfig(top_p=2.0)))
    assert sample.generate(model, tokenizer, [], 1, SamplingConfig()) == []

    def full(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(decoder.TorchDecoder, "feed", full)
    with pytest.raises(OutOfRoomError, match="--batch-size"):
        sample.generate(model, tokenizer, PROMPTS, 1, SamplingConfig())


@pytest.mark.parametrize("name", ["default", "greedy", "wild"])
def test_a_model_that_diverged(model, tokenizer, name):
    with torch.no_grad():
        model.embed_tokens.weight[5] = float("nan")
    with pytest.raises(ModelError, match="not numbers"):
        sample.generate(model, tokenizer, PROMPTS, 1, SETTINGS[name])


def test_rows_by_memory(make_model, monkeypatch):
    model = decoder.as_source(make_model(n_positions=1024))
    assert batch.choose_rows(model, [[1, 2]], 100) == 32
    monkeypatch.setattr(batch, "CPU_BYTES", 2**21)
    assert 1 <= batch.choose_rows(model, [[1, 2]], 1000) < 8
    assert 8 <= batch.choose_rows(model, [[1, 2]], 100) < 32
    monkeypatch.setattr(batch, "CPU_BYTES", 0)
    assert batch.choose_rows(model, [[1, 2]], 100) == 1


def test_prompts_of_a_batch_are_read_once_each(model, tokenizer, monkeypatch):
    read = []
    forward = model.forward

    def count(tokens_BT, *rest):
        read.append(tuple(tokens_BT.shape))
        return forward(tokens_BT, *rest)

    monkeypatch.setattr(model, "forward", count)
    sampling = SamplingConfig(max_new_tokens=3, min_new_tokens=3)
    sample.generate(model, tokenizer, ["The goose sat"], 8, sampling)
    length = len(tokenizer.encode("The goose sat"))
    assert read == [(1, length), (8, 1), (8, 1), (8, 1)]


@pytest.mark.parametrize(
    "shape",
    [{"model_type": "openai-gpt"}, {"tie_word_embeddings": False}, {"n_positions": 1}],
    ids=str,
)
def test_other_shapes_of_model(make_model, tokenizer, shape):
    model = make_model(**shape)
    sampling = SamplingConfig(max_new_tokens=60, temperature=1.2)
    written = sample.generate(model, tokenizer, PROMPTS, 2, sampling)
    assert_written(written, write_plainly(model, tokenizer, PROMPTS, 2, sampling))
