"""A run beside the one before it on the same data, by the losses that both kept."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from penwright.runs import Run
from penwright.score import Losses
from penwright.tokens import Split
from penwright.verbs.differences import compare_with_previous, record_losses

TOKENS = np.arange(20, 40)


@pytest.fixture
def make_run(tmp_path):
    def make(name, losses, *, fingerprint="f", first=0, **config):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        info = {"data": {"fingerprint": fingerprint}, "config": {"steps": 9} | config}
        (folder / "run.json").write_text(json.dumps(info))
        ranges = np.stack([TOKENS * 100, TOKENS * 100 + TOKENS], axis=1) + first
        found = Losses(TOKENS * losses, TOKENS, np.arange(20), 20, 999)
        record_losses(Run(folder), Split(None, ranges), found)
        return Run(folder)

    return make


def test_a_run_is_compared_with_the_newest_before_it(make_run):
    generator = np.random.default_rng(0)
    losses = generator.normal(3.0, 0.5, 20)
    assert compare_with_previous(make_run("one", losses)) is None
    make_run("two", losses, steps=10)
    found = compare_with_previous(make_run("three", losses - 0.1, steps=20, seed=3))
    assert found["name"] == "two"
    assert found["changed"] == {"steps": [10, 20], "seed": [None, 3]}
    apart = found["difference"]
    assert apart["percent"] == pytest.approx(100 * (1 - math.exp(-0.1)))
    assert apart["better"] == "three"
    assert "three predicts better than two: the perplexity of three is 9.5 % lower" in apart["says"]
    worse = compare_with_previous(make_run("four", losses + 0.2))
    assert worse["difference"]["better"] == "three"
    assert "four is 35.0 % higher (95 %: 35.0 to 35.0 % higher)" in worse["difference"]["says"]


def test_a_noisy_or_tiny_difference_tells_nothing_apart(make_run):
    generator = np.random.default_rng(0)
    losses = generator.normal(3.0, 0.5, 20)
    make_run("one", losses)
    noisy = compare_with_previous(make_run("two", losses + generator.normal(0, 0.3, 20)))
    assert noisy["difference"]["better"] is None
    assert "more held-out text would tell" in noisy["difference"]["says"]
    tiny = compare_with_previous(make_run("three", np.asarray(losses) * 0 + losses))
    assert tiny is not None


def test_runs_on_other_data_are_not_compared(make_run):
    make_run("one", 3.0)
    make_run("two", 3.0, fingerprint="g")
    assert compare_with_previous(make_run("three", 3.0, first=7)) is None
    found = compare_with_previous(make_run("four", 3.0))
    assert found["name"] == "one"
    assert "two seeds of one recipe differ as much" in found["difference"]["says"]
