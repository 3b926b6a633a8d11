"""Figures side by side: of one model, or of several on the same texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penwright.errors import UsageError, suggest
from penwright.metrics.answers import score_answers
from penwright.metrics.diversity import score_diversity
from penwright.metrics.interval import PLAIN, Figure, Resampling
from penwright.metrics.keywords import score_keywords
from penwright.metrics.overlap import (
    References,
    score_bleu,
    score_chrf,
    score_rouge,
    score_verbatim,
)

METRICS = ("rouge", "bleu", "chrf", "answers", "verbatim", "keywords", "diversity")
_ONE = {"bleu": score_bleu, "chrf": score_chrf, "verbatim": score_verbatim}


@dataclass(frozen=True)
class Measurements:
    """What was measured of some texts."""

    figures: tuple[Figure, ...]
    texts: int
    seed: int

    def __getitem__(self, name: str) -> Figure:
        """The figure of a name, such as `"ROUGE-L"`; raises KeyError when it was not measured."""
        return next((f for f in self.figures if f.name == name), None) or _missing(name)

    def as_json(self) -> dict[str, Any]:
        """The figures for a program."""
        return {
            "texts": self.texts,
            "seed": self.seed,
            "interval": 0.95,
            "figures": {figure.name: figure.as_json() for figure in self.figures},
        }

    def __str__(self) -> str:
        return side_by_side({"": self})


def measure(
    texts: Sequence[str],
    references: References | None = None,
    *,
    metrics: Sequence[str],
    wanted_keywords: Sequence[Sequence[str]] | None = None,
    how: Resampling = PLAIN,
) -> Measurements:
    """Measure what models wrote, by the metrics named (see `METRICS`).

    `references` has the right text of each, or several of them; `wanted_keywords` has the keywords
    that each was asked for. Raises UsageError for a metric that is unknown or lacks what it needs,
    MissingExtraError and DataError as the metrics do.
    """
    figures: list[Figure] = []
    for metric in metrics:
        if metric not in METRICS:
            raise UsageError(
                f"There is no metric '{metric}'.",
                fix=suggest(metric, METRICS) or f"There is: {', '.join(METRICS)}.",
            )
        if metric == "diversity":
            figures += score_diversity(texts, how)
        elif metric == "keywords":
            if wanted_keywords is None:
                raise UsageError("Measuring keywords needs those that each text was asked for.")
            figures += score_keywords(texts, wanted_keywords, how)
        elif references is None:
            raise UsageError(f"Measuring {metric} needs references to compare with.")
        elif metric == "rouge":
            figures += score_rouge(texts, references, how)
        elif metric == "answers":
            figures += score_answers(texts, references, how)
        else:
            figures.append(_ONE[metric](texts, references, how))
    return Measurements(tuple(figures), len(texts), how.seed)


def side_by_side(columns: Mapping[str, Measurements]) -> str:
    """A table for people: a row a figure, a column for each of the measurements, by its title."""
    names = list(dict.fromkeys(f.name for column in columns.values() for f in column.figures))
    rows = [["", *columns]] if any(columns) else []
    for name in names:
        found = [next((str(f) for f in c.figures if f.name == name), "") for c in columns.values()]
        rows.append([name, *found])
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns) + 1)] if rows else []
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _missing(name: str) -> Figure:
    raise KeyError(name)
