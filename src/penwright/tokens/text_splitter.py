"""Split text into GPT-2's words, and long texts into chunks that end where a word does.

GPT-2 splits text into words by a regular expression (`encoder.py` of its release), and then merges
the bytes of each word:

    's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+

`Words` applies it to whole arrays of characters. Once the kind of each character is known (white
space, letter, number, other), the expression is a handful of rules on neighbours, which numpy
applies to millions of characters at once. The tokenizers library is asked for the kinds, a block
of characters when the first of it occurs, so that both agree on every version of Unicode.

The expression runs from the left without looking back, so a text may be split wherever one of its
words ends, and its chunks encode as the whole does (`cut`), in bounded memory:

* A non-space followed by ASCII white space is always such a place, and quickly found.
* Where there is none for long, the words themselves are looked at, a window at a time. All but
  those that touch the window's end are the words of the whole text.
* A single word longer than a window (a million `^`) has no such place. It is merged by windows
  of its own, see `encode_run`.

Legend: N characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from penwright.document import WORD_END

CHUNK = 1 << 17
"""Characters in a chunk, about."""
WINDOW = 1 << 16
"""Characters looked at to find where words end; a word that fills it is a run."""
RUN_WINDOW = 1 << 13
"""Bytes of a run merged at once."""

# The longest contraction is 're: three characters decide whether a quote begins one.
_LOOKAHEAD = 3

Ids = npt.NDArray[np.uint32]
Merge = Callable[[bytes], Ids]
FindEnds = Callable[[str], npt.NDArray[np.int64]]
"""Returns the ends of GPT-2's words in a text."""


class Chunk(NamedTuple):
    """A stretch of a text; `run` when it is one long word."""

    start: int
    end: int
    run: bool = False


def find_cut(text: str, start: int, end: int | None = None) -> int | None:
    """Return the first place from `start` on between a non-space and ASCII white space."""
    found = WORD_END.search(text, start, len(text) if end is None else end)
    return found.end() if found else None


def cut(text: str, find_ends: FindEnds, size: int) -> Iterator[Chunk]:
    """Yield chunks of `text`, in order, whose encodings joined are the encoding of the text.

    They have about `size` characters, at most twice as many; but for runs, which stay whole.
    """
    position, length = 0, len(text)
    while length - position > 2 * size:
        found = find_cut(text, position + size, position + 2 * size)
        chunk = Chunk(position, found) if found else _cut_by_words(text, position, find_ends)
        yield chunk
        position = chunk.end
    if position < length:
        yield Chunk(position, length)


def _cut_by_words(text: str, start: int, find_ends: FindEnds) -> Chunk:
    """Return the longest chunk from `start` within a window that ends with a word, or a run."""
    window = text[start : start + WINDOW]
    ends = find_ends(window)
    unsettled = _LOOKAHEAD if start + len(window) < len(text) else 0
    settled = ends[ends <= len(window) - unsettled].tolist()
    # White space that ends a chunk would be one word there, where in the text it may be two.
    solid = (end for end in reversed(settled) if not window[end - 1].isspace())
    if end := next(solid, None):
        return Chunk(start, start + end)
    if settled:
        return Chunk(start, start + settled[0])
    # A word this long ends where the kind of character changes, wherever that is seen.
    if ends[0] < len(window):
        return Chunk(start, start + int(ends[0]), run=True)
    return Chunk(start, _end_of_run(text, start, find_ends), run=True)


def _end_of_run(text: str, start: int, find_ends: FindEnds) -> int:
    """Return the end of the word that begins at `start` and fills a window.

    The word is all of one kind of character but for a first space, so its last two characters
    and what follows them tell whether it goes on.
    """
    position = start + WINDOW - 2
    while True:
        window = text[position : position + WINDOW]
        end = int(find_ends(window)[0])
        if end < len(window) or position + len(window) == len(text):
            return position + end
        position += len(window) - 2


def encode_run(raw: bytes, merge: Merge, sizes: npt.NDArray[np.int64]) -> Ids:
    """Return the ids of one word of any length, in linear time where merges settle locally.

    `merge` applies BPE to bytes, `sizes` holds each token's number of bytes.

    A row of tokens is the BPE of its bytes if, and only if, each two neighbours are the BPE of
    theirs: the first merge across a border would already have happened between those two alone.
    Two windows overlap, the second beginning at a token of the first. Where both have the same
    token at the same place, the first window's tokens up to it and the second's from it on are
    all neighbours in a true BPE, and so the BPE of the whole. If two windows never agree, which
    no text of a natural kind does, the whole word is merged at once.
    """
    done: list[Ids] = []
    current, start = merge(raw[:RUN_WINDOW]), 0
    reached = RUN_WINDOW
    while reached < len(raw):
        starts = start + _starts(current, sizes)
        begin = int(starts[len(current) * 3 // 4])
        following = merge(raw[begin : begin + RUN_WINDOW])
        joint = _agree(current, starts, following, begin + _starts(following, sizes))
        if joint is None or begin == start:
            return merge(raw)
        left, right = joint
        done.append(current[:left])
        current, start = following[right:], int(starts[left])
        reached = begin + RUN_WINDOW
    return np.concatenate([*done, current])


def _starts(ids: Ids, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    lengths = sizes[ids]
    return np.cumsum(lengths) - lengths


def _agree(
    left: Ids,
    left_starts: npt.NDArray[np.int64],
    right: Ids,
    right_starts: npt.NDArray[np.int64],
) -> tuple[int, int] | None:
    """Return the indices into both of the first token that both have at the same place."""
    _, in_left, in_right = np.intersect1d(
        left_starts, right_starts, assume_unique=True, return_indices=True
    )
    same = np.flatnonzero(left[in_left] == right[in_right])
    return (int(in_left[same[0]]), int(in_right[same[0]])) if len(same) else None


Pairs = list[tuple[str, tuple[int, int]]]
Codes = npt.NDArray[Any]
Kinds = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

SPACE, LETTER, NUMBER, OTHER, BORDER = range(5)
"""Kinds of characters; BORDER stands between two texts."""
_UNKNOWN = 255

BORDER_BYTE = 0xFF
"""The border in an array of ASCII bytes."""
_BORDER_CODE = 0xFFFFFFFF
"""The border in an array of code points."""
_N_CODES = 0x110000
_BLOCK = 256
_SURROGATES = range(0xD800, 0xE000)


class Words:
    """Finds words; `look` splits a text with the tokenizers library, and gives their places."""

    def __init__(self, look: Callable[[str], Pairs]) -> None:
        self._look = look
        self._kinds = np.full(_N_CODES + 1, _UNKNOWN, dtype=np.uint8)
        self._kinds[_N_CODES] = BORDER
        self._byte_kinds: Kinds | None = None

    def ends(self, text: str) -> npt.NDArray[np.int64]:
        """Return the ends of the words of `text`, in characters."""
        codes = np.frombuffer((text + "\0\0").encode("utf-32-le"), dtype="<u4").copy()
        codes[-2:] = _BORDER_CODE
        starts = self.starts(codes)
        return np.flatnonzero(starts[1 : len(text) + 1]) + 1

    def starts(self, codes: Codes) -> Bool:
        """Return whether a word begins at each of N characters.

        `codes` are code points (uint32), or ASCII bytes (uint8), with borders after every text
        and two at the end. A border is a word of its own.
        """
        kinds = self.kinds(codes)
        space = kinds == SPACE
        word = ~(space | (kinds == BORDER))
        starts = np.empty(len(codes), dtype=np.bool_)
        starts[0] = True
        np.not_equal(kinds[1:], kinds[:-1], out=starts[1:])
        starts[1:] |= kinds[1:] == BORDER
        starts[1:] &= ~((codes[:-1] == 0x20) & word[1:])
        starts[:-1] |= space[:-1] & word[1:]
        self._cut_contractions(codes, starts)
        return starts

    def kinds(self, codes: Codes) -> Kinds:
        """Return the kind of each character; `codes` are as for `starts`."""
        if codes.dtype == np.uint8:
            return self._kinds_of_bytes()[codes]
        codes = np.minimum(codes, _N_CODES)
        kinds = self._kinds[codes]
        if (kinds == _UNKNOWN).any():
            for block in np.unique(codes[kinds == _UNKNOWN] // _BLOCK).tolist():
                self._learn_block(block * _BLOCK)
            kinds = self._kinds[codes]
        return kinds

    @staticmethod
    def _cut_contractions(codes: Codes, starts: Bool) -> None:
        """Make a word of a quote that begins one and s, t, m, d, re, ve or ll after it."""
        quote = np.flatnonzero((codes == ord("'")) & starts)
        first, second = codes[quote + 1], codes[np.minimum(quote + 2, len(codes) - 1)]
        short = np.isin(first, [ord(c) for c in "stmd"])
        long = np.isin(first, [ord("r"), ord("v")]) & (second == ord("e"))
        long |= (first == ord("l")) & (second == ord("l"))
        starts[quote[short | long] + 1] = False
        starts[quote[short] + 2] = True
        starts[quote[long] + 3] = True

    def _kinds_of_bytes(self) -> Kinds:
        if self._byte_kinds is None:
            table = np.full(256, BORDER, dtype=np.uint8)
            table[:128] = self.kinds(np.arange(128, dtype=np.uint32))
            self._byte_kinds = table
        return self._byte_kinds

    def _learn_block(self, first: int) -> None:
        """Ask for the kinds of a block: a letter goes on a word of letters, and so on."""
        codes = [c for c in range(first, first + _BLOCK) if c not in _SURROGATES]
        probe = "".join(f"a{chr(c)}\n1{chr(c)}\n!{chr(c)}\n" for c in codes)
        two_long = {start for _, (start, end) in self._look(probe) if end - start == 2}
        for number, code in enumerate(codes):
            place = 9 * number
            self._kinds[code] = SPACE
            for offset, kind in ((0, LETTER), (3, NUMBER), (6, OTHER)):
                if place + offset in two_long:
                    self._kinds[code] = kind
