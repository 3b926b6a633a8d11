"""The draw has the right distribution, and depends on the sample alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.config import SamplingConfig
from penwright.errors import ModelError, UsageError
from penwright.sample import logits, processors

samplings = st.builds(
    SamplingConfig,
    temperature=st.floats(0.1, 3),
    top_k=st.sampled_from([0, 0, 1, 3, 40, 700, 5000]),
    top_p=st.sampled_from([1e-9, 0.3, 0.95, 0.9999, 1.0]),
    min_p=st.sampled_from([0.0, 0.01, 0.5, 1.0]),
)
SIZES = st.sampled_from([2, 40, 2000])


def kept_by_shortlist(logits_BV: torch.Tensor, sampling: SamplingConfig) -> torch.Tensor:
    rows_N, ids_N, scores_N = logits.shortlist(logits_BV, sampling)
    full_BV = torch.full(logits_BV.shape, processors.RULED_OUT, dtype=torch.float64)
    full_BV[torch.from_numpy(rows_N), torch.from_numpy(ids_N)] = torch.from_numpy(scores_N)
    return full_BV


@settings(deadline=None)
@given(samplings, st.integers(0, 2**32), st.sampled_from([0.3, 3.0]), st.booleans(), SIZES)
def test_shortlist_equals_plain_filters(sampling, seed, scale, ties, size):
    generator = torch.Generator().manual_seed(seed)
    logits_BV = torch.randn(3, size, generator=generator) * scale
    if ties:
        logits_BV = (logits_BV * 4).round() / 4
    ours_BV = kept_by_shortlist(logits_BV, sampling)
    theirs_BV = logits.warp(logits_BV, sampling)
    differ_BV = ours_BV.isinf() != theirs_BV.isinf()
    for row, token in differ_BV.nonzero().tolist():  # only where a border rounds to the other side
        values_V = logits_BV[row].double() / sampling.temperature
        if sampling.top_k:
            values_V[values_V < values_V.topk(min(size, sampling.top_k)).values[-1]] = -torch.inf
        above = values_V.softmax(0)[values_V > values_V[token]].sum()
        share = (values_V[token] - values_V.max()).exp()
        assert abs(above - sampling.top_p) < 1e-6 or abs(share - sampling.min_p) < 1e-6
    same_BV = ~differ_BV
    torch.testing.assert_close(ours_BV[same_BV], theirs_BV.double()[same_BV], rtol=1e-6, atol=1e-6)


def test_shortlist_reaches_as_far_as_the_nucleus():
    flat_BV = torch.zeros(1, 3000) - torch.arange(3000) * 1e-4
    sampling = SamplingConfig(temperature=1.0, top_p=0.9)
    _, ids_N, _ = logits.shortlist(flat_BV, sampling)
    expected = int(logits.warp(flat_BV, sampling).isfinite().sum())
    assert expected > 2000
    assert len(ids_N) == expected


def test_shortlist_reaches_a_long_flat_tail():
    """One likely token, and 49,999 so unlikely that the first look passes them by."""
    logits_BV = torch.zeros(1, 50_000) - torch.arange(50_000) * 1e-6
    logits_BV[0, 7] = 10.8
    sampling = SamplingConfig(temperature=1.0, top_p=0.9)
    _, ids_N, _ = logits.shortlist(logits_BV, sampling)
    expected = logits.warp(logits_BV, sampling)[0].isfinite().nonzero()[:, 0]
    assert 1000 < len(expected) < 49_000
    assert len(set(ids_N.tolist()) ^ set(expected.tolist())) <= 2


def test_ties_beyond_the_shortlist_share_the_nucleus():
    logits_BV = torch.tensor([[1.0, *[0.0] * 999]])
    sampling = SamplingConfig(temperature=1.0, top_k=2, top_p=0.002)
    assert len(logits.shortlist(logits_BV, sampling)[1]) == 1  # the first has e / (e + 999)
    logits_BV[0, 0] = 0.5
    assert len(logits.shortlist(logits_BV, sampling)[1]) == 1000


def test_rows_do_not_see_each_other():
    generator = torch.Generator().manual_seed(5)
    logits_BV = torch.cat([torch.randn(2, 3000, generator=generator) * s for s in (0.01, 4)])
    sampling = SamplingConfig()
    together_BV = kept_by_shortlist(logits_BV, sampling)
    alone_BV = torch.cat([kept_by_shortlist(row_V[None], sampling) for row_V in logits_BV])
    assert torch.equal(together_BV, alone_BV)


def test_seeds_write_the_same_in_every_version():
    assert logits.sample_key(0, 0) == 12035550249420947055
    keys = np.array([logits.sample_key(7, 3)] * 3, dtype=np.uint64)
    noise = logits.gumbel(keys, np.array([11] * 3), np.arange(3))
    np.testing.assert_allclose(
        noise, [0.7850993969048008, 1.3860722314798963, 0.06534890218565255], rtol=1e-12
    )


@pytest.mark.parametrize("what", ["steps", "samples", "seeds"])
def test_distribution_is_the_softmax(what):
    n, logits_V = 40_000, torch.tensor([2.0, 0.0, -1.0, 1.0, 0.5, -3.0, 0.0, 1.5])
    steps_B = np.zeros(n, dtype=np.int64)
    keys = [logits.sample_key(3, 0)] * n
    if what == "steps":
        steps_B = np.arange(n, dtype=np.int64)
    elif what == "samples":
        keys = [logits.sample_key(3, index) for index in range(n)]
    else:
        keys = [logits.sample_key(seed, 5) for seed in range(n)]
    keys_B = np.array(keys, dtype=np.uint64)
    chosen_B = logits.draw(
        logits_V.expand(n, -1), SamplingConfig(temperature=1.0, top_p=1.0), keys_B, steps_B
    )
    expected_V = logits_V.double().softmax(0).numpy() * n
    counts_V = np.bincount(chosen_B, minlength=8)
    chi_square = ((counts_V - expected_V) ** 2 / expected_V).sum()
    assert chi_square < 24.3  # 7 degrees of freedom, p = 0.001
    repeats = (chosen_B[1:] == chosen_B[:-1]).mean()
    assert repeats == pytest.approx(((expected_V / n) ** 2).sum(), abs=0.012)


def test_keys_take_any_integers():
    keys = {logits.sample_key(seed, index) for seed in range(-50, 50) for index in range(50)}
    assert len(keys) == 5000
    assert logits.sample_key(2**70, 0) != logits.sample_key(-1, 0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("sampling", [SamplingConfig(), SamplingConfig(top_p=1.0)])
def test_logits_that_are_not_numbers(bad, sampling):
    logits_BV = torch.randn(2, 500)
    logits_BV[1, 77] = bad
    keys_B, steps_B = np.zeros(2, dtype=np.uint64), np.zeros(2, dtype=np.int64)
    with pytest.raises(ModelError, match="not numbers"):
        logits.draw(logits_BV, sampling, keys_B, steps_B)
    with pytest.raises(ModelError, match="not numbers"):
        logits.likeliest(logits_BV, sampling)


def test_an_entry_in_the_table_of_warpers_is_all_that_sampling_needs(monkeypatch):
    keep_two = processors.Warper(
        off=1, rule=processors.POSITIVE, apply=lambda x_BV, _: processors.top_k(x_BV, 2)
    )
    monkeypatch.setitem(processors.OPTIONS, "length_penalty", keep_two)
    logits_BV = torch.arange(24.0).reshape(2, 12)
    rows_N, ids_N, _ = logits.shortlist(logits_BV, SamplingConfig(length_penalty=2.0, top_p=1))
    assert rows_N.tolist() == [0, 0, 1, 1]
    assert ids_N.tolist() == [10, 11, 10, 11]
    with pytest.raises(UsageError, match="length_penalty must be above 0"):
        logits.check(SamplingConfig(length_penalty=0.0))


def test_the_error_names_what_rules_every_token_out(tokenizer):
    sampling = SamplingConfig(no_repeat_ngram_size=1, logit_bias=("a=-inf",))
    nothing_BV = torch.full((1, 50), processors.RULED_OUT)
    keys_B, steps_B = np.zeros(1, dtype=np.uint64), np.zeros(1, dtype=np.int64)
    with pytest.raises(UsageError, match="ruled out") as error:
        logits.Chooser(sampling, tokenizer).choose(nothing_BV, keys_B, steps_B)
    assert "--logit-bias, --no-repeat-ngram-size." in error.value.fix


def test_what_the_native_decoder_can_do(tokenizer):
    def native(**options):
        return logits.Chooser(SamplingConfig(**options), tokenizer).native

    assert native()
    assert native(temperature=0.0, top_k=3, min_p=0.1)
    assert not native(typical_p=0.9)
    assert not native(presence_penalty=0.5)
