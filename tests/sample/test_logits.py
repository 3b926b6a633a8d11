"""The filters leave what transformers' leave, on random logits."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers", reason="needs transformers")

from transformers.generation import (
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    MinPLogitsWarper,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from penwright.config import SamplingConfig
from penwright.errors import UsageError
from penwright.sample import logits, processors
from penwright.sample.processors import Rows

LIGHT = settings(deadline=None)
NO_IDS = torch.zeros(1, 0, dtype=torch.long)


@st.composite
def random_logits(draw: st.DrawFn) -> torch.Tensor:
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    shape = draw(st.integers(1, 4)), draw(st.sampled_from([2, 7, 50, 1000]))
    return torch.randn(shape, generator=generator) * draw(st.sampled_from([0.1, 1.0, 5.0]))


@st.composite
def texts(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Random logits, and ids of a small vocabulary, so that runs repeat."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    rows, vocabulary = draw(st.integers(1, 4)), draw(st.integers(2, 6))
    logits_BV = torch.randn(rows, vocabulary, generator=generator)
    length = draw(st.integers(1, 30))
    return logits_BV, torch.randint(vocabulary, (rows, length), generator=generator)


def assert_same_but_for_rounding(ours_BV, theirs_BV, border_BV, border: float) -> None:
    """Equal, but where `border_BV`, which decides what is kept, rounds to `border`."""
    differ_BV = ours_BV != theirs_BV
    torch.testing.assert_close(
        border_BV[differ_BV].float(), torch.full((int(differ_BV.sum()),), border), atol=1e-6, rtol=0
    )


@LIGHT
@given(random_logits(), st.floats(0.05, 5))
def test_temperature(logits_BV, t):
    assert torch.equal(
        processors.temperature(logits_BV, t), TemperatureLogitsWarper(t)(NO_IDS, logits_BV)
    )


@LIGHT
@given(random_logits(), st.integers(1, 1200))
def test_top_k(logits_BV, k):
    assert torch.equal(processors.top_k(logits_BV, k), TopKLogitsWarper(k)(NO_IDS, logits_BV))


@LIGHT
@given(random_logits(), st.floats(0, 0.999))
def test_top_p(logits_BV, p):
    sorted_BV, order_BV = logits_BV.double().softmax(-1).sort(descending=True)
    before_BV = torch.empty_like(sorted_BV)
    before_BV.scatter_(1, order_BV, sorted_BV.cumsum(-1) - sorted_BV)
    ours_BV, theirs_BV = processors.top_p(logits_BV, p), TopPLogitsWarper(p)(NO_IDS, logits_BV)
    assert_same_but_for_rounding(ours_BV, theirs_BV, before_BV, p)


@LIGHT
@given(random_logits(), st.floats(0, 1))
def test_min_p(logits_BV, share):
    p_BV = logits_BV.double().softmax(-1)
    border_BV = p_BV / p_BV.amax(-1, keepdim=True)
    ours_BV, theirs_BV = (
        processors.min_p(logits_BV, share),
        MinPLogitsWarper(share)(NO_IDS, logits_BV),
    )
    assert_same_but_for_rounding(ours_BV, theirs_BV, border_BV, share)


@LIGHT
@given(random_logits(), st.floats(0.01, 0.999))
def test_typical_p(logits_BV, mass):
    logp_BV = logits_BV.double().log_softmax(-1)
    distance_BV = (logp_BV - (logp_BV * logp_BV.exp()).sum(-1, keepdim=True)).abs()
    order_BV = distance_BV.argsort()
    mass_BV = logp_BV.gather(1, order_BV).exp().cumsum(-1)
    before_BV = torch.empty_like(mass_BV)
    before_BV.scatter_(1, order_BV, mass_BV.roll(1, -1).index_fill(1, torch.tensor(0), 0.0))
    ours_BV = processors.typical_p(logits_BV, mass)
    theirs_BV = TypicalLogitsWarper(mass)(NO_IDS, logits_BV)
    assert_same_but_for_rounding(ours_BV, theirs_BV, before_BV, mass)


@LIGHT
@given(
    texts(),
    st.dictionaries(
        st.lists(st.integers(0, 1), min_size=1, max_size=4).map(tuple),
        st.one_of(st.floats(-9, 9), st.just(float("-inf"))),
        min_size=1,
        max_size=5,
    ),
)
def test_sequence_bias(given_texts, biases):
    logits_BV, ids_BT = given_texts
    lengths_B = torch.full((len(ids_BT),), ids_BT.shape[1])
    theirs_BV = SequenceBiasLogitsProcessor(biases)(ids_BT, logits_BV)
    ours_BV = processors.sequence_bias(logits_BV, ids_BT, lengths_B, biases)
    torch.testing.assert_close(ours_BV, theirs_BV)
    banned = [list(ids) for ids in biases]
    theirs_BV = NoBadWordsLogitsProcessor(banned)(ids_BT, logits_BV)
    never = dict.fromkeys(biases, processors.RULED_OUT)
    assert torch.equal(processors.sequence_bias(logits_BV, ids_BT, lengths_B, never), theirs_BV)


@LIGHT
@given(texts(), st.integers(0, 12), st.floats(-2, 2), st.floats(-2, 2), st.integers(0, 5))
def test_frequency_and_presence_are_those_of_openai(given_texts, prompt, each, once, more):
    """logit[j] - count[j] * frequency_penalty - float(count[j] > 0) * presence_penalty."""
    logits_BV, ids_BT = given_texts
    prompt = min(prompt, ids_BT.shape[1])
    expected_BV = logits_BV.clone()
    for row, ids in enumerate(ids_BT.tolist()):
        for token, count in Counter(ids[prompt:]).items():
            expected_BV[row, token] -= count * each + float(count > 0) * once
    filler_BT = torch.full((len(ids_BT), more), logits_BV.shape[1])
    lengths_B = torch.full((len(ids_BT),), ids_BT.shape[1])
    rows = Rows(torch.cat([ids_BT, filler_BT], 1), lengths_B, lengths_B - prompt, [])
    ours_BV = processors.count_penalty(logits_BV, rows, each=each, once=once)
    torch.testing.assert_close(ours_BV, expected_BV)


def test_logit_bias_by_text_and_by_id(tokenizer):
    ids = tokenizer.encode(" goose sat")
    assert len(ids) > 1
    biases = processors.parse_biases([" goose sat=2.5", "id:5=-inf", "a=b=1"], tokenizer)
    expected = {tuple(ids[:end]): 2.5 for end in range(1, len(ids) + 1)}
    expected |= {tuple(tokenizer.encode("a=b")[:end]): 1.0 for end in (1, 2, 3)}
    assert biases == expected | {(5,): float("-inf")}


@pytest.mark.parametrize("item", ["goose", "goose=", "=2", "id:x=2", "goose=nan", "goose=inf"])
def test_a_logit_bias_that_is_none(tokenizer, item):
    with pytest.raises(UsageError, match=f"logit bias '{item}' is not TEXT=BIAS"):
        processors.parse_biases([item], tokenizer)


@pytest.mark.parametrize("token", [-1, 100_000])
def test_a_logit_bias_of_an_unknown_token(tokenizer, token):
    last = tokenizer.vocab_size - 1
    with pytest.raises(UsageError, match=f"token {token}, but the tokenizer has .* 0 to {last}"):
        processors.parse_biases([f"id:{token}=1"], tokenizer)


@LIGHT
@given(texts(), st.floats(0.2, 6))
def test_repetition_penalty(given_texts, penalty):
    logits_BV, ids_BT = given_texts
    theirs_BV = RepetitionPenaltyLogitsProcessor(penalty)(ids_BT, logits_BV.clone())
    assert torch.equal(processors.repetition_penalty(logits_BV, ids_BT, penalty), theirs_BV)


@LIGHT
@given(texts(), st.integers(1, 4))
def test_no_repeat_ngram(given_texts, n):
    logits_BV, ids_BT = given_texts
    theirs_BV = NoRepeatNGramLogitsProcessor(n)(ids_BT, logits_BV)
    lengths_B = torch.full((len(ids_BT),), ids_BT.shape[1])
    assert torch.equal(processors.no_repeat_ngram(logits_BV, ids_BT, lengths_B, n), theirs_BV)


@LIGHT
@given(texts(), st.integers(1, 4), st.floats(0.2, 6), st.integers(0, 20))
def test_filling_changes_nothing(given_texts, n, penalty, more):
    logits_BV, ids_BT = given_texts
    lengths_B = torch.full((len(ids_BT),), ids_BT.shape[1])
    filler_BT = torch.full((len(ids_BT), more), logits_BV.shape[1] + more)
    filled_BT = torch.cat([ids_BT, filler_BT], dim=1)
    assert torch.equal(
        processors.no_repeat_ngram(logits_BV, filled_BT, lengths_B, n),
        processors.no_repeat_ngram(logits_BV, ids_BT, lengths_B, n),
    )
    assert torch.equal(
        processors.repetition_penalty(logits_BV, filled_BT, penalty),
        processors.repetition_penalty(logits_BV, ids_BT, penalty),
    )


@LIGHT
@given(texts(), st.integers(0, 20), st.integers(0, 1))
def test_min_new_tokens(given_texts, least, end_token):
    logits_BV, ids_BT = given_texts
    theirs_BV = MinNewTokensLengthLogitsProcessor(0, least, end_token)(ids_BT, logits_BV)
    written_B = torch.full((len(ids_BT),), ids_BT.shape[1])
    assert torch.equal(processors.forbid(logits_BV, [end_token], written_B < least), theirs_BV)


@LIGHT
@given(texts(), st.integers(0, 2**32))
def test_order_is_that_of_transformers(tokenizer, given_texts, seed):
    small_BV, ids_BT = given_texts
    generator = torch.Generator().manual_seed(seed)
    logits_BV = torch.randn(len(small_BV), 200, generator=generator) * 3
    sampling = SamplingConfig(
        repetition_penalty=1.7,
        no_repeat_ngram_size=2,
        min_new_tokens=15,
        temperature=0.7,
        top_k=60,
        top_p=0.9,
        min_p=0.02,
        typical_p=0.9,
        logit_bias=("id:3=-0.5", "id:7=2"),
    )
    theirs = LogitsProcessorList(
        [
            SequenceBiasLogitsProcessor({(3,): -0.5, (7,): 2.0}),
            RepetitionPenaltyLogitsProcessor(1.7),
            NoRepeatNGramLogitsProcessor(2),
            MinNewTokensLengthLogitsProcessor(0, 15, 3),
            TemperatureLogitsWarper(0.7),
            TopKLogitsWarper(60),
            TopPLogitsWarper(0.9),
            MinPLogitsWarper(0.02),
            TypicalLogitsWarper(0.9),
        ]
    )
    lengths_B = torch.full((len(ids_BT),), ids_BT.shape[1])
    rows = Rows(ids_BT, lengths_B, lengths_B, [3])
    ours_BV = logits.Chooser(sampling, tokenizer).process(logits_BV, rows)
    ours_BV = logits.warp(ours_BV, sampling)
    assert torch.equal(ours_BV, theirs(ids_BT, logits_BV.clone()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_k": -1},
        {"top_p": 1.1},
        {"top_p": 0.0},
        {"typical_p": 0.0},
        {"frequency_penalty": float("nan")},
        {"presence_penalty": float("inf")},
        {"min_p": 2.0},
        {"repetition_penalty": 0.0},
        {"max_new_tokens": -1},
        {"stop": ("a", "")},
        {"no_repeat_ngram_size": -1},
        {"min_new_tokens": -1},
    ],
)
def test_settings_that_cannot_be(wrong):
    with pytest.raises(UsageError, match="stop" if "stop" in wrong else next(iter(wrong))):
        logits.check(SamplingConfig(**wrong))


def test_zero_temperature_is_greedy():
    assert logits.is_greedy(SamplingConfig(temperature=0.0))
    assert logits.is_greedy(SamplingConfig(greedy=True))
    assert not logits.is_greedy(SamplingConfig(temperature=1e-3))
