"""Encode by whole words: a table of the words seen so far, looked up for thousands at once.

BPE merges within words only, and a text says the same words again and again. So the words are
cut by numpy (`words`), looked up in a hash table that is made of arrays, and only those that are
new are merged one by one. This is several times faster than merging, on one core.

Legend: W words of a group of texts, M words that the table does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from penwright.tokens.text_splitter import BORDER_BYTE, Words

Ids = npt.NDArray[np.uint32]
Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]

_SLOTS = 1 << 19
_MOST_WORDS = _SLOTS // 2
_MOST_LONG_WORDS = 1 << 16
_MOST_PARTS = 1 << 22
_SHORT = 15
"""Bytes of a word that has a place in the table: they and their number are its key, 16 bytes."""
_LONG = 256
"""Bytes of the longest word that is remembered at all."""
_EMPTY = -1
_MASKS = np.array([(1 << 8 * n) - 1 for n in range(9)], dtype=np.uint64)
_PRIMES = tuple(np.uint64(p) for p in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F))

Merge = Callable[[list[bytes]], tuple[Ids, Int64]]
"""The ids of words one after another, and how many each word has."""


class WordTable:
    """Encodes texts by their words; `merge` gives the ids of words that are new.

    A word's code is its id where it is one token; from `vocab_size` on codes count the words of
    several tokens, which lie one after another in a pool.
    """

    def __init__(self, words: Words, merge: Merge, vocab_size: int) -> None:
        self._words = words
        self._merge = merge
        self._vocab_size = vocab_size
        self._forget()

    def __len__(self) -> int:
        return self._n_words

    def _forget(self) -> None:
        """Begin with an empty table, so that memory stays bounded."""
        self._n_words = 0
        self._low = np.zeros(_SLOTS, dtype=np.uint64)
        self._high = np.zeros(_SLOTS, dtype=np.uint64)
        self._codes = np.full(_SLOTS, _EMPTY, dtype=np.int64)
        self._long: dict[bytes, int] = {}
        self._parts: Ids = np.empty(0, dtype=np.uint32)
        self._split_starts: Int64 = np.empty(0, dtype=np.int64)
        self._split_sizes: Int64 = np.empty(0, dtype=np.int64)

    def encode(self, texts: Sequence[str]) -> tuple[Ids, Int64]:
        """Return the ids of all texts one after another, and the number of each."""
        if (
            self._n_words > _MOST_WORDS
            or len(self._parts) > _MOST_PARTS
            or len(self._long) > _MOST_LONG_WORDS
        ):
            self._forget()
        raw, starts, borders = self._cut(texts)
        sizes = np.diff(starts)
        starts, sizes = np.delete(starts[:-1], borders), np.delete(sizes, borders)
        codes = self._look_up(raw, starts, sizes)
        ids, after = self._expand(codes)
        after = np.concatenate([np.zeros(1, np.int64), after])
        return ids, np.diff(after[borders - np.arange(len(borders))], prepend=0)

    def _cut(self, texts: Sequence[str]) -> tuple[bytes, Int64, Int64]:
        """Return the texts' bytes, the starts of words in them, and the words that are borders.

        There is a border after each text, and past the last one there are bytes to spare.
        """
        if all(text.isascii() for text in texts):
            border = bytes([BORDER_BYTE])
            raw = border.join([text.encode() for text in texts]) + border * 2
            codes = np.frombuffer(raw, dtype=np.uint8)
            starts = np.flatnonzero(self._words.starts(codes))
            is_border = codes[starts] == BORDER_BYTE
        else:
            border = bytes([BORDER_BYTE] * 4)
            raw = border.join([text.encode() for text in texts]) + border * 2
            wide = border.join([text.encode("utf-32-le") for text in texts]) + border * 2
            codes = np.frombuffer(wide, dtype="<u4")
            sizes = np.ones(len(codes), dtype=np.int64)
            for limit in (0x7F, 0x7FF, 0xFFFF):
                sizes += codes > limit
            found = np.flatnonzero(self._words.starts(codes))
            starts = (np.cumsum(sizes) - sizes)[found]
            is_border = codes[found] == 0xFFFFFFFF
        # The second of the last two borders ends the first, and is none itself.
        return raw + bytes(16), starts, np.flatnonzero(is_border)[:-1]

    def _look_up(self, raw: bytes, starts: Int64, sizes: Int64) -> Int64:
        """Return the codes of words; new ones are merged and remembered."""
        low, high = _keys(raw, starts, sizes)
        slots = _hash(low, high)
        codes = self._codes[slots]
        missing = np.flatnonzero((self._low[slots] != low) | (self._high[slots] != high))
        if len(missing):
            missing = self._look_further(missing, slots, low, high, codes)
        if len(missing):
            codes[missing] = self._learn(raw, starts[missing], sizes[missing])
        return codes

    def _look_further(
        self, missing: Int64, slots: Int64, low: UInt64, high: UInt64, codes: Int64
    ) -> Int64:
        """Follow words past taken slots, filling in `codes`; returns those that are not there."""
        absent = []
        slots = slots[missing]
        while len(missing):
            empty = self._codes[slots] == _EMPTY
            absent.append(missing[empty])
            missing, slots = missing[~empty], (slots[~empty] + 1) % _SLOTS
            hit = (self._low[slots] == low[missing]) & (self._high[slots] == high[missing])
            codes[missing[hit]] = self._codes[slots[hit]]
            missing, slots = missing[~hit], slots[~hit]
        return np.concatenate(absent)

    def _learn(self, raw: bytes, starts: Int64, sizes: Int64) -> Int64:
        """Return the codes of words that the table does not have."""
        spans = zip(starts.tolist(), (starts + sizes).tolist(), strict=True)
        words = [raw[start:end] for start, end in spans]
        codes = {word: self._long.get(word, _EMPTY) for word in words}
        new = [word for word, code in codes.items() if code == _EMPTY]
        new_codes = self._make_codes(*self._merge(new))
        codes.update(zip(new, new_codes.tolist(), strict=True))
        self._long |= {word: codes[word] for word in new if _SHORT < len(word) <= _LONG}
        room = _SLOTS * 3 // 4 - self._n_words
        short = np.flatnonzero([len(word) <= _SHORT for word in new])[:room]
        self._insert([new[i] for i in short.tolist()], new_codes[short])
        return np.fromiter(map(codes.__getitem__, words), dtype=np.int64, count=len(words))

    def _make_codes(self, ids: Ids, counts: Int64) -> Int64:
        """Return a code for each word of `counts` tokens; several tokens go into the pool."""
        starts = np.cumsum(counts) - counts
        whole = counts == 1
        split = np.flatnonzero(~whole)
        codes = np.empty(len(counts), dtype=np.int64)
        codes[whole] = ids[starts[whole]]
        codes[split] = self._vocab_size + len(self._split_sizes) + np.arange(len(split))
        parts = ids[np.repeat(~whole, counts)]
        ends = len(self._parts) + np.cumsum(counts[split])
        self._split_starts = np.concatenate([self._split_starts, ends - counts[split]])
        self._split_sizes = np.concatenate([self._split_sizes, counts[split]])
        self._parts = np.concatenate([self._parts, parts])
        return codes

    def _insert(self, words: list[bytes], codes: Int64) -> None:
        """Give each word the first free slot from its own on."""
        sizes = np.array([len(word) for word in words], dtype=np.int64)
        starts = np.cumsum(sizes) - sizes
        low, high = _keys(b"".join(words) + bytes(16), starts, sizes)
        slots = _hash(low, high)
        waiting = np.arange(len(words))
        while len(waiting):
            free = waiting[self._codes[slots[waiting]] == _EMPTY]
            taken, first = np.unique(slots[free], return_index=True)
            placed = free[first]
            self._low[taken], self._high[taken] = low[placed], high[placed]
            self._codes[taken] = codes[placed]
            slots[waiting] = (slots[waiting] + 1) % _SLOTS
            waiting = np.setdiff1d(waiting, placed, assume_unique=True)
        self._n_words += len(words)

    def _expand(self, codes: Int64) -> tuple[Ids, Int64]:
        """Return the ids of words by their codes, and the number of ids up to each word's end."""
        split = np.flatnonzero(codes >= self._vocab_size)
        numbers = codes[split] - self._vocab_size
        sizes = np.ones(len(codes), dtype=np.int64)
        sizes[split] = self._split_sizes[numbers]
        after = np.cumsum(sizes)
        ids = np.empty(int(after[-1]) if len(after) else 0, dtype=np.uint32)
        whole = codes < self._vocab_size
        ids[after[whole] - 1] = codes[whole]
        counts = sizes[split]
        ends = np.cumsum(counts)
        within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)
        places = np.repeat(after[split] - counts, counts) + within
        ids[places] = self._parts[np.repeat(self._split_starts[numbers], counts) + within]
        return ids, after


def _keys(raw: bytes, starts: Int64, sizes: Int64) -> tuple[UInt64, UInt64]:
    """Return 16 bytes that tell short words apart: up to 15 bytes of the word, and its size.

    Words of more than 15 bytes get a size that no word in the table has.
    """
    at = np.ndarray((len(raw) - 7,), dtype="<u8", buffer=raw, strides=(1,))
    low = at[starts] & _MASKS[np.minimum(sizes, 8)]
    high = np.minimum(sizes, _SHORT + 1).astype(np.uint64) << np.uint64(56)  # never 0
    second = np.flatnonzero((sizes > 8) & (sizes <= _SHORT))
    high[second] |= at[starts[second] + 8] & _MASKS[sizes[second] - 8]
    return low, high


def _hash(low: UInt64, high: UInt64) -> Int64:
    mixed = (low * _PRIMES[0]) ^ (high * _PRIMES[1])
    mixed = (mixed ^ (mixed >> np.uint64(29))) * _PRIMES[0]
    shift = np.uint64(64 - (_SLOTS.bit_length() - 1))
    slots: Int64 = (mixed >> shift).astype(np.int64)
    return slots
