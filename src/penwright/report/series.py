"""Series of values, and their ticks, scales, smoothing and downsampling. No markup.

NaN marks a value that was no number.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

Points = list[tuple[float, float]]
FEWEST_TO_SMOOTH = 20
_MOST_TO_SMOOTH = 3000
_MOST_WILD = 20


class Series:
    """Values by step, 16 bytes each, since a run may have millions of steps."""

    def __init__(self, points: Iterable[tuple[float, float]] = ()) -> None:
        self.steps = array("d")
        self.values = array("d")
        for step, value in points:
            self.append(step, value)

    def append(self, step: float, value: float) -> None:
        """Append a value."""
        self.steps.append(step)
        self.values.append(value)

    def forget(self, step: float) -> None:
        """Drop all values from `step` on."""
        while self.steps and self.steps[-1] >= step:
            self.steps.pop()
            self.values.pop()

    def points(self) -> Points:
        """Return pairs of step and value."""
        return list(zip(self.steps, self.values, strict=True))

    def finite(self) -> list[float]:
        """Return the values that are not NaN."""
        return [value for value in self.values if not math.isnan(value)]


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return at most `count` ticks in [low, high], 1, 2 or 5 times a power of ten apart.

    At least two when `count` is 5 or more and the ends differ by more than rounding error.
    """
    span = high - low
    if span <= max(abs(low), abs(high)) * 1e-9 or span < 1e-300:
        return [low]
    exponent = math.floor(math.log10(span / count))
    while True:
        for digit in (1, 2, 5):
            step = float(f"{digit}e{exponent}")
            first, last = math.ceil(low / step), math.floor(high / step)
            if last - first < count:
                return [float(f"{index * digit}e{exponent}") for index in range(first, last + 1)]
        exponent += 1


def ratio_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return at most `count` logarithmic ticks (1, 2 or 5 times a power of ten) in [low, high].

    For a logarithmic scale; falls back to `nice_ticks` where fewer than two would be left.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) <= count:
            break
    else:
        ticks = ticks[:: math.ceil(len(ticks) / count)]
    return ticks if len(ticks) > 1 else nice_ticks(low, high, count)


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Format all ticks in one short form: 0.25, 1,000, 50k or 5e-4."""
    largest = max((abs(tick) for tick in ticks), default=0.0)
    if 0 < largest < 0.01:
        return ["0" if tick == 0 else _scientific(tick) for tick in ticks]
    for unit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if largest >= 10 * unit:
            return ["0" if tick == 0 else f"{tick / unit:.12g}{suffix}" for tick in ticks]
    decimals = max((_decimals(tick) for tick in ticks), default=0)
    return [f"{tick:,.{decimals}f}" for tick in ticks]


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.12e}".split("e")
    return f"{float(mantissa):.12g}e{int(exponent)}"


def _decimals(value: float) -> int:
    """Return the number of decimals that `value` needs, at most twelve."""
    return len(f"{value:.12f}".rstrip("0").partition(".")[2])


def step_labels(ticks: Sequence[float]) -> list[str]:
    """Format steps: 0, 500, 1,500, or with ten thousand and more 500, 1.5k, 20k, 3M."""
    if max(ticks, default=0) < 10_000:
        return [f"{tick:,.0f}" for tick in ticks]
    units = ((1e6, "M"), (1e3, "k"), (1, ""))
    found = [next((unit for unit in units if tick >= unit[0]), (1, "")) for tick in ticks]
    return [f"{tick / unit:g}{suffix}" for tick, (unit, suffix) in zip(ticks, found, strict=True)]


@dataclass(frozen=True)
class Scale:
    """Maps [low, high] to [0, 1000], evenly, or with `unit` as log(1 + distance from low / unit).

    The smaller the unit, the more room the start takes.
    """

    low: float
    high: float
    unit: float = 0.0

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        if span <= 0:
            return 500.0
        if self.unit:
            distance = max(0.0, value - self.low) / self.unit
            return 1000 * math.log1p(distance) / math.log1p(span / self.unit)
        return 1000 * (value - self.low) / span


def padded(low: float, high: float, share: float = 0.06) -> tuple[float, float]:
    """Widen a range a little; a range of one value gets a width."""
    room = (high - low) * share
    if room <= max(abs(low), abs(high)) * 1e-9:
        room = abs(high) * share or 1.0
    return low - room, high + room


def downsample(points: Points, most: int) -> Points:
    """Keep about `most` points: the lowest, the highest and one NaN of each bucket.

    The first and the last stay too, so no extreme, end or gap is lost.
    """
    if len(points) <= most:
        return points
    buckets = max(1, most // 2)
    kept = {0, len(points) - 1}
    for bucket in range(buckets):
        indexes = range(bucket * len(points) // buckets, (bucket + 1) * len(points) // buckets)
        finite = [index for index in indexes if not math.isnan(points[index][1])]
        if finite:
            kept.add(min(finite, key=lambda index: points[index][1]))
            kept.add(max(finite, key=lambda index: points[index][1]))
        if len(finite) < len(indexes):
            kept.add(next(index for index in indexes if math.isnan(points[index][1])))
    return [points[index] for index in sorted(kept)]


def spread(total: int, most: int) -> list[int]:
    """Return at most `most` evenly spaced indices below `total`, with the first and the last."""
    if total <= most:
        return list(range(total))
    if most == 1:
        return [total - 1]
    return [round(place * (total - 1) / (most - 1)) for place in range(most)]


def smooth(points: Points) -> Points:
    """Smooth twice by local linear regression (Cleveland 1979, with equal weights).

    A window is a fifteenth of the series, and shorter near the start, where a loss falls fastest.
    Fitting a line instead of a mean keeps the ends from being bent. NaN stays NaN. A series
    of less than twenty points is left as it is; of one longer than a few thousand, means of equal
    pieces are smoothed.
    """
    if len(points) < FEWEST_TO_SMOOTH:
        return points
    points = _means(points, _MOST_TO_SMOOTH)
    values = [value for _, value in points if not math.isnan(value)]
    remaining = iter(_fit_lines(_fit_lines(values)))
    return [(x, value if math.isnan(value) else next(remaining)) for x, value in points]


def _means(points: Points, most: int) -> Points:
    """Return the means of at most `most` equal buckets; NaN for a bucket without a finite value."""
    size = math.ceil(len(points) / most)
    if size <= 1:
        return points
    means = []
    for start in range(0, len(points), size):
        piece = points[start : start + size]
        finite = [point for point in piece if not math.isnan(point[1])]
        count = len(finite) or len(piece)
        means.append(
            (
                sum(step for step, _ in finite or piece) / count,
                sum(y for _, y in finite or piece) / count,
            )
        )
    return means


def _fit_lines(values: Sequence[float]) -> list[float]:
    """Return the local linear fit at each value, in linear time by running sums."""
    sums = [0.0, *accumulate(values)]
    moments = [0.0, *accumulate(index * value for index, value in enumerate(values))]
    half_most = max(2, len(values) // 30)
    fitted = []
    for index in range(len(values)):
        half = max(2, min(half_most, (index + 1) // 2))
        start, stop = max(0, index - half), min(len(values), index + half + 1)
        count, centre = stop - start, (start + stop - 1) / 2
        total = sums[stop] - sums[start]
        covariance = moments[stop] - moments[start] - centre * total
        variance = count * (count * count - 1) / 12
        slope = covariance / variance if variance else 0.0
        fitted.append(total / count + slope * (index - centre))
    return fitted


def quantile(values: Sequence[float], share: float) -> float:
    """Return the quantile `share` of unsorted finite values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def frame(points: Points, must: Sequence[float] = ()) -> tuple[float, float]:
    """Return a value range for `points` that ignores a few outliers.

    All of the points where that costs at most half of the height; else without the highest and
    the lowest hundredth, but at most 20 each; always everything in `must`. Without any finite
    value, (0, 1).
    """
    values = [value for _, value in points if not math.isnan(value)]
    if not values and not must:
        return 0.0, 1.0
    if not values:
        return min(must), max(must)
    ordered = sorted(values)
    wild = min(_MOST_WILD, len(values) // 100)
    low = min([ordered[wild], *must])
    high = max([ordered[-1 - wild], *must])
    whole_low, whole_high = min(low, ordered[0]), max(high, ordered[-1])
    if whole_high - whole_low <= 2 * (high - low):
        return whole_low, whole_high
    return low, high


def path(points: Points, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    """Return SVG path data in a 1000 by 1000 box, y upwards; NaN breaks the line.

    A point alone between two NaNs becomes a line of no length, which a round cap makes a dot.
    """
    pieces: list[str] = []
    drawn = 0
    for step, value in points:
        if math.isnan(value):
            if drawn == 1:
                pieces.append("h0")
            drawn = 0
            continue
        place = f"{_short(x(step))} {_short(1000 - y(value))}"
        pieces.append(("L" if drawn else "M") + place)
        drawn += 1
    if drawn == 1:
        pieces.append("h0")
    return "".join(pieces)


def dots(points: Points, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    """Return SVG path data with a zero-length line (a dot) at every finite point."""
    return "".join(
        f"M{_short(x(step))} {_short(1000 - y(value))}h0"
        for step, value in points
        if not math.isnan(value)
    )


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
