"""The charts of a run, and its held-out measurements as a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from penwright.report.chart import Chart, Line, draw
from penwright.report.page import Html, fold, html, table, unbroken
from penwright.report.read import Measurement, RunData, number
from penwright.report.series import (
    FEWEST_TO_SMOOTH,
    Points,
    Series,
    frame,
    padded,
    quantile,
    ratio_ticks,
    smooth,
    spread,
    tick_labels,
)
from penwright.report.story import RunFacts
from penwright.wording import amount, count, data_size, duration

_STEPS_TO_STRETCH = 100
_MOST_BORDERS = 12
_MOST_MARKS = 80
_MOST_ROWS = 60


class Kind(NamedTuple):
    """A small chart: its column, title, format, and a summary of its values."""

    column: str
    title: str
    format: str
    jitters: bool
    summary: Callable[[list[float]], str]


KINDS = (
    Kind(
        "lr",
        "Learning rate",
        "rate",
        False,
        lambda v: f"{_rate(max(v))} at most, {_rate(v[-1])} last.",
    ),
    Kind(
        "grad_norm",
        "Gradient norm, before clipping",
        "amount",
        True,
        lambda v: f"{amount(quantile(v, 0.5))} at the median step, {amount(max(v))} at most.",
    ),
    Kind(
        "tokens_per_s",
        "Tokens a second",
        "count",
        True,
        lambda v: f"{amount(quantile(v, 0.5))} a second at the median step.",
    ),
    Kind(
        "mfu_percent",
        "Share of the machine's arithmetic (MFU)",
        "percent",
        True,
        lambda v: f"{quantile(v, 0.5):.0f} % at the median step.",
    ),
    Kind("memory_mb", "Memory", "memory", False, lambda v: f"{data_size(max(v) * 1e6)} at most."),
    Kind(
        "gpu_memory_mb",
        "Memory of the GPU",
        "memory",
        False,
        lambda v: f"{data_size(max(v) * 1e6)} at most.",
    ),
    Kind(
        "cpu_percent", "Processor use", "percent", True, lambda v: f"{_mean(v):.0f} % on average."
    ),
    Kind("gpu_percent", "GPU use", "percent", True, lambda v: f"{_mean(v):.0f} % on average."),
)


def curves(data: RunData, facts: RunFacts) -> Html:
    """Return every chart that the run has values for, and the table of measurements."""
    small = [_small(data, kind) for kind in KINDS]
    return html(
        '{loss}<div class="small-charts">{small}</div>\n{table}',
        loss=_loss(data, facts),
        small=[chart for chart in small if chart],
        table=_measurements(data, facts),
    )


def has_curves(data: RunData) -> bool:
    """Return whether the run has any value to draw."""
    return bool(data.evaluations) or any(curve.finite() for curve in data.curves.values())


def _loss(data: RunData, facts: RunFacts) -> Html:
    steps = data.curves.get("loss", Series()).points()
    smoothed = smooth(steps) if len(steps) >= FEWEST_TO_SMOOTH else []
    held, whole = held_out(data)
    measured = [value for _, value in [*held, *whole] if not math.isnan(value)]
    low, high = frame(steps, measured)
    beyond = [(step, value) for step, value in steps if not low <= value <= high]
    low, high = padded(low, high)
    if not measured and not any(not math.isnan(value) for _, value in steps):
        return Html("")
    lines = [
        Line(name="training, each step", kind="raw" if smoothed else "smooth", points=steps),
        Line(name="training, smoothed", kind="smooth", points=smoothed),
        Line(
            name="held-out",
            kind="held",
            points=held,
            marked=len(held) <= _MOST_MARKS,
            joined=len(held) > 1,
            sparse=True,
        ),
        Line(
            name="all held-out text",
            kind="whole",
            points=whole,
            marked=True,
            joined=False,
            read_out=False,
        ),
    ]
    can_be_raised = -700 < low < high < 700
    perplexities = ratio_ticks(math.exp(low), math.exp(high)) if can_be_raised else []
    best = facts.best if len(measured) > 1 else None
    return draw(
        Chart(
            name="loss",
            title="Loss",
            summary=_loss_summary(smoothed or steps, facts, measured, beyond),
            lines=[line for line in lines if line.points],
            low=low,
            high=high,
            left_title="loss",
            right_title="perplexity" if perplexities else "",
            right=[
                (math.log(tick), words)
                for tick, words in zip(perplexities, tick_labels(perplexities), strict=True)
            ],
            best=(best.step, best.loss, f"best {best.loss:.2f}") if best else None,
            borders=_epochs(data, facts),
            stretch=facts.steps >= _STEPS_TO_STRETCH,
            legend=True,
        )
    )


def held_out(data: RunData) -> tuple[Points, Points]:
    """Return the curve of measurements, and separately those on all of the held-out text.

    The line starts at a whole measurement before training where there is no other.
    """
    parts = [(float(item.step), item.loss) for item in data.evaluations if not item.full]
    whole = [(float(item.step), item.loss) for item in data.evaluations if item.full]
    if len(parts) > 1:
        return [*[point for point in whole[:1] if point[0] < parts[0][0]], *parts], whole
    return sorted(dict([*parts, *whole]).items()), []


def _loss_summary(steps: Points, facts: RunFacts, measured: list[float], beyond: Points) -> str:
    finite = [value for _, value in steps if not math.isnan(value)]
    said = []
    if len(finite) > 1:
        said.append(f"Training loss went from {finite[0]:.2f} to {finite[-1]:.2f}.")
    if len(measured) > 1 and facts.best:
        said.append(
            f"Held-out loss was lowest, {facts.best.loss:.2f}, "
            + (f"after step {facts.best.step:,}." if facts.best.step else "before training.")
        )
    wild = [point for point in beyond if not math.isnan(point[1])]
    if wild:
        step, value = max(wild, key=lambda point: abs(point[1]))
        points = count(len(wild), "point", "lies")
        said.append(f"{points} beyond the frame, the farthest {amount(value)} at step {step:,.0f}.")
    return " ".join(said)


def _epochs(data: RunData, facts: RunFacts) -> list[tuple[float, str]]:
    """Return the first step and the label of each epoch after the first, if there are few."""
    length = number(data.part("plan").get("steps_per_epoch"))
    if not length or length < 1 or facts.steps / length > _MOST_BORDERS:
        return []
    starts = [index * length for index in range(1, math.ceil(facts.steps / length))]
    return [
        (start, f"epoch {index}" if len(starts) <= 5 else f"{index}")
        for index, start in enumerate(starts, 2)
    ]


def _small(data: RunData, kind: Kind) -> Html:
    points = data.curves.get(kind.column, Series()).points()
    values = [value for _, value in points if not math.isnan(value)]
    if len(values) < 2:
        return Html("")
    high = 100.0 if kind.format == "percent" else max(frame(points)[1], 0.0) * 1.08 or 1.0
    return draw(
        Chart(
            name=kind.column.replace("_", "-"),
            title=kind.title,
            summary=kind.summary(values),
            lines=_small_lines(kind, points),
            low=0.0,
            high=high,
            ticks=4,
            left_title={"memory": "MB", "percent": "%"}.get(kind.format, ""),
        )
    )


def _small_lines(kind: Kind, points: Points) -> list[Line]:
    """Return the line of a small chart; for a noisy value the raw and the smoothed line."""
    line = Line(name=kind.title, kind="smooth", points=points, format=kind.format)
    if not kind.jitters or len(points) < FEWEST_TO_SMOOTH:
        return [line]
    smoothed = replace(line, points=smooth(points), read_out=False)
    return [replace(line, kind="raw"), smoothed]


def _measurements(data: RunData, facts: RunFacts) -> Html:
    items = data.evaluations
    if not items:
        return Html("")
    kept = {items[index] for index in spread(len(items), _MOST_ROWS)}
    kept |= {facts.best} if facts.best else set()
    shown = [item for item in items if item in kept]
    note = f", {len(shown)} of {len(items):,} shown" if len(shown) < len(items) else ""
    title = f"The {count(len(items), 'held-out measurement')} as a table{note}"
    rows = [_row(item, is_best=item == facts.best) for item in shown]
    heads = ("step", "time", "loss", "perplexity", "bits per byte", "tokens", "text", "note")
    used = [index for index in range(len(heads)) if any(row[index] for row in rows)]
    return fold(
        title,
        table(
            "Held-out measurements",
            [heads[index] for index in used],
            [[row[index] for index in used] for row in rows],
        ),
    )


def _row(item: Measurement, *, is_best: bool) -> list[str]:
    return [
        f"{item.step:,}",
        "" if item.seconds is None else unbroken(duration(item.seconds)),
        "not a number" if math.isnan(item.loss) else f"{item.loss:.4f}",
        "" if item.perplexity is None else amount(item.perplexity),
        "" if item.bits_per_byte is None else f"{item.bits_per_byte:.4f}",
        "" if item.tokens is None else f"{item.tokens:,.0f}",
        "all" if item.full else "a part",
        "best" if is_best else "",
    ]


def _rate(value: float) -> str:
    return tick_labels([float(f"{value:.3g}")])[0]


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
