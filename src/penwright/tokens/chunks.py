"""Cut long texts where GPT-2's tokens end anyway, so that they encode in bounded memory.

GPT-2 cuts text into words by a regular expression before it merges bytes, and that runs from the
left without looking back. Hence a text may be cut wherever one of its words ends:

* A non-space followed by ASCII white space is always such a place, and quickly found.
* Where there is none for long, the words themselves are looked at, a window at a time. All but
  those that touch the window's end are what they would be in the whole text.
* A single word longer than a window (a million `^`) has no such place. It is merged by windows
  of its own, see `encode_run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penwright.document import WORD_END

CHUNK = 1 << 17
"""Characters in a piece, about."""
WINDOW = 1 << 16
"""Characters looked at to find where words end; a word that fills it is a run."""
RUN_WINDOW = 1 << 13
"""Bytes of a run merged at once."""

# The longest contraction is 're: three characters decide whether a quote begins one.
_LOOKAHEAD = 3

Ids = npt.NDArray[np.uint32]
Merge = Callable[[bytes], Ids]
FindEnds = Callable[[str], npt.NDArray[np.int64]]
"""Where GPT-2's words end in a text."""


class Chunk(NamedTuple):
    """A stretch of a text; `run` when it is one long word."""

    start: int
    end: int
    run: bool = False


def find_cut(text: str, start: int, end: int | None = None) -> int | None:
    """The first place from `start` on where a non-space is followed by ASCII white space."""
    found = WORD_END.search(text, start, len(text) if end is None else end)
    return found.end() if found else None


def cut(text: str, find_ends: FindEnds, size: int) -> Iterator[Chunk]:
    """Pieces of `text`, in order, whose encodings one after another are the text's own.

    They have about `size` characters, at most twice as many; but for runs, which stay whole.
    """
    position, length = 0, len(text)
    while length - position > 2 * size:
        found = find_cut(text, position + size, position + 2 * size)
        piece = Chunk(position, found) if found else _cut_by_words(text, position, find_ends)
        yield piece
        position = piece.end
    if position < length:
        yield Chunk(position, length)


def _cut_by_words(text: str, start: int, find_ends: FindEnds) -> Chunk:
    """The longest piece from `start` within a window that ends where a word does, or a run."""
    window = text[start : start + WINDOW]
    ends = find_ends(window)
    unsettled = _LOOKAHEAD if start + len(window) < len(text) else 0
    settled = ends[ends <= len(window) - unsettled].tolist()
    # White space that ends a piece would be one word there, where in the text it may be two.
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
    """Where the word that begins at `start`, and fills a window, ends.

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
    """The ids of one word of any length, in linear time where the merges settle locally.

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
    """Indices into both of the first token that both have at the same place."""
    _, in_left, in_right = np.intersect1d(
        left_starts, right_starts, assume_unique=True, return_indices=True
    )
    same = np.flatnonzero(left[in_left] == right[in_right])
    return (int(in_left[same[0]]), int(in_right[same[0]])) if len(same) else None
