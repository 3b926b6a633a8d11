"""A block of an index: some ranges of a store as one line of tokens, and its suffix array."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from penwright.index.suffix_array import UInt32, UInt64, key_bits, make_keys
from penwright.tokens.store import Array, Int64, Store

_SAMPLE = 64  # suffixes for each key that is held in memory
_WIDTH = 16  # tokens compared at once while a match is extended
_LONG = 256  # tokens of a match from which its end is looked for only once


class _Search(NamedTuple):
    """Matches of the spans of a query that are being extended: the slots and length of each."""

    query: Int64
    low: Int64
    high: Int64
    depth: Int64


class Block:
    """Some ranges of a store as one line of tokens with its suffix array."""

    def __init__(self, store: Store, ranges: Int64, suffixes: UInt32 | None = None) -> None:
        self.store = store
        self.ranges = ranges
        self.suffixes = np.empty(0, np.uint32) if suffixes is None else suffixes
        self.separator = store.vocab_size
        sizes = ranges[:, 1] - ranges[:, 0]
        self.n_tokens = int(sizes.sum())
        self._starts = np.cumsum(sizes + 1) - (sizes + 1)
        self._bits = key_bits(self.separator + 1)

    @cached_property
    def line(self) -> Array:
        """Return the tokens of the ranges with a separator after each range; uint16 or uint32."""
        dtype = np.uint16 if self.separator < 1 << 16 else np.uint32
        size = self.n_tokens + len(self.ranges)
        line = np.full(size + 2 * _WIDTH, self.separator, dtype)
        for at, (start, end) in zip(self._starts.tolist(), self.ranges.tolist(), strict=True):
            line[at : at + end - start] = self.store.tokens(start, end)
        return line

    @cached_property
    def _sampled(self) -> UInt64:
        """Return the keys of every 64th suffix."""
        return self._keys_at(self.suffixes[::_SAMPLE].astype(np.int64))

    @cached_property
    def _ordered(self) -> bytes:
        """Return the line as bytes that sort as its tokens do."""
        return self.line.astype(self.line.dtype.newbyteorder(">")).tobytes()

    @property
    def _per_key(self) -> int:
        return 64 // self._bits

    def _keys_at(self, positions: Int64) -> UInt64:
        """Return the first tokens of the suffixes at `positions`, packed as by `make_keys`."""
        keys = np.zeros(positions.shape, np.uint64)
        for offset in range(self._per_key):
            tokens = self.line[positions + offset].astype(np.uint64) + np.uint64(1)
            keys = keys << np.uint64(self._bits) | tokens
        return keys

    def _positions(self, slots: Int64) -> Int64:
        """Return the positions on the line of the suffixes in these slots."""
        return self.suffixes[slots].astype(np.int64)

    def to_store(self, positions: Int64) -> Int64:
        """Convert positions on the line to positions in the store."""
        owner = np.searchsorted(self._starts, positions, side="right") - 1
        result: Int64 = positions - self._starts[owner] + self.ranges[owner, 0]
        return result

    def longest_matches(self, tokens: Array, at_least: int) -> tuple[Int64, Int64]:
        """Return the length of the longest match at each position, and a place on the line."""
        nothing = self.separator + 1  # equals no token of the line
        query = np.full(len(tokens) + 2 * _WIDTH, nothing, np.int64)
        query[: len(tokens)] = np.where(tokens < self.separator, tokens, nothing)
        keys = make_keys(query, self._bits)[: len(tokens)]
        low, high = self._bound(keys, "left"), self._bound(keys, "right")
        depth = np.where(high > low, self._per_key, 0)
        if at_least < self._per_key:
            short = np.flatnonzero(depth == 0)
            low[short], high[short] = 0, self.n_tokens
            active = np.arange(len(tokens))
        else:
            active = np.flatnonzero(depth)
        search = _Search(query, low, high, depth)
        long = [np.empty(0, np.int64)]
        while len(active):
            active = self._advance(search, active)
            is_long = depth[active] >= _LONG
            long.append(active[is_long])
            active = active[~is_long]
        places = np.full(len(tokens), -1)
        matched = np.flatnonzero(depth)
        places[matched] = self._positions(low[matched])
        if len(at := np.sort(np.concatenate(long))):
            for run in np.split(at, np.flatnonzero(np.diff(at) > 1) + 1):
                self._finish(search, run, places)
        depth[depth < at_least] = 0
        return depth, places

    def _finish(self, search: _Search, run: Int64, places: Int64) -> None:
        """Find the lengths of long matches at the successive positions `run`.

        None ends before one that begins earlier, and most end with it: the first one that ends
        later is found by bisection, so a copy of a whole file takes no quadratic time.
        """
        query, low, _, depth = search
        at, last = int(run[0]), int(run[-1])
        while at <= last:
            active = np.array([at])
            while len(active):
                active = self._advance(search, active, _LONG)
            end, places[at] = at + int(depth[at]), self.suffixes[low[at]]

            def ends_later(place: int, end: int = end) -> bool:
                return self.occurs(query[place : end + 1])

            inside = range(at + 1, min(last + 1, end))
            inner = np.arange(at + 1, at + 1 + bisect.bisect_left(inside, True, key=ends_later))
            depth[inner], places[inner] = end - inner, places[at] + inner - at
            at += 1 + len(inner)

    def _bound(self, keys: UInt64, side: Literal["left", "right"]) -> Int64:
        """Return the first slot with a key >= each of `keys`; for "right", > each of them."""
        high = np.searchsorted(self._sampled, keys, side=side) * _SAMPLE
        low = np.maximum(high - _SAMPLE, 0)
        high = np.minimum(high, self.n_tokens)
        compare = np.less if side == "left" else np.less_equal
        while (undecided := low < high).any():
            middle = (low + high) // 2
            here = self._keys_at(self._positions(np.minimum(middle, self.n_tokens - 1)))
            below = compare(here, keys) & undecided
            low = np.where(below, middle + 1, low)
            high = np.where(below | ~undecided, high, middle)
        return low

    def _advance(self, search: _Search, active: Int64, width: int = _WIDTH) -> Int64:
        """Extend the matches at the positions `active`; returns the positions to continue at.

        All suffixes of a match share the prefix that its first and last one share, so that prefix
        is compared at once, up to `width` tokens; where it ends, the slots are narrowed to the
        query's next token.
        """
        query, low, high, depth = search
        at = depth[active, None] + np.arange(width)
        mine = query.take(active[:, None] + at, mode="clip")
        first = self.line.take(self._positions(low[active])[:, None] + at, mode="clip")
        last = self.line.take(self._positions(high[active] - 1)[:, None] + at, mode="clip")
        common, matched = _count_equal(first, last), _count_equal(first, mine)
        depth[active] += np.minimum(common, matched)
        parting = active[(common <= matched) & (common < width)]
        tokens = query[parting + depth[parting]]
        bounds = [
            self._bound_token(low[parting], high[parting], depth[parting], tokens, side)
            for side in (np.less, np.less_equal)
        ]
        some = bounds[1] > bounds[0]
        parting = parting[some]
        low[parting], high[parting] = bounds[0][some], bounds[1][some]
        depth[parting] += 1
        whole = active[np.minimum(common, matched) == width]
        return np.concatenate([whole, parting])

    def _bound_token(
        self, low: Int64, high: Int64, depth: Int64, tokens: Int64, below: np.ufunc
    ) -> Int64:
        """Return the first slots in [low, high) whose token at `depth` is not `below` `tokens`."""
        low, high = low.copy(), high.copy()
        open_ = np.flatnonzero(low < high)
        while len(open_):
            middle = (low[open_] + high[open_]) // 2
            here = self.line[self._positions(middle) + depth[open_]]
            is_below = below(here, tokens[open_])
            low[open_[is_below]] = middle[is_below] + 1
            high[open_[~is_below]] = middle[~is_below]
            open_ = open_[low[open_] < high[open_]]
        return low

    def find(self, tokens: Sequence[int] | Array) -> tuple[int, int]:
        """Return the range of the slots whose suffixes begin with `tokens`."""
        if not all(0 <= token < self.separator for token in tokens):
            return 0, 0
        span, span_of = self._comparison(tokens)
        slots = range(self.n_tokens)
        first = bisect.bisect_left(slots, span, key=span_of)
        return first, bisect.bisect_right(slots, span, lo=first, key=span_of)

    def occurs(self, tokens: Sequence[int] | Array) -> bool:
        """Return whether a suffix begins with `tokens`."""
        if not all(0 <= token < self.separator for token in tokens):
            return False
        span, span_of = self._comparison(tokens)
        first = bisect.bisect_left(range(self.n_tokens), span, key=span_of)
        return first < self.n_tokens and span_of(first) == span

    def _comparison(self, tokens: Sequence[int] | Array) -> tuple[bytes, Callable[[int], bytes]]:
        """Return `tokens` in a form that is ordered as suffixes are, and a slot's suffix in it."""
        width = self.line.itemsize
        size = len(tokens) * width
        span = np.array(tokens, self.line.dtype.newbyteorder(">")).tobytes()

        def span_of(slot: int) -> bytes:
            at = int(self.suffixes[slot]) * width
            return self._ordered[at : at + size]

        return span, span_of

    def narrow_one(self, low: int, high: int, depth: int, token: int) -> tuple[int, int]:
        """Return the range of the slots in [low, high) whose token at `depth` is `token`."""
        if token >= self.separator:
            return low, low

        def token_of(slot: int) -> int:
            return int(self.line[int(self.suffixes[slot]) + depth])

        slots = range(low, high)
        first = low + bisect.bisect_left(slots, token, key=token_of)
        return first, low + bisect.bisect_right(slots, token, lo=first - low, key=token_of)


def _count_equal(a: Array, b: Array) -> Int64:
    """Return for each row [n, width] the number of equal values before the first difference."""
    same = a == b
    counts: Int64 = np.where(same.all(axis=1), same.shape[1], same.argmin(axis=1))
    return counts
