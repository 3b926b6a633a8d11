"""Score texts with 95 % intervals. No torch.

    from penwright.metrics import measure

    print(measure(summaries, highlights, metrics=["rouge", "bleu"]))

A metric is a function and an entry in `METRICS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from penwright.errors import UsageError, suggest
from penwright.metrics.interval import (
    PLAIN,
    Figure,
    Resampling,
    difference,
    exp_mean,
    make_figure,
    mean,
    mean_of,
)
from penwright.metrics.quality import score_quality, score_shares
from penwright.metrics.reference_based import (
    References,
    exact_match,
    normalise,
    score_answer,
    score_answers,
    score_bleu,
    score_chrf,
    score_rouge,
    score_verbatim,
    word_f1,
)
from penwright.metrics.reference_free import find_keywords, score_diversity, score_keywords

__all__ = [
    "METRICS",
    "Figure",
    "Measurements",
    "Metric",
    "Resampling",
    "difference",
    "exact_match",
    "exp_mean",
    "find_keywords",
    "find_metric",
    "make_figure",
    "mean",
    "mean_of",
    "measure",
    "normalise",
    "score_answer",
    "score_answers",
    "score_bleu",
    "score_chrf",
    "score_diversity",
    "score_keywords",
    "score_quality",
    "score_rouge",
    "score_shares",
    "score_verbatim",
    "side_by_side",
    "word_f1",
]


@dataclass(frozen=True)
class Metric:
    """A function that scores texts, and the values that it needs besides them.

    `score(texts, how=...)`, or with `compares` `score(texts, values, how=...)`, returns one figure
    or several.
    """

    score: Callable[..., Figure | Sequence[Figure]]
    compares: Literal["references", "keywords"] | None = None
    overlap: bool = False
    """Compare words with the reference's, so that a part of the prompt is a baseline."""
    all_answers: bool = False
    """Compare with all human answers of the data, not with the first only."""


METRICS = {
    "rouge": Metric(score_rouge, "references", overlap=True),
    "bleu": Metric(score_bleu, "references", overlap=True),
    "chrf": Metric(score_chrf, "references", overlap=True),
    "answers": Metric(score_answers, "references", all_answers=True),
    "verbatim": Metric(score_verbatim, "references"),
    "keywords": Metric(score_keywords, "keywords"),
    "diversity": Metric(score_diversity),
    "quality": Metric(score_quality),
}
"""The metrics by the names that `--metrics` takes."""


def find_metric(name: str) -> Metric:
    """Return the metric called `name`; raises UsageError when there is none."""
    if name not in METRICS:
        raise UsageError(
            f"There is no metric '{name}'.",
            fix=suggest(name, METRICS) or f"There is: {', '.join(METRICS)}.",
        )
    return METRICS[name]


@dataclass(frozen=True)
class Measurements:
    """The figures of some texts."""

    figures: tuple[Figure, ...]
    texts: int
    seed: int

    def __getitem__(self, name: str) -> Figure:
        """Return a figure by its name, such as `"ROUGE-L"`; raises KeyError for none."""
        return {figure.name: figure for figure in self.figures}[name]

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
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
    """Score texts by the named metrics (see `METRICS`).

    `references` has one reference, or several, for each text; `wanted_keywords` the keywords that
    each was asked for. Raises UsageError for an unknown metric or one without its references or
    keywords; MissingExtraError and DataError as the metrics do.
    """
    given = {"references": references, "keywords": wanted_keywords}
    figures: dict[str, Figure] = {}
    for name in metrics:
        metric = find_metric(name)
        wanted = () if metric.compares is None else (given[metric.compares],)
        if None in wanted:
            raise UsageError(f"Measuring {name} needs the {metric.compares} of each text.")
        found = metric.score(texts, *wanted, how=how)
        for figure in [found] if isinstance(found, Figure) else found:
            figures.setdefault(figure.name, figure)
    return Measurements(tuple(figures.values()), len(texts), how.seed)


def side_by_side(columns: Mapping[str, Measurements]) -> str:
    """Format a table with one row for each figure and one titled column for each model."""
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
