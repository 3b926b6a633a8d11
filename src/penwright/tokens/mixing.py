"""Several data sets in one run, in the shares that are asked for.

Nothing is cut away: the set that is the largest beside its share is gone through once, and of the
others documents come again, as often as their shares ask. The mix is a part like any other, so
its batches stay a pure function of the seed and the step.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penwright.errors import UsageError
from penwright.seeds import permutation
from penwright.tokens.part import Part, choose
from penwright.tokens.store import Int64, Store


def mix(parts: Sequence[Part], shares: Sequence[float], seed: int) -> Part:
    """The documents of all parts, repeated so that each part has its share of the tokens.

    A whole pass is repeated as often as it goes into the share; the rest is documents chosen by
    the seed, and the piece of one that is missing. `shares` need not sum to one. Raises
    UsageError for shares that cannot be.
    """
    if len(parts) != len(shares) or not parts:
        raise UsageError(
            f"There are {len(parts)} data sets, but {len(shares)} shares to mix them in.",
            fix="Give one number for each, such as --mix 0.7,0.3.",
        )
    if min(shares) <= 0:
        raise UsageError(
            "Each share of a mix must be above 0.", fix="Leave a data set out instead."
        )
    size = max(part.n_tokens / share for part, share in zip(parts, shares, strict=True))
    ranges = [
        _repeat(part, round(share * size), (seed, number))
        for number, (part, share) in enumerate(zip(parts, shares, strict=True))
    ]
    return Part(parts[0].store, np.concatenate(ranges))


def divide_sources(
    store: Store, counts: Sequence[int], held_out: float, seed: int
) -> list[tuple[Part, Part]]:
    """Of each data set in a store its training part and its held-out part.

    `counts` are the documents of each, one set after another. A set of one document, or of one
    group, is all training.
    """
    divided: list[tuple[Part, Part]] = []
    ends = np.cumsum(counts)
    for number, (start, end) in enumerate(zip(ends - counts, ends, strict=True)):
        leads = store.leads[(store.leads >= start) & (store.leads < end)]
        ranges = store.offsets[np.stack([leads, leads + 1], axis=1)]
        chosen = choose(store.groups[leads], held_out, seed, "held out", number)
        divided.append((Part(store, ranges[~chosen]), Part(store, ranges[chosen])))
    return divided


def _repeat(part: Part, wanted: int, seed: tuple[int, int]) -> Int64:
    """Ranges of the part with `wanted` tokens in all, give or take two."""
    times, left = divmod(wanted, part.n_tokens)
    ranges = [part.ranges] * times
    if left:
        order = part.ranges[permutation(len(part), *seed, "mix")]
        ends = np.cumsum(order[:, 1] - order[:, 0])
        whole = int(np.searchsorted(ends, left, side="right"))
        ranges.append(order[:whole])
        missing = left - (int(ends[whole - 1]) if whole else 0)
        if missing > 1:
            piece = order[whole : whole + 1].copy()
            piece[0, 1] = piece[0, 0] + missing
            ranges.append(piece)
    return np.concatenate(ranges)
