"""An index of every passage in a token store: find a span, count it, locate it, extend a match.

    INDEX/
      header.json                 version, the ranges' digest, and each file's size and CRC-32
      block-00000.safetensors
        suffixes  U32             positions of the block's line, in the order of their suffixes
        ranges    I64             [start, end) on the store's line of tokens, flattened

The indexed ranges are divided into blocks, so that building takes memory for one block only. The
line of a block is its ranges' tokens, each range followed by a separator that matches nothing, so
no match crosses a range. Tokens are read from the store; they are not copied to disk.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from penwright.errors import DataError
from penwright.files import disk_errors
from penwright.index.suffix_array import UInt32, UInt64, key_bits, make_keys, sort_suffixes
from penwright.tokens.store import Array, Int64, Store, map_tensors, sum_file, write_tensors

VERSION = 1
HEADER = "header.json"
BLOCK_TOKENS = 1 << 24
"""Tokens in a block, unless one document has more."""
_SAMPLE = 64  # suffixes for each key that is held in memory
_WIDTH = 16  # tokens compared at once while a match is extended


class Matches(NamedTuple):
    """The longest match at each position of a text: int64 [n] each."""

    lengths: Int64
    positions: Int64
    """A position in the store where such a match begins; -1 where the length is 0."""


@dataclass(frozen=True)
class Match:
    """A span that occurs in the index: its length in tokens, and for each block its slots."""

    length: int
    slots: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        """Return the number of occurrences."""
        return sum(high - low for low, high in self.slots)


class SuffixIndex:
    """A suffix array over ranges of a store. Positions count the store's tokens from 0."""

    def __init__(self, store: Store, blocks: Sequence[Block]) -> None:
        self.store = store
        self.blocks = tuple(blocks)

    @classmethod
    def build(
        cls, store: Store, ranges: Int64, folder: Path, *, block_tokens: int = BLOCK_TOKENS
    ) -> SuffixIndex:
        """Index `ranges` (int64 [n, 2], positions of the store) into the new folder `folder`.

        The folder appears when the index is whole. Raises OutOfRoomError when the disk is full.
        """
        unfinished = folder.with_name(folder.name + ".unfinished")
        with disk_errors(folder):
            if unfinished.exists():
                shutil.rmtree(unfinished)
            unfinished.mkdir(parents=True)
        files = []
        for number, part in enumerate(_divide(ranges, block_tokens)):
            block = Block(store, part)
            order = sort_suffixes(block.line)[: block.n_tokens]
            tensors: dict[str, Array] = {"ranges": part.reshape(-1), "suffixes": order}
            files.append(write_tensors(unfinished / f"block-{number:05d}.safetensors", tensors))
        header = {"version": VERSION, "ranges": digest(store, ranges), "blocks": files}
        (unfinished / HEADER).write_text(json.dumps(header, indent=1), encoding="utf-8")
        unfinished.rename(folder)
        return cls.open(store, ranges, folder)

    @classmethod
    def open(cls, store: Store, ranges: Int64, folder: Path) -> SuffixIndex:
        """Open the index of `ranges` in `folder`, memory-mapped.

        Raises DataError when it is missing, damaged or made from other data.
        """
        try:
            header = json.loads((folder / HEADER).read_bytes())
            if (header["version"], header["ranges"]) != (VERSION, digest(store, ranges)):
                raise DataError(f"The index in {folder} was made from other data.", fix=_REDO)
            blocks = [_open_block(store, folder, entry) for entry in header["blocks"]]
        except FileNotFoundError as error:
            raise DataError(f"There is no index in {folder}: {error}.", fix=_REDO) from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{folder / HEADER} is damaged ({error}).", fix=_REDO) from None
        return cls(store, blocks)

    @classmethod
    def open_or_build(cls, store: Store, ranges: Int64, parent: Path) -> SuffixIndex:
        """Open the index of `ranges` under `parent`; build it when it is missing or damaged."""
        folder = parent / digest(store, ranges)[:16]
        if folder.exists():
            try:
                return cls.open(store, ranges, folder)
            except DataError:
                shutil.rmtree(folder)
        return cls.build(store, ranges, folder)

    @classmethod
    def open_kept(cls, store: Store, ranges: Int64, parent: Path) -> SuffixIndex | None:
        """Open the index of `ranges` under `parent`, if there is one; raises DataError."""
        folder = parent / digest(store, ranges)[:16]
        return cls.open(store, ranges, folder) if folder.exists() else None

    @property
    def n_tokens(self) -> int:
        """Return the number of indexed tokens."""
        return sum(block.n_tokens for block in self.blocks)

    def longest_matches(self, tokens: Array, at_least: int = 1) -> Matches:
        """Find the longest indexed span that begins at each position of `tokens` [n].

        Matches shorter than `at_least` tokens are reported as 0, which is faster.
        """
        lengths = np.zeros(len(tokens), np.int64)
        positions = np.full(len(tokens), -1, np.int64)
        for block in self.blocks:
            found, slots = block.longest_matches(tokens, at_least)
            better = np.flatnonzero(found > lengths)
            lengths[better] = found[better]
            positions[better] = block.to_store(block.suffixes[slots[better]].astype(np.int64))
        return Matches(lengths, positions)

    def start(self) -> Match:
        """Return the match of the empty span, which occurs everywhere."""
        return Match(0, tuple((0, block.n_tokens) for block in self.blocks))

    def extend(self, match: Match, token: int) -> Match | None:
        """Return `match` extended by one token, or None if that does not occur."""
        slots = tuple(
            block.narrow_one(low, high, match.length, token)
            for block, (low, high) in zip(self.blocks, match.slots, strict=True)
        )
        longer = Match(match.length + 1, slots)
        return longer if longer.count else None

    def find(self, tokens: Sequence[int] | Array) -> Match | None:
        """Return the match of the span `tokens`, or None if it does not occur."""
        match = Match(len(tokens), tuple(block.find(tokens) for block in self.blocks))
        return match if match.count else None

    def occurs(self, tokens: Sequence[int] | Array) -> bool:
        """Return whether the span `tokens` occurs."""
        return any(block.occurs(tokens) for block in self.blocks)

    def locations(self, match: Match, most: int | None = None) -> Int64:
        """Return the positions in the store where a match occurs, sorted, int64; at most `most`."""
        found = [
            block.to_store(block.suffixes[low:high][:most].astype(np.int64))
            for block, (low, high) in zip(self.blocks, match.slots, strict=True)
        ]
        return np.sort(np.concatenate(found))[:most]

    def next_tokens(self, match: Match) -> tuple[Int64, Int64]:
        """Return the tokens that follow a match and their counts, without ends of ranges."""
        found = [np.empty(0, np.int64)]
        for block, (low, high) in zip(self.blocks, match.slots, strict=True):
            after = block.line[block.suffixes[low:high].astype(np.int64) + match.length]
            found.append(after[after != block.separator].astype(np.int64))
        tokens, counts = np.unique(np.concatenate(found), return_counts=True)
        return tokens, counts.astype(np.int64)


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
        """Return the length of the longest match at each position, and a slot that has it."""
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
        while len(active):
            active = self._advance(query, active, low, high, depth)
        depth[depth < at_least] = 0
        return depth, low

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

    def _advance(self, query: Int64, active: Int64, low: Int64, high: Int64, depth: Int64) -> Int64:
        """Extend the matches at the positions `active`; returns the positions to continue at.

        All suffixes of a match share the prefix that its first and last one share, so that prefix
        is compared at once; where it ends, the slots are narrowed to the query's next token.
        """
        ahead = np.arange(_WIDTH)
        at = depth[active, None] + ahead
        mine = query[active[:, None] + at]
        first = self.line[self._positions(low[active])[:, None] + at]
        last = self.line[self._positions(high[active] - 1)[:, None] + at]
        common, matched = _count_equal(first, last), _count_equal(first, mine)
        depth[active] += np.minimum(common, matched)
        parting = active[(common <= matched) & (common < _WIDTH)]
        tokens = query[parting + depth[parting]]
        bounds = [
            self._bound_token(low[parting], high[parting], depth[parting], tokens, side)
            for side in (np.less, np.less_equal)
        ]
        some = bounds[1] > bounds[0]
        parting = parting[some]
        low[parting], high[parting] = bounds[0][some], bounds[1][some]
        depth[parting] += 1
        whole = active[np.minimum(common, matched) == _WIDTH]
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


def digest(store: Store, ranges: Int64) -> str:
    """Return a SHA-256, in hexadecimal, that identifies these ranges of a store."""
    name = hashlib.sha256(f"{store.header['fingerprint']} {store.n_tokens} ".encode())
    name.update(np.ascontiguousarray(ranges, "<i8").tobytes())
    return name.hexdigest()


def _count_equal(a: Array, b: Array) -> Int64:
    """Return for each row [n, width] the number of equal values before the first difference."""
    same = a == b
    counts: Int64 = np.where(same.all(axis=1), same.shape[1], same.argmin(axis=1))
    return counts


def _divide(ranges: Int64, block_tokens: int) -> Iterator[Int64]:
    """Yield the ranges in blocks of about `block_tokens` tokens; a range is never cut."""
    ends = np.cumsum(ranges[:, 1] - ranges[:, 0])
    first = 0
    while first < len(ranges):
        before = int(ends[first - 1]) if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + block_tokens, side="right")))
        yield ranges[first:last]
        first = last


def _open_block(store: Store, folder: Path, entry: dict[str, object]) -> Block:
    path = folder / str(entry["file"])
    if sum_file(path) != {"size": entry["size"], "crc32": entry["crc32"]}:
        raise DataError(f"{path} is damaged (its checksum is wrong).", fix=_REDO)
    tensors = map_tensors(path, {"ranges": "I64", "suffixes": "U32"})
    return Block(store, tensors["ranges"].reshape(-1, 2), tensors["suffixes"])


_REDO = "Delete it; it is built again when it is needed."
