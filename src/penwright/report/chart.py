"""Draw charts: lines as SVG that stretches to any width, labels as HTML that keeps its size.

The SVG is a 1000 by 1000 box pulled to the size of the page; its strokes keep their width, and a
dot is a line of no length with a round cap. Labels stand at percentages of the box, so they stay
readable on a phone. Everything is in the page without a script; the script only reads out values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penwright.report.page import Html, data_block, html
from penwright.report.series import (
    Points,
    Scale,
    dots,
    downsample,
    nice_ticks,
    path,
    ratio_ticks,
    step_labels,
    tick_labels,
)

MOST_POINTS = 1000
Place = Callable[[float], float]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve. `kind` is its CSS class; `format` names how its values are read out.

    Between the points of a `sparse` line the one before is read out, with its step.
    """

    name: str
    kind: str
    points: Points
    format: str = "loss"
    marked: bool = False
    joined: bool = True
    sparse: bool = False
    read_out: bool = True


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The lines, ranges and labels of a chart.

    `low` and `high` bound the values; `across` names what runs from left to right; `right` are
    labels for a second axis, placed by value; `best` is a point to ring and its label; `borders`
    are steps to mark, with their labels; `stretch` offers a view in which the first steps take
    more room.
    """

    name: str
    title: str
    summary: str
    lines: Sequence[Line]
    low: float
    high: float
    ticks: int = 5
    left_title: str = ""
    right_title: str = ""
    across: str = "step"
    right: Sequence[tuple[float, str]] = ()
    best: tuple[float, float, str] | None = None
    borders: Sequence[tuple[float, str]] = ()
    stretch: bool = False
    legend: bool = False


def draw(chart: Chart) -> Html:
    """Return the chart as a `<figure>` element."""
    lines = [(line, downsample(line.points, MOST_POINTS)) for line in chart.lines]
    last = max((step for line in chart.lines for step, _ in line.points[-1:]), default=0.0)
    last = max(1.0, last)
    areas = [_area(chart, lines, Scale(0, last), "even")]
    if chart.stretch:
        areas.append(_area(chart, lines, Scale(0, last, _unit(last)), "stretched"))
    switch = html(
        '<input type="checkbox" class="switch" id="{name}-switch">'
        '<label class="switch-label" for="{name}-switch">Stretch the first steps</label>\n',
        name=chart.name,
    )
    return html(
        '<figure class="chart" id="{name}">\n<h3>{title}</h3>\n{legend}{switch}'
        '<div class="axes" aria-hidden="true"><span>{left}</span><span>{right}</span></div>\n'
        '{areas}<p class="read-out">{summary}</p>\n{data}</figure>\n',
        name=f"chart-{chart.name}",
        title=chart.title,
        legend=_legend(chart) if chart.legend else "",
        switch=switch if chart.stretch else "",
        left=chart.left_title,
        right=chart.right_title,
        areas=areas,
        summary=chart.summary,
        data=_data(chart.across, lines, last),
    )


def _unit(last: float) -> float:
    """Return the unit of the stretched scale: a tenth of the steps takes half of the width."""
    return last / 100


def _area(chart: Chart, lines: Sequence[tuple[Line, Points]], x: Scale, view: str) -> Html:
    scale = Scale(chart.low, chart.high)

    def y(value: float) -> float:
        return min(1000.0, max(0.0, scale(value)))

    y_ticks = nice_ticks(chart.low, chart.high, chart.ticks)
    x_ticks = [0.0, *ratio_ticks(x.unit, x.high, 6)] if x.unit else nice_ticks(0, x.high, 6)
    x_ticks = [tick for tick in x_ticks if tick.is_integer()]
    grid = "".join(f"M0 {1000 - y(tick):.1f}H1000" for tick in y_ticks)
    borders = "".join(f"M{x(step):.1f} 0V1000" for step, _ in chart.borders)
    labels = [
        *(_label("y", top=1000 - y(tick), words=words)
          for tick, words in zip(y_ticks, tick_labels(y_ticks), strict=True)),
        *(_label("y right", top=1000 - y(value), words=words) for value, words in chart.right),
        *(_label("x", left=x(tick), words=words)
          for tick, words in zip(x_ticks, step_labels(x_ticks), strict=True)),
        *(_label("border", left=x(step), words=words) for step, words in chart.borders
          if not x.unit),
        _label("x unit", words=chart.across),
    ]  # fmt: skip
    if chart.best:
        step, value, words = chart.best
        side = "best end" if x(step) > 600 else "best"
        labels.append(_label(side, left=x(step), top=1000 - y(value), words=words))
    return html(
        '<div class="area {view}" role="img" aria-label="{title}: {summary}">'
        '<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="grid" d="{grid}"/><path class="grid border-line" d="{borders}"/>'
        "{curves}{ring}</svg>{labels}</div>\n",
        view=view,
        title=chart.title,
        summary=chart.summary,
        grid=grid,
        borders=borders,
        curves=[_curve(line, points, x, y) for line, points in lines],
        ring=_ring(chart, x, y),
        labels=labels,
    )


def _curve(line: Line, points: Points, x: Place, y: Place) -> Html:
    parts = []
    if line.joined:
        parts.append(("line", path(points, x, y)))
    if line.marked:
        parts.append(("marks", dots(points, x, y)))
    return html(
        "{parts}",
        parts=[
            html('<path class="{shape} {kind}" d="{d}"/>', shape=shape, kind=line.kind, d=d)
            for shape, d in parts
        ],
    )


def _ring(chart: Chart, x: Place, y: Place) -> Html:
    if not chart.best:
        return Html("")
    d = dots([chart.best[:2]], x, y)
    return html('<path class="marks ring" d="{d}"/><path class="marks hole" d="{d}"/>', d=d)


def _label(kind: str, *, words: str, left: float | None = None, top: float | None = None) -> Html:
    place = [
        f"{side}:{value / 10:.2f}%"
        for side, value in (("left", left), ("top", top))
        if value is not None
    ]
    return html(
        '<span class="label {kind}" aria-hidden="true" style="{place}">{words}</span>',
        kind=kind,
        place=";".join(place),
        words=words,
    )


def _legend(chart: Chart) -> Html:
    items = [
        html(
            '<li><svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true">'
            "{joined}{marked}</svg>{name}</li>",
            joined=html('<path class="line {kind}" d="M1 6H33"/>', kind=line.kind)
            if line.joined
            else "",
            marked=html('<path class="marks {kind}" d="M17 6h0"/>', kind=line.kind)
            if line.marked
            else "",
            name=line.name,
        )
        for line in chart.lines
    ]
    return html('<ul class="legend">{items}</ul>\n', items=items)


def _data(across: str, lines: Sequence[tuple[Line, Points]], last: float) -> Html:
    """Return the values that the script shows under the pointer, to five digits."""
    return data_block(
        {
            "across": across,
            "last": last,
            "unit": _unit(last),
            "lines": [
                {
                    "name": line.name,
                    "format": line.format,
                    "sparse": line.sparse,
                    "x": [round(step) for step, _ in points],
                    "y": [
                        None if math.isnan(value) else float(f"{value:.5g}") for _, value in points
                    ],
                }
                for line, points in lines
                if line.read_out
            ],
        }
    )


_SVG = {
    "series-0": ("#1d55a6", ""),
    "series-1": ("#a83a2a", "7 4"),
    "series-2": ("#1c2227", "2 4"),
    "series-3": ("#59636d", "12 4 2 4"),
}
"""Colours and dashes of the lines of `as_svg`, by kind."""
_WIDTH, _HEIGHT, _EDGE = 720, 400, 56


def as_svg(chart: Chart, title: str) -> str:
    """Return a chart as an SVG file of its own, for a document without the page's style."""
    last = max([1.0, *(step for line in chart.lines for step, _ in line.points[-1:])])
    x, y = Scale(0, last), Scale(chart.low, chart.high)

    def across(value: float) -> float:
        return _EDGE + x(value) * (_WIDTH - 2 * _EDGE) / 1000

    def down(value: float) -> float:
        return _HEIGHT - _EDGE - y(value) * (_HEIGHT - 2 * _EDGE) / 1000

    y_ticks, x_ticks = nice_ticks(chart.low, chart.high, chart.ticks), nice_ticks(0, last, 6)
    parts = [
        _svg_text(_EDGE, 24, title, "start"),
        *(
            html(
                '<path d="M{a} {y}H{b}" stroke="#d9dddd"/>',
                a=_EDGE, b=_WIDTH - _EDGE, y=f"{down(tick):.1f}",
            )
            for tick in y_ticks
        ),
        *(_svg_text(_EDGE - 8, down(tick) + 4, words, "end")
          for tick, words in zip(y_ticks, tick_labels(y_ticks), strict=True)),
        *(_svg_text(across(tick), _HEIGHT - _EDGE + 20, words, "middle")
          for tick, words in zip(x_ticks, step_labels(x_ticks), strict=True)),
        _svg_text(_WIDTH - _EDGE, _HEIGHT - _EDGE + 40, chart.across, "end"),
    ]  # fmt: skip
    for number, line in enumerate(chart.lines):
        colour, dash = _SVG[line.kind]
        points = [f"{across(step):.1f} {down(value):.1f}" for step, value in line.points]
        parts.append(
            html(
                '<path d="M{d}" fill="none" stroke="{colour}" stroke-width="2" '
                'stroke-dasharray="{dash}"/><path d="M{left} {top}h34" stroke="{colour}" '
                'stroke-width="2" stroke-dasharray="{dash}"/>{words}',
                d="L".join(points),
                colour=colour,
                dash=dash or "none",
                left=_WIDTH - 190,
                top=44 + 20 * number,
                words=_svg_text(_WIDTH - 148, 48 + 20 * number, line.name, "start"),
            )
        )
    return html(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" font-family="sans-serif" '
        'font-size="13"><rect width="{w}" height="{h}" fill="#fcfcfa"/>{parts}</svg>\n',
        w=_WIDTH,
        h=_HEIGHT,
        parts=parts,
    )


def _svg_text(left: float, top: float, words: str, anchor: str) -> Html:
    return html(
        '<text x="{x}" y="{y}" text-anchor="{anchor}" fill="#1c2227">{words}</text>',
        x=f"{left:.1f}",
        y=f"{top:.1f}",
        anchor=anchor,
        words=words,
    )
