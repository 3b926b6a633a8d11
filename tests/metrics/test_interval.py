from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright.errors import DataError
from penwright.metrics import Resampling, make_figure
from penwright.metrics.interval import mean_of, percent


def test_the_interval_is_the_percentiles_of_resampled_means():
    values = np.random.default_rng(5).random(60)
    figure = make_figure("mean", mean_of(list(values)), percent, Resampling(seed=3, resamples=4000))
    generator = np.random.default_rng(99)
    means = [100 * generator.choice(values, 60).mean() for _ in range(4000)]
    assert figure.value == pytest.approx(100 * values.mean())
    assert figure.low == pytest.approx(np.quantile(means, 0.025), abs=0.4)
    assert figure.high == pytest.approx(np.quantile(means, 0.975), abs=0.4)


def test_the_interval_holds_the_truth_about_95_times_of_100():
    generator = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        sample = generator.normal(0.5, 0.1, 80)
        f = make_figure("mean", mean_of(list(sample)), percent, Resampling(seed=trial))
        hits += f.low <= 50 <= f.high
    assert 178 <= hits <= 199


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.integers(0, 5))
def test_the_same_seed_gives_the_same_interval_around_the_value(values, seed):
    how = Resampling(seed=seed, resamples=50)
    first = make_figure("mean", mean_of(values), percent, how)
    assert first == make_figure("mean", mean_of(values), percent, how)
    assert 100 * min(values) - 1e-9 <= first.low <= first.high <= 100 * max(values) + 1e-9


def test_texts_of_one_document_are_drawn_together():
    values = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
    apart = make_figure("mean", mean_of(values), percent, Resampling())
    together = make_figure("mean", mean_of(values), percent, Resampling(documents="aaabbb"))
    assert apart.value == together.value == 50
    assert (apart.documents, together.documents) == (6, 2)
    assert (together.low, together.high) == (0, 100)
    assert apart.low > 0


def test_one_document_has_a_value_but_no_interval():
    figure = make_figure("mean", mean_of([0.25]), percent, Resampling())
    assert (figure.value, figure.low, figure.high) == (25, None, None)
    assert str(figure) == "25.00"


def test_nothing_measured_is_none_and_not_zero():
    figure = make_figure("mean", mean_of([None, None]), percent, Resampling())
    assert figure.value is None
    assert str(figure) == "-"


def test_nothing_to_measure_is_told():
    with pytest.raises(DataError, match="no text to measure mean"):
        make_figure("mean", mean_of([]), percent, Resampling())
    with pytest.raises(DataError, match="documents named for 1"):
        make_figure("mean", mean_of([1.0, 1.0]), percent, Resampling(documents="a"))


def test_chunks_do_not_change_the_interval(monkeypatch):
    values = list(np.random.default_rng(1).random(40))
    whole = make_figure("mean", mean_of(values), percent, Resampling())
    monkeypatch.setattr("penwright.metrics.interval._CHUNK", 40 * 7)
    assert make_figure("mean", mean_of(values), percent, Resampling()) == whole


def test_metrics_need_no_torch():
    pytest.importorskip("rouge_score", reason="needs rouge-score")
    code = (
        "import sys, penwright.metrics as e;"
        "e.measure(['a b'], ['a c'], metrics=['rouge', 'bleu', 'chrf', 'answers', 'diversity']);"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
