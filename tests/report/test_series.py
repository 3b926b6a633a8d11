"""Ticks, scales, smoothing, fewer points."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penwright.report.series import (
    Points,
    Scale,
    Series,
    dots,
    downsample,
    frame,
    nice_ticks,
    padded,
    path,
    ratio_ticks,
    smooth,
    spread,
    step_labels,
    tick_labels,
)

values = st.floats(-1e9, 1e9)
sizes = st.floats(1e-6, 1e9)
broken = st.one_of(st.floats(-100, 100), st.just(math.nan))


def series(most: int = 400) -> st.SearchStrategy[Points]:
    return st.lists(broken, min_size=1, max_size=most).map(
        lambda items: [(float(step), value) for step, value in enumerate(items, 1)]
    )


@given(values, sizes, st.integers(5, 9))
def test_nice_ticks_are_few_round_and_inside(low: float, span: float, count: int) -> None:
    high = low + span
    assume(span > 1e-6 * max(abs(low), abs(high)))
    ticks = nice_ticks(low, high, count)
    assert 2 <= len(ticks) <= count
    slack = span * 1e-9
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    steps = {round((b - a) / span, 6) for a, b in pairwise(ticks)}
    assert len(steps) == 1 or max(steps) - min(steps) < 1e-4
    assert f"{ticks[1] - ticks[0]:.2e}"[:4] in {"1.00", "2.00", "5.00"}
    assert 0.0 in ticks or low > 0 or high < 0


@given(values, sizes)
def test_tick_labels_tell_ticks_apart(low: float, span: float) -> None:
    assume(span > 1e-6 * max(abs(low), abs(low + span)))
    labels = tick_labels(nice_ticks(low, low + span))
    assert len(set(labels)) == len(labels)


def test_tick_labels_are_short() -> None:
    assert tick_labels([0, 2e-4, 4e-4]) == ["0", "2e-4", "4e-4"]
    assert tick_labels([3.0, 3.5, 4.0]) == ["3.0", "3.5", "4.0"]
    assert tick_labels([0, 1000, 2000]) == ["0", "1,000", "2,000"]
    assert tick_labels([0, 50_000, 100_000]) == ["0", "50k", "100k"]
    assert step_labels([0, 500, 2000]) == ["0", "500", "2,000"]
    assert step_labels([0, 500, 1500, 20_000]) == ["0", "500", "1.5k", "20k"]


def test_a_range_without_width_has_one_tick() -> None:
    assert nice_ticks(3.0, 3.0) == [3.0]
    assert nice_ticks(0.0, 0.0) == [0.0]


@given(st.floats(1e-3, 1e6), st.floats(1.01, 1e6), st.integers(5, 8))
def test_ratio_ticks_are_few_and_inside(low: float, ratio: float, count: int) -> None:
    ticks = ratio_ticks(low, low * ratio, count)
    assert 1 <= len(ticks) <= count
    assert all(low * (1 - 1e-9) <= tick <= low * ratio * (1 + 1e-9) for tick in ticks)
    assert ticks == sorted(set(ticks))


@given(values, sizes, st.sampled_from([0.0, 1.0, 1e3]))
def test_scale_runs_from_end_to_end(low: float, span: float, unit: float) -> None:
    assume(span > 1e-6 * abs(low))
    scale = Scale(low, low + span, unit)
    places = [scale(low + span * part / 10) for part in range(11)]
    assert places[0] == pytest.approx(0, abs=1e-6)
    assert places[-1] == pytest.approx(1000)
    assert places == sorted(places)


@given(values, st.floats(0, 1e9))
def test_padding_gives_every_range_a_width(low: float, span: float) -> None:
    wider = padded(low, low + span)
    assert wider[0] < low
    assert wider[1] > low + span


@given(series(), st.integers(2, 60))
def test_downsampling_keeps_ends_extremes_gaps_and_order(points: Points, most: int) -> None:
    kept = downsample(points, most)
    assert len(kept) <= max(len(points) if len(points) <= most else 0, 1.5 * most + 2)
    steps = [step for step, _ in kept]
    assert steps == sorted(set(steps))
    assert {str(point) for point in kept} <= {str(point) for point in points}
    assert [str(kept[0]), str(kept[-1])] == [str(points[0]), str(points[-1])]
    finite = [value for _, value in points if not math.isnan(value)]
    left = [value for _, value in kept if not math.isnan(value)]
    assert (min(finite), max(finite)) == (min(left), max(left)) if finite else not left
    assert any(math.isnan(v) for _, v in kept) == any(math.isnan(v) for _, v in points)


@given(st.integers(0, 500), st.integers(1, 60))
def test_spread_keeps_the_ends(total: int, most: int) -> None:
    kept = spread(total, most)
    assert len(kept) == min(total, most)
    assert kept == sorted(set(kept))
    assert not kept or kept[-1] == total - 1
    assert len(kept) < 2 or kept[0] == 0


def naive_smooth(values: list[float]) -> list[float]:
    """The same windows, each with a line fitted by numpy."""
    half_most = max(2, len(values) // 30)
    fitted = []
    for index in range(len(values)):
        half = max(2, min(half_most, (index + 1) // 2))
        window = np.arange(max(0, index - half), min(len(values), index + half + 1))
        line = np.polyfit(window, np.array(values)[window], 1)
        fitted.append(float(np.polyval(line, index)))
    return fitted


@given(st.lists(st.floats(0, 10), min_size=20, max_size=150))
def test_smoothing_is_two_rounds_of_fitted_lines(items: list[float]) -> None:
    smoothed = [value for _, value in smooth([(i, v) for i, v in enumerate(items)])]
    assert smoothed == pytest.approx(naive_smooth(naive_smooth(items)), abs=1e-6)


@given(series())
def test_smoothing_keeps_steps_and_gaps(points: Points) -> None:
    smoothed = smooth(points)
    assert [step for step, _ in smoothed] == [step for step, _ in points]
    assert [math.isnan(v) for _, v in smoothed] == [math.isnan(v) for _, v in points]


def test_smoothing_leaves_a_line_as_it_is_however_long() -> None:
    for length in (20, 500, 10_000):
        line = [(float(step), 3.0 + step / 100) for step in range(length)]
        for step, value in smooth(line):
            assert value == pytest.approx(3.0 + step / 100)


def test_one_wild_value_does_not_flatten_the_others() -> None:
    points = [(float(step), 3 + math.sin(step)) for step in range(200)]
    low, high = frame([*points, (200.0, 1e6)])
    assert 1.9 < low < 2.1
    assert 3.9 < high < 4.1
    assert frame([*points, (200.0, 1e6)], [7.0])[1] == 7.0
    assert frame([*points, (200.0, 4.5)])[1] == 4.5


@given(series(), st.lists(st.floats(-50, 50), max_size=3))
def test_a_frame_holds_what_it_must_and_most_of_the_rest(points: Points, must: list[float]) -> None:
    low, high = frame(points, must)
    assert low <= high
    assert all(low <= value <= high for value in must)
    finite = [value for _, value in points if not math.isnan(value)]
    assert sum(low <= value <= high for value in finite) >= 0.97 * len(finite) - 2


@given(series(40))
def test_a_path_draws_every_finite_point_and_lifts_the_pen_at_gaps(points: Points) -> None:
    high = max(step for step, _ in points)
    drawn = path(points, Scale(0, high), Scale(-100, 100))
    finite = [value for _, value in points if not math.isnan(value)]
    pieces = re.findall(r"([ML])(-?[\d.]+) (-?[\d.]+)", drawn)
    assert len(pieces) == len(finite)
    for (_, _, y), value in zip(pieces, finite, strict=True):
        assert float(y) == pytest.approx(500 - 5 * value, abs=0.06)
    starts = [
        not math.isnan(value) and (index == 0 or math.isnan(points[index - 1][1]))
        for index, (_, value) in enumerate(points)
    ]
    assert sum(letter == "M" for letter, _, _ in pieces) == sum(starts)
    assert dots(points, Scale(0, high), Scale(-100, 100)).count("h0") == len(finite)


def test_a_path_is_what_it_was() -> None:
    points = [(0.0, 1.0), (1.0, 3.0), (2.0, math.nan), (4.0, 2.0)]
    assert path(points, Scale(0, 4), Scale(1, 3)) == "M0 1000L250 0M1000 500h0"


def test_a_series_forgets_from_a_step_on() -> None:
    curve = Series([(1, 4.0), (2, math.nan), (3, 3.0)])
    assert curve.finite() == [4.0, 3.0]
    curve.forget(2)
    assert curve.points() == [(1.0, 4.0)]
