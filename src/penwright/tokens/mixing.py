"""Several data sets in one run, in the shares that are asked for.

Nothing is cut away: the set that is the largest beside its share is gone through once, and of the
others documents come again, as often as their shares ask. The mix is a split like any other, so
its batches stay a pure function of the seed and the step.

Where the shares change during the run, each set keeps epochs of its own and every batch draws its
rows from all of them.

Legend: S steps, K data sets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penwright.config import BatchShape
from penwright.errors import UsageError
from penwright.seeds import permutation, random_words
from penwright.tokens.batches import Batch, BatchSchedule, join_batches
from penwright.tokens.store import Int64, Store
from penwright.tokens.store_split import Split, choose


def mix(splits: Sequence[Split], shares: Sequence[float], seed: int) -> Split:
    """Return the documents of all splits, repeated so that each has its share of the tokens.

    A whole pass is repeated as often as it goes into the share; the rest is documents chosen by
    the seed, and the rest of one that is missing. `shares` need not sum to one. Raises
    UsageError for invalid shares.
    """
    if len(splits) != len(shares) or not splits:
        raise UsageError(
            f"There are {len(splits)} data sets, but {len(shares)} shares to mix them in.",
            fix="Give one number for each, such as --mix 0.7,0.3.",
        )
    if min(shares) <= 0:
        raise UsageError(
            "Each share of a mix must be above 0.", fix="Leave a data set out instead."
        )
    size = max(split.n_tokens / share for split, share in zip(splits, shares, strict=True))
    ranges = [
        _repeat(split, round(share * size), (seed, number))
        for number, (split, share) in enumerate(zip(splits, shares, strict=True))
    ]
    return Split(splits[0].store, np.concatenate(ranges))


class ChangingMix(Split):
    """A mix of data sets whose shares change linearly from the first step of a run to its last.

    As a split it is the mix at the first step; that is what is counted. Raises UsageError for
    invalid shares.
    """

    def __init__(
        self, sets: Sequence[Split], first: Sequence[float], last: Sequence[float], seed: int
    ) -> None:
        start = mix(sets, first, seed)
        if len(last) != len(sets) or min(last) < 0 or not any(last):
            raise UsageError(
                f"The shares to end with cannot be {', '.join(map(str, last))}.",
                fix=f"Give {len(sets)} numbers from 0 on, one for each data set.",
            )
        super().__init__(start.store, start.ranges)
        self.sets = tuple(sets)
        self.first = np.asarray(first) / sum(first)
        self.last = np.asarray(last) / sum(last)


class MixedBatches:
    """The batches of a `ChangingMix`, as `BatchSchedule` has those of a split.

    A batch has each set's share of its rows at that step, rounded up or down by systematic
    sampling. It is a function of the seed, the step and the number of steps.
    """

    def __init__(
        self,
        mix: ChangingMix,
        shape: BatchShape,
        batch_size: int,
        length: int,
        seed: int,
        steps: int,
    ) -> None:
        self._plans = [BatchSchedule(split, shape, batch_size, length, seed) for split in mix.sets]
        progress_S1 = ((np.arange(steps) + 0.5) / steps)[:, None]
        ends_SK = np.cumsum(mix.first + (mix.last - mix.first) * progress_S1, axis=1)
        offset_S1 = random_words(steps, seed, "rows of a mix")[:, None] / 2.0**64
        # Row n belongs to the set in whose share (n + offset) / batch_size lies.
        until_SK = np.ceil(ends_SK * batch_size - offset_S1).astype(np.int64)
        until_SK[:, -1] = batch_size
        self._rows_SK = np.diff(until_SK, axis=1, prepend=0)
        self._first_SK = np.cumsum(self._rows_SK, axis=0) - self._rows_SK

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, which is counted from 0."""
        firsts, counts = self._first_SK[step].tolist(), self._rows_SK[step].tolist()
        rows = map(BatchSchedule.rows, self._plans, firsts, counts)
        return join_batches([batch for batches in rows for batch in batches])


def divide_sources(
    store: Store, counts: Sequence[int], held_out: float, seed: int
) -> list[tuple[Split, Split]]:
    """Split each data set of a store into training and held-out documents.

    `counts` are the documents of each, one set after another. A set of one document, or of one
    group, is all training.
    """
    divided: list[tuple[Split, Split]] = []
    ends = np.cumsum(counts)
    for number, (start, end) in enumerate(zip(ends - counts, ends, strict=True)):
        leads = store.leads[(store.leads >= start) & (store.leads < end)]
        ranges = store.offsets[np.stack([leads, leads + 1], axis=1)]
        chosen = choose(store.groups[leads], held_out, seed, "held out", number)
        divided.append((Split(store, ranges[~chosen]), Split(store, ranges[chosen])))
    return divided


def _repeat(split: Split, wanted: int, seed: tuple[int, int]) -> Int64:
    """Return ranges of the split with `wanted` tokens in all, give or take two."""
    times, left = divmod(wanted, split.n_tokens)
    ranges = [split.ranges] * times
    if left:
        order = split.ranges[permutation(len(split), *seed, "mix")]
        ends = np.cumsum(order[:, 1] - order[:, 0])
        whole = int(np.searchsorted(ends, left, side="right"))
        ranges.append(order[:whole])
        missing = left - (int(ends[whole - 1]) if whole else 0)
        if missing > 1:
            rest = order[whole : whole + 1].copy()
            rest[0, 1] = rest[0, 0] + missing
            ranges.append(rest)
    return np.concatenate(ranges)
