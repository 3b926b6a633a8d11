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

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from penwright.errors import DataError
from penwright.files import disk_errors
from penwright.index.suffix_array import sort_suffixes
from penwright.index.suffix_block import Block
from penwright.tokens.store import Array, Int64, Store, map_tensors, sum_file, write_tensors

VERSION = 1
HEADER = "header.json"
BLOCK_TOKENS = 1 << 24
"""Tokens in a block, unless one document has more."""


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
            found, places = block.longest_matches(tokens, at_least)
            better = np.flatnonzero(found > lengths)
            lengths[better] = found[better]
            positions[better] = block.to_store(places[better])
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


def digest(store: Store, ranges: Int64) -> str:
    """Return a SHA-256, in hexadecimal, that identifies these ranges of a store."""
    name = hashlib.sha256(f"{store.header['fingerprint']} {store.n_tokens} ".encode())
    name.update(np.ascontiguousarray(ranges, "<i8").tobytes())
    return name.hexdigest()


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
