"""Figures with 95 % bootstrap intervals over documents (Efron, 1979).

Legend: N documents, D counts kept of each, R resamples.

Every metric is a function of counts that add up over documents. A resample draws N documents with
replacement; all resamples are one matrix product, so a thousand of them are fast. The same seed
draws the same documents for every metric and model.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from penwright.errors import DataError

Floats = npt.NDArray[np.float64]
Finish = Callable[[Floats], Floats]
"""Maps summed counts [R, D] to values [R]; NaN where a value does not exist."""

_CHUNK = 1 << 22
_TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class Figure:
    """A value, its 95 % interval, and the number of documents it was measured on.

    Shares and scores are from 0 to 100, as papers quote them. `value` is None where there was
    nothing to measure, `low` and `high` also where one document leaves nothing to resample.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    documents: int
    counts_ND: Floats | None = field(default=None, repr=False, compare=False)
    """What the value was made of, summed by document, with `finish`."""
    finish: Finish | None = field(default=None, repr=False, compare=False)

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        kept = ("name", "value", "low", "high", "documents")
        return {name: getattr(self, name) for name in kept}

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        if self.low is None or self.high is None:
            return f"{self.value:.2f}"
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Resampling:
    """Options of the bootstrap.

    `documents` names the document of each text, where several texts (the answers to one passage)
    belong together; without it every text is a document of its own.
    """

    documents: Sequence[Hashable] | None = None
    seed: int = 0
    resamples: int = 1000


PLAIN = Resampling()


def make_figure(name: str, counts_ND: Floats, finish: Finish, how: Resampling) -> Figure:
    """Return `finish` of the summed counts, with its bootstrap percentile interval.

    `counts_ND` has a row for each text; `how.documents` says which rows belong together. Raises
    DataError when there is no text, or not as many document names as texts.
    """
    counts_ND = _by_document(name, np.asarray(counts_ND, dtype=np.float64), how.documents)
    return _resample(name, counts_ND, finish, how)


def difference(first: Figure, second: Figure, how: Resampling = PLAIN) -> Figure:
    """Return `first` minus `second`, measured on the same documents, with its interval.

    Each resample draws the same documents for both, so what they have in common cancels out. Raises
    DataError for figures of other numbers of documents.
    """
    a, b = first.counts_ND, second.counts_ND
    if a is None or b is None or len(a) != len(b):
        raise DataError(f"{first.name} was not measured on the same documents.")
    columns = a.shape[1]
    finish_a, finish_b = first.finish, second.finish
    assert finish_a is not None
    assert finish_b is not None

    def finish(sums_RD: Floats) -> Floats:
        return finish_a(sums_RD[:, :columns]) - finish_b(sums_RD[:, columns:])

    return _resample(first.name, np.concatenate([a, b], axis=1), finish, how)


def _resample(name: str, counts_ND: Floats, finish: Finish, how: Resampling) -> Figure:
    """Return `finish` of the summed counts, with its interval over the rows."""
    n = len(counts_ND)
    value = _number(finish(counts_ND.sum(axis=0, keepdims=True))[0])
    if value is None or n == 1:
        return Figure(name, value, None, None, n, counts_ND, finish)
    generator = np.random.default_rng(how.seed)
    values: list[Floats] = []
    rows = max(1, _CHUNK // n)
    for start in range(0, how.resamples, rows):
        size = min(rows, how.resamples - start)
        draws_RN = generator.multinomial(n, np.full(n, 1 / n), size=size)
        values.append(finish(draws_RN @ counts_ND))
    found = np.concatenate(values)
    found = found[~np.isnan(found)]
    if not len(found):
        return Figure(name, value, None, None, n, counts_ND, finish)
    low, high = np.quantile(found, _TAILS)
    return Figure(name, value, float(low), float(high), n, counts_ND, finish)


def mean_of(values: Sequence[float | None]) -> Floats:
    """Return counts [N, 2] for a mean: value and 1, or zeros for a text without a value."""
    pairs = [(0.0, 0.0) if value is None else (value, 1.0) for value in values]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def mean(sums_RD: Floats) -> Floats:
    """Return the first count over the second; NaN where the second is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums_RD[:, 1] > 0, sums_RD[:, 0] / sums_RD[:, 1], np.nan)


def percent(sums_RD: Floats) -> Floats:
    """Return 100 times the first count over the second; NaN where the second is 0."""
    return 100 * mean(sums_RD)


def exp_mean(sums_RD: Floats) -> Floats:
    """Return exp(first count / second count): the perplexity from summed losses and tokens."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.exp(np.where(sums_RD[:, 1] > 0, sums_RD[:, 0] / sums_RD[:, 1], np.nan))


def as_references(references: Sequence[str | Sequence[str]], texts: int) -> list[list[str]]:
    """Return a list of references for each text.

    Raises DataError when their number is not that of the texts, or a text has none.
    """
    if len(references) != texts:
        raise DataError(
            f"There are {texts:,} texts but references for {len(references):,}.",
            fix="Give every text its reference, in the same order.",
        )
    found = [[item] if isinstance(item, str) else list(item) for item in references]
    empty = next((number for number, items in enumerate(found, 1) if not items), None)
    if empty is not None:
        raise DataError(f"Text {empty:,} has no reference to compare it with.")
    return found


def _by_document(name: str, counts_ND: Floats, documents: Sequence[Hashable] | None) -> Floats:
    if not len(counts_ND):
        raise DataError(f"There is no text to measure {name} on.")
    if documents is None:
        return counts_ND
    if len(documents) != len(counts_ND):
        raise DataError(
            f"There are {len(counts_ND):,} texts but documents named for {len(documents):,}."
        )
    numbers: dict[Hashable, int] = {}
    rows = np.array([numbers.setdefault(document, len(numbers)) for document in documents])
    summed = np.zeros((len(numbers), counts_ND.shape[1]))
    np.add.at(summed, rows, counts_ND)
    return summed


def _number(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)
