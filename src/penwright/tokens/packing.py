"""Put pieces of text into rows of a fixed length, with little room left over."""

from __future__ import annotations

import numpy as np

from penwright.seeds import permutation
from penwright.tokens.store import Int64


def pack(counts: Int64, length: int, seed: int) -> Int64:
    """The row of each piece: best-fit decreasing (Johnson 1974), for pieces of 1 to `length`.

    The longest pieces come first, those of one length in a random order; each goes into the row
    with the least room that it fits in, or a new one. Pieces of one length are placed together,
    so the work grows with the lengths that occur and not with the pieces.
    """
    rows = np.empty(len(counts), np.int64)
    order = permutation(len(counts), seed, "pack")
    order = order[np.argsort(-counts[order], kind="stable")]
    sizes, firsts = np.unique(-counts[order], return_index=True)
    with_room: dict[int, Int64] = {}
    n_rows = 0
    for size, pieces in zip((-sizes).tolist(), np.split(order, firsts[1:]), strict=True):
        for room in sorted(r for r in with_room if r >= size):
            if not len(pieces):
                break
            pieces = _fill(rows, pieces, size, room, with_room)
        if len(pieces):
            needed = -(-len(pieces) // (length // size))
            with_room[length] = np.arange(n_rows, n_rows + needed, dtype=np.int64)
            n_rows += needed
            _fill(rows, pieces, size, length, with_room)
    return rows


def _fill(rows: Int64, pieces: Int64, size: int, room: int, with_room: dict[int, Int64]) -> Int64:
    """Put pieces of one size into the rows that have `room`; returns the pieces left over.

    A row takes as many as it holds before the next row is begun, since it has the least room.
    """
    open_rows = with_room.pop(room)
    each = room // size
    used = min(-(-len(pieces) // each), len(open_rows))
    placed = min(len(pieces), used * each)
    rows[pieces[:placed]] = np.repeat(open_rows[:used], each)[:placed]
    in_last = placed - (used - 1) * each
    _give_back(with_room, room, open_rows[used:])
    _give_back(with_room, room - each * size, open_rows[: used - 1])
    _give_back(with_room, room - in_last * size, open_rows[used - 1 : used])
    return pieces[placed:]


def _give_back(with_room: dict[int, Int64], room: int, rows: Int64) -> None:
    if room and len(rows):
        others = with_room.get(room)
        with_room[room] = rows if others is None else np.concatenate([others, rows])
