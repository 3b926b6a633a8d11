"""Sort the suffixes of a line of integers: prefix doubling in numpy.

Manber and Myers (1993), "Suffix arrays: a new method for on-line string searches", with the
refinement of Larsson and Sadakane (2007), "Faster suffix sorting": after the first round only
suffixes that still tie are sorted again.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]

_CHUNK = 1 << 14  # values packed at once: what the processor's cache holds
_FEW_KEYS = 1 << 17  # of a thread
_SAMPLED_KEYS = 1000


def key_bits(largest: int) -> int:
    """Return the number of bits of one value in a key, given the largest value of the line."""
    return max(1, (largest + 1).bit_length())


def make_keys(line: npt.NDArray[Any], bits: int) -> UInt64:
    """Pack the `64 // bits` values from each position into one uint64 [n].

    Keys sort as the values do. Positions past the end count as 0, below every value.
    """
    per_key = 64 // bits
    keys = np.empty(len(line), np.uint64)
    for start in range(0, len(line), _CHUNK):
        stretch = np.zeros(_CHUNK + per_key, np.uint64)
        some = line[start : start + len(stretch)]
        stretch[: len(some)] = some
        stretch[: len(some)] += np.uint64(1)
        chunk = keys[start : start + _CHUNK]
        chunk[:] = stretch[: len(chunk)]
        for offset in range(1, per_key):
            chunk <<= np.uint64(bits)
            chunk |= stretch[offset : offset + len(chunk)]
    return keys


def sort_suffixes(line: npt.NDArray[Any]) -> UInt32:
    """Return the positions of `line` in the order of the suffixes that begin there, uint32 [n].

    `line` holds non-negative integers below 2**32 and is shorter than 2**32. A suffix that is a
    prefix of another comes first. Takes about 40 bytes a position at its peak.
    """
    if not len(line):
        return np.empty(0, np.uint32)
    bits = key_bits(int(line.max()))
    keys = make_keys(line, bits)
    order = _argsort(keys)
    keys = keys[order]
    starts = _group_starts(keys)
    del keys
    rank = np.empty(len(line), np.uint32)  # of each position: the slot where its group starts
    rank[order] = starts
    depth = 64 // bits
    tied = _tied_slots(starts)
    starts = starts[tied]
    while len(tied):
        positions = order[tied]
        keys = starts.astype(np.uint64) << np.uint64(32)
        after = positions.astype(np.int64) + depth
        inside = after < len(line)
        keys[inside] |= (rank[after[inside]] + np.uint64(1)).astype(np.uint64)
        del after, inside
        by_key = _argsort(keys)
        keys, positions = keys[by_key], positions[by_key]
        del by_key
        order[tied] = positions
        first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        del keys
        counts = np.diff(np.append(first, len(tied)))
        starts = np.repeat(tied[first], counts)
        rank[positions] = starts
        still = np.repeat(counts > 1, counts)
        tied, starts = tied[still], starts[still]
        depth *= 2
    return order


def _argsort(keys: UInt64) -> UInt32:
    """Return the order that sorts `keys`, uint32 [n]; several threads when there are many keys."""
    count = min(os.cpu_count() or 1, len(keys) // _FEW_KEYS)
    if count < 2:
        return np.argsort(keys).astype(np.uint32)
    borders = np.sort(keys[:: len(keys) // _SAMPLED_KEYS])
    borders = np.unique(borders[len(borders) * np.arange(1, count) // count])

    def sort_between(low: np.uint64 | None, high: np.uint64 | None) -> UInt32:
        chosen = np.ones(len(keys), np.bool_) if low is None else keys >= low
        if high is not None:
            chosen &= keys < high
        places = np.flatnonzero(chosen).astype(np.uint32)
        return places[np.argsort(keys[places])]

    with ThreadPoolExecutor(count) as pool:
        return np.concatenate(list(pool.map(sort_between, [None, *borders], [*borders, None])))


def _group_starts(keys: UInt64) -> UInt32:
    """Return for each slot of sorted `keys` the first slot with the same key."""
    first = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    return np.repeat(first.astype(np.uint32), np.diff(np.append(first, len(keys))))


def _tied_slots(starts: UInt32) -> UInt32:
    """Return the slots whose group has more than one suffix."""
    same_as_last = np.append(False, starts[1:] == starts[:-1])
    tied = same_as_last | np.append(same_as_last[1:], False)
    return np.flatnonzero(tied).astype(np.uint32)
