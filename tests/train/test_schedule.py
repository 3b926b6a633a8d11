from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("transformers", reason="needs transformers")

from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

from penwright.train.optimizer import Schedule


@given(
    kind=st.sampled_from(["constant", "linear", "cosine"]),
    steps=st.integers(1, 500),
    warmup=st.integers(0, 100),
    floor=st.floats(0, 1),
)
def test_a_rate_is_never_above_the_peak_and_never_below_the_floor(kind, steps, warmup, floor):
    schedule = Schedule(schedule=kind, learning_rate=0.1, warmup_steps=warmup, decay_factor=floor)
    rates = [schedule.rate(step, steps) for step in range(steps)]
    assert all(0 < rate <= 0.1 or floor == 0 for rate in rates)
    assert all(rate >= 0.1 * floor - 1e-12 for rate in rates[warmup:])
    assert rates[:warmup] == sorted(rates[:warmup])
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)


@pytest.mark.parametrize(
    ("kind", "make"),
    [("linear", get_linear_schedule_with_warmup), ("cosine", get_cosine_schedule_with_warmup)],
)
def test_after_warmup_the_rates_are_those_of_transformers(kind, make):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    theirs = make(optimizer, num_warmup_steps=10, num_training_steps=60)
    ours = Schedule(schedule=kind, learning_rate=0.5, warmup_steps=10)
    for step in range(60):
        if step >= 10:
            assert ours.rate(step, 60) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        theirs.step()


def test_a_longer_wsd_run_has_the_same_rates_until_it_decays():
    schedule = Schedule(schedule="wsd", learning_rate=1.0, warmup_steps=3, decay_share=0.4)
    rates = [schedule.rate(step, 10) for step in range(11)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])
    assert [schedule.rate(step, 20) for step in range(7)] == rates[:7]


def test_step_decay_multiplies_after_each_named_step():
    schedule = Schedule(schedule="step", learning_rate=1.0, decay_factor=0.1, decay_steps=(4, 6))
    assert [schedule.rate(step, 9) for step in (0, 3, 4, 5, 6, 8)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )
