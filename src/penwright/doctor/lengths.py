"""How long documents are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from penwright.doctor.survey import Int64


@dataclass(frozen=True)
class Bin:
    """How many documents have `low` to `high` tokens, both counted in."""

    low: int
    high: int
    count: int


@dataclass(frozen=True)
class Lengths:
    """Documents' lengths in tokens, without the end-of-text tokens around them."""

    shortest: int
    median: int
    mean: float
    longest: int
    histogram: tuple[Bin, ...]


def measure(tokens: Int64) -> Lengths:
    """Lengths of at least one document; each bin of the histogram is twice as wide as the last."""
    counts = np.bincount([int(n).bit_length() for n in tokens.tolist()])
    filled = np.flatnonzero(counts)
    bins = tuple(
        Bin(low=(1 << i) >> 1, high=max((1 << i) - 1, 0), count=int(counts[i]))
        for i in range(int(filled[0]), int(filled[-1]) + 1)
    )
    return Lengths(
        int(tokens.min()),
        int(np.median(tokens)),
        float(tokens.mean()),
        int(tokens.max()),
        bins,
    )
