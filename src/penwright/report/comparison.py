"""Write a comparison of models as one HTML page: figures, curves, and texts side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penwright.report.chapters import plain
from penwright.report.chart import Chart, Line, draw
from penwright.report.curves import held_out
from penwright.report.page import Chapter, Html, html, page, table
from penwright.report.read import RunData
from penwright.report.samples import shorten
from penwright.report.series import Points, frame, padded
from penwright.wording import amount, count

_LONGEST_TEXT = 3000
_STYLES = 4
"""Line styles of the style sheet, named series-0 and so on."""


def comparison_page(found: Mapping[str, Any], runs: Mapping[str, RunData]) -> str:
    """Return the page for the values of `Comparison.as_json`; `runs` have curves to draw."""
    names = list(found["models"])
    chapters = [
        Chapter("figures", "Figures", "Which predicts better", _figures(found)),
        Chapter("curves", "Curves", "How they learned", curves_of(runs)),
        Chapter("votes", "Votes", "Which people prefer", _votes(found["votes"], names)),
        Chapter("quality", "Quality", "How they write", _quality(found)),
        Chapter("texts", "Texts", "The same prompts side by side", _texts(found, names)),
    ]
    title = " and ".join(names) if len(names) == 2 else f"{len(names)} models"
    says = _unbroken_percent(" ".join(one["says"] for one in found["differences"]))
    return page(
        title=f"{title} · Penwright",
        description=says,
        header=html(
            '<p class="kicker"><b>Penwright</b> comparison</p>\n<h1 dir="auto">{title}</h1>\n'
            '<p class="lede">{says}</p>\n',
            title=title,
            says=says,
        ),
        sections=[item for item in chapters if item.body.strip()],
        footer="Written by Penwright. The models' texts are machine-written. "
        "This page loads nothing from the network.",
    )


def _unbroken_percent(text: str) -> str:
    return text.replace(" %", "\u00a0%")


def _figures(found: Mapping[str, Any]) -> Html:
    rows = [
        (name, figure_words(figure), f"{bits:.3f}")
        for name, figure, bits in zip(
            found["models"], found["figures"], found["bits_per_byte"], strict=True
        )
    ]
    # Between tokenizers the figure is bits per byte already.
    columns = 3 if found["unit"] == "perplexity" else 2
    note = (
        f"Measured on {found['on']}, {count(found['documents'], 'document')}. Lower is better. In "
        "brackets: 95 % intervals over documents. Differences are paired: each interval draws "
        "the same documents for both models."
    )
    heads = ("model", str(found["unit"]), "bits per byte")[:columns]
    return html(
        '{table}<p class="note">{note}</p>\n',
        table=table("Figures of the models", heads, [row[:columns] for row in rows]),
        note=note,
    )


def figure_words(figure: Mapping[str, Any]) -> str:
    """Return a figure and its interval, given its JSON: 31.4 [29.8, 33.0]."""
    if figure["value"] is None:
        return "-"
    if figure["low"] is None or figure["high"] is None:
        return amount(figure["value"])
    return f"{amount(figure['value'])} [{amount(figure['low'])}, {amount(figure['high'])}]"


def curves_of(runs: Mapping[str, RunData]) -> Html:
    """Return a chart of the runs' held-out losses by step; empty without a run that has any."""
    series = {name: held_out(data)[0] for name, data in runs.items()}
    return loss_chart({name: points for name, points in series.items() if len(points) > 1})


def loss_chart(series: Mapping[str, Points], across: str = "step") -> Html:
    """Return a chart of several losses, one line for each name; empty without any."""
    if not series:
        return Html("")
    return draw(make_chart(series, across))


def make_chart(series: Mapping[str, Points], across: str = "step") -> Chart:
    """Return the chart of several held-out losses."""
    values = [point for points in series.values() for point in points]
    low, high = padded(*frame(values))
    ends = [f"{name} {points[-1][1]:.2f}" for name, points in series.items()]
    return Chart(
        name="held-out",
        title="Held-out loss",
        summary=f"At the end: {', '.join(ends)}.",
        lines=[
            Line(
                name=name,
                kind=f"series-{number % _STYLES}",
                points=points,
                marked=len(points) <= 40,
                sparse=True,
            )
            for number, (name, points) in enumerate(series.items())
        ],
        low=low,
        high=high,
        left_title="loss",
        across=across,
        legend=True,
    )


def quality_table(columns: Mapping[str, Any], caption: str) -> Html:
    """Return a table of figures, one column for each author, given their JSON."""
    names = list(dict.fromkeys(name for one in columns.values() for name in one["figures"]))
    rows: list[Sequence[object]] = []
    for name in names:
        cells = [one["figures"].get(name) for one in columns.values()]
        rows.append((name, *("" if cell is None else figure_words(cell) for cell in cells)))
    return table(caption, ("", *columns), rows)


QUALITY_NOTE = (
    "Shares are in percent; in brackets: 95 % intervals over documents. Human text is cut at the "
    "same length. Good writing has figures like people's, not higher or lower ones."
)


def _quality(found: Mapping[str, Any]) -> Html:
    if not found["quality"]:
        return Html("")
    said = []
    for name, figures in found["quality_differences"].items():
        apart = [
            item["name"]
            for item in figures.values()
            if item["low"] is not None and item["low"] * item["high"] > 0
        ]
        what = ", ".join(apart) or "nothing"
        said.append(f"{name} writes beyond doubt unlike {found['models'][0]} in: {what}.")
    return html(
        '{table}<p class="note">{note}</p>\n{said}',
        table=quality_table(found["quality"], "Figures of the texts"),
        note=QUALITY_NOTE,
        said=[html('<p class="say">{line}</p>\n', line=line) for line in said],
    )


def _votes(rates: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Html:
    """Return the win rates, or how to vote."""
    rows = []
    for one in rates:
        if one["rate"] is not None:
            low, high = one["interval"]
            more = one["votes_to_settle"]
            needed = "settled" if more == 0 else "open" if more is None else f"about {more:,} more"
            rows.append(
                (
                    f"{one['first']} over {one['second']}",
                    f"{one['rate']:.0%} [{low:.0%}, {high:.0%}]",
                    f"{one['wins'] + one['losses']:,}",
                    f"{one['ties']:,}",
                    needed,
                )
            )
    if not rows:
        line = f"penwright compare {' '.join(names)} --vote"
        return html('<p class="say">No votes yet. To vote without seeing names:</p>\n'
                    '<pre class="command"><code>{line}</code></pre>\n', line=line)  # fmt: skip
    heads = ("preferred", "win rate", "votes", "ties", "to settle it")
    return table("Votes", heads, rows)


def _texts(found: Mapping[str, Any], names: Sequence[str]) -> Html:
    parts = []
    for number, item in enumerate(found["texts"], 1):
        authors = zip((*names, "human text"), (*item["texts"], item["human"]), strict=True)
        leaves = [
            html(
                '<li class="leaf"><h4>{who}</h4><p class="text" dir="auto">{text}</p></li>\n',
                who=who,
                text=shorten(text.strip() or "(nothing)", _LONGEST_TEXT),
            )
            for who, text in authors
        ]
        parts.append(
            html(
                '<article class="strip"><h3><span class="what">Prompt {number}</span> '
                '<span dir="auto">{prompt}</span></h3>\n<div class="scroll" tabindex="0" '
                'role="region" aria-label="Texts for prompt {number}"><ol class="leaves">\n'
                "{leaves}</ol></div></article>\n",
                number=number,
                prompt=shorten(item["prompt"].strip(), _LONGEST_TEXT),
                leaves=leaves,
            )
        )
    return html("{parts}", parts=parts)


def quality(found: Mapping[str, Any]) -> Html:
    """Return a report's chapter on the writing, given a run's quality.json."""
    length = found.get("settings", {}).get("max_new_tokens")
    texts = max((one["texts"] for one in found["columns"].values()), default=0)
    long = f" of {count(length, 'token')} at most" if length else ""
    return html(
        '<p class="note">{said}</p>\n{table}<p class="note">{note}</p>\n',
        said=f"{count(texts, 'text')}{long}, each continuing a held-out document.",
        table=quality_table(found["columns"], "Figures of the texts"),
        note=QUALITY_NOTE,
    )


def previous(data: RunData) -> Html:
    """Return a report's chapter on the run before it on the same data: verdict, options, curves."""
    found = data.part("previous")
    changed = found.get("changed", {})
    rows = [
        (name.replace("_", " "), plain(old), plain(new)) for name, (old, new) in changed.items()
    ]
    options = table("Options that differ", ("option", str(found["name"]), data.name), rows)
    same = Html('<p class="note">Its options were the same.</p>\n')
    curves = (
        curves_of({data.previous.name: data.previous, data.name: data}) if data.previous else ""
    )
    return html(
        '<p class="say">{says}</p>\n{options}{curves}',
        says=_unbroken_percent(found["difference"]["says"]),
        options=options if rows else same,
        curves=curves,
    )
