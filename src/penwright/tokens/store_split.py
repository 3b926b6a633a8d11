"""Split a store into the documents to train on and those held out."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from penwright.errors import UsageError
from penwright.seeds import permutation, random_words
from penwright.tokens.store import Bool, Int64, Store

_CHUNK = 1 << 22


class Split:
    """Stretches of a store's line of tokens, each a document or a section of one.

    `ranges` is int64 [n, 2], global positions. The first token of a range is context: nothing
    predicts it, so it counts neither as learned nor in bytes. A document that has alternatives
    stands for them too; it alone is measured and counted, and each epoch takes one.
    """

    def __init__(self, store: Store, ranges: Int64) -> None:
        self.store = store
        self.ranges = np.asarray(ranges, dtype=np.int64).reshape(-1, 2)

    @classmethod
    def whole(cls, store: Store) -> Split:
        """Return all documents of a store, alternatives as one."""
        return cls(store, store.offsets[np.stack([store.leads, store.leads + 1], axis=1)])

    def __len__(self) -> int:
        return len(self.ranges)

    def without(self, stretches: Int64) -> Split:
        """Return a split that lacks the tokens in `stretches` (int64 [n, 2], sorted, disjoint).

        A range that loses some becomes several; single tokens that would be left over go as well.
        """
        first = np.searchsorted(stretches[:, 1], self.ranges[:, 0], side="right")
        last = np.searchsorted(stretches[:, 0], self.ranges[:, 1], side="left")
        kept: list[Int64] = []
        at = 0
        for number in np.flatnonzero(last > first).tolist():
            start, end = self.ranges[number].tolist()
            inner = stretches[first[number] : last[number]].clip(start, end).reshape(-1)
            pieces = np.concatenate([[start], inner, [end]]).reshape(-1, 2)
            kept += [self.ranges[at:number], pieces[pieces[:, 1] - pieces[:, 0] > 1]]
            at = number + 1
        return Split(self.store, np.concatenate([*kept, self.ranges[at:]]))

    @cached_property
    def choices(self) -> Int64:
        """For each range, how many alternative documents an epoch picks from."""
        store = self.store
        document = np.searchsorted(store.offsets, self.ranges[:, 0])
        whole = store.offsets[np.minimum(document + 1, store.n_documents)] == self.ranges[:, 1]
        after = np.append(store.leads, store.n_documents)
        after = after[np.searchsorted(store.leads, document, side="right")]
        return np.where(whole, after - document, 1)

    @cached_property
    def alternatives(self) -> tuple[Split, Int64]:
        """All alternative documents as ranges, and for each the index of its own range."""
        owner = np.repeat(np.arange(len(self)), self.choices)
        ranges = self.ranges[owner]
        number = count_up(self.choices)
        others = number > 0
        document = np.searchsorted(self.store.offsets, ranges[others, 0]) + number[others]
        ranges[others] = self.store.offsets[np.stack([document, document + 1], axis=1)]
        return Split(self.store, ranges), owner

    def choose(self, seed: int, epoch: int) -> Int64:
        """Return the alternative of each range in this epoch: in turn, from a random first."""
        words = random_words(len(self), seed, "alternative") >> np.uint64(1)
        return (words.astype(np.int64) + epoch) % self.choices

    @cached_property
    def n_tokens(self) -> int:
        """Tokens, learned or not."""
        return int((self.ranges[:, 1] - self.ranges[:, 0]).sum())

    @property
    def n_learned(self) -> int:
        """Tokens that loss falls on."""
        return int(self.learned.sum())

    @cached_property
    def n_bytes(self) -> int:
        """UTF-8 bytes of the text that loss falls on."""
        return int(self._counts[1].sum())

    @property
    def byte_counts(self) -> Int64:
        """For each range, the UTF-8 bytes of the text that loss falls on."""
        return self._counts[1]

    @property
    def learned(self) -> Int64:
        """For each range, the number of learned tokens."""
        return self._counts[0]

    @cached_property
    def _counts(self) -> tuple[Int64, Int64]:
        """For each range, the learned tokens and their bytes."""
        store = self.store
        start, end = self.ranges[:, 0], self.ranges[:, 1]
        first = np.searchsorted(store.offsets, start)
        last = np.searchsorted(store.offsets, end)
        totals = []
        for per_document in (store.learned, store.bytes):
            line = np.concatenate([np.zeros(1, np.int64), np.cumsum(per_document)])
            totals.append(line[np.maximum(first, last)] - line[first])
        whole = (store.offsets[first] == start) & (store.offsets[last] == end)
        for i in np.flatnonzero(~whole).tolist():
            totals[0][i], totals[1][i] = self._count(int(start[i]), int(end[i]))
        return totals[0], totals[1]

    def _count(self, start: int, end: int) -> tuple[int, int]:
        """Count the learned tokens and their bytes in a stretch, but for its first token.

        Read from it, or from what its documents have around it, whichever is less.
        """
        store = self.store
        first = int(np.searchsorted(store.offsets, start, side="right")) - 1
        last = int(np.searchsorted(store.offsets, end))
        around = [(int(store.offsets[first]), start + 1), (end, int(store.offsets[last]))]
        if sum(b - a for a, b in around) >= end - start:
            return _read(store, start + 1, end)
        learned, size = int(store.learned[first:last].sum()), int(store.bytes[first:last].sum())
        for a, b in around:
            outside = _read(store, a, b)
            learned, size = learned - outside[0], size - outside[1]
        return learned, size


def split(store: Store, held_out: float, seed: int) -> tuple[Split, Split]:
    """Return the training and the held-out split, the same for the same seed.

    `held_out` is the share of documents held out, chosen at random; both sides get one at least.
    Documents of one group stay together. A document is never split, but where there is only one
    its end is held out: that share of its learned tokens. 0 holds nothing out. What cannot
    be divided (a single group, or a document with a single learned token) is all training.

    Raises UsageError unless 0 <= held_out < 1.
    """
    if not 0 <= held_out < 1:
        raise UsageError(f"held_out must be from 0 to below 1, but is {held_out}.")
    everything = Split.whole(store)
    nothing = Split(store, np.empty((0, 2), np.int64))
    if held_out == 0 or store.n_documents == 0:
        return everything, nothing
    if store.n_documents == 1:
        border = _border(store, held_out)
        if border is None:
            return everything, nothing
        return (
            Split(store, np.array([[0, border]])),
            Split(store, np.array([[border, store.n_tokens]])),
        )
    chosen = choose(store.groups[store.leads], held_out, seed, "held out")
    return Split(store, everything.ranges[~chosen]), Split(store, everything.ranges[chosen])


def choose(groups: Int64, held_out: float, *seeds: int | str) -> Bool:
    """Choose a share of the documents to hold out: at least one, never all.

    Documents of one group go together; group 0 is none. Whole groups are taken until there are
    enough, so there may be a few documents more.
    """
    alone = groups == 0
    _, first, number = np.unique(groups, return_index=True, return_inverse=True)
    # Units are counted in the order of their first documents; a document of no group is one.
    first = np.where(alone, np.arange(len(groups)), first[number])
    _, unit, sizes = np.unique(first, return_inverse=True, return_counts=True)
    chosen = np.zeros(len(sizes), np.bool_)
    if held_out > 0 and len(sizes) > 1:
        count = max(round(held_out * len(groups)), 1)
        order = permutation(len(sizes), *seeds)
        enough = int(np.searchsorted(np.cumsum(sizes[order]), count)) + 1
        chosen[order[: min(enough, len(sizes) - 1)]] = True
    return chosen[unit]


def count_up(numbers: Int64) -> Int64:
    """Return 0 to n - 1 for each n of `numbers`, one after another."""
    ends = np.cumsum(numbers)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total, dtype=np.int64) - np.repeat(ends - numbers, numbers)


def _border(store: Store, held_out: float) -> int | None:
    """Return the start of a single document's held-out end; None if it cannot be divided."""
    wanted = round(held_out * store.n_learned)
    # The held-out split's first token is not learned: one learned token is lost at the border.
    wanted = min(max(wanted, 1), store.n_learned - 2)
    if wanted < 1:
        return None
    found, end = 0, store.n_tokens
    while True:
        start = max(end - _CHUNK, 0)
        from_behind = start + np.flatnonzero(store.learn(start, end))[::-1]
        if found + len(from_behind) > wanted:
            return int(from_behind[wanted - found])
        found += len(from_behind)
        end = start


def _read(store: Store, start: int, end: int) -> tuple[int, int]:
    """Count the learned tokens and their bytes in a stretch."""
    learned = size = 0
    for chunk in range(start, end, _CHUNK):
        stop = min(chunk + _CHUNK, end)
        tokens = store.tokens(chunk, stop)[store.learn(chunk, stop)]
        learned += len(tokens)
        size += int(store.token_sizes[tokens].sum())
    return learned, size
