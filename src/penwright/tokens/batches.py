"""Make batches: pure functions of a split, a seed and a step.

Legend: B rows, T time (tokens in a row).

A sequence of n tokens is n - 1 inputs, each with the token after it as its target. Three shapes:

packed   Whole documents side by side in rows of `length`, as many as fit; attention and positions
         stay inside each document. Only documents longer than a row are cut, into rows of their
         own and a first chunk that shares one.
rows     A document a row, padded on the right to the longest row of its batch. A document longer
         than `length` goes on in further rows, so no text is lost.
windows  Crops of the line of all documents, at places that are random in each epoch and that
         together cover every token; documents inside a crop are kept apart as in packed.

Long documents are cut from their end, so that the learned end of one has as much context as fits;
chunks without a learned token are left out. Every learned token is a target exactly once an epoch
in packed and rows, and at least once in windows. Batches of windows can be without any learned
token where long stretches are context.

Each epoch takes one document of a group of alternatives. They share a place in a row, as large as
the longest of them, so that all epochs have equally many rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from penwright.config import BatchShape
from penwright.document import IGNORED
from penwright.errors import DataError, UsageError
from penwright.seeds import permutation, random_words
from penwright.tokens.store import Int64
from penwright.tokens.store_split import Split, count_up

_ROUND = 8


@dataclass(frozen=True)
class Batch:
    """Tensors of one step, all [B, T]."""

    tokens_BT: torch.Tensor
    """int64: the inputs."""
    targets_BT: torch.Tensor
    """int64: the token after each input, -100 where it is not learned and on padding."""
    positions_BT: torch.Tensor
    """int64: counts from 0 in each document of a row."""
    documents_BT: torch.Tensor
    """int32: which document of the row a token is in, -1 on padding."""
    n_learned: int
    """Targets that are learned."""


class BatchSchedule:
    """All batches of a training run: `batch(step)` for any step from 0 on.

    An epoch is `steps_per_epoch` steps and goes through the split once, in an order of its own.
    The last batch of an epoch has fewer rows where they do not divide.
    """

    def __init__(
        self, split: Split, shape: BatchShape, batch_size: int, length: int, seed: int
    ) -> None:
        if batch_size < 1 or length < 1:
            raise UsageError(f"A batch cannot be {batch_size} rows of {length} tokens.")
        if shape not in ("packed", "windows", "rows"):
            raise UsageError(f"There is no batch shape '{shape}': packed, windows or rows.")
        if split.n_learned == 0:
            raise DataError("There is no text to learn from in the training part.")
        self.split = split
        self.shape = shape
        self.batch_size = batch_size
        self.length = length
        self.seed = seed
        self._table: _Windows | _Chunks
        if shape == "windows":
            self._table = _Windows(split, length, seed)
        else:
            self._table = _Chunks(split, length, seed, packed=shape == "packed")
        self.n_rows = self._table.n_rows
        """Rows in an epoch."""
        self._order: tuple[int, Int64] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Steps that go through the split once."""
        return -(-self.n_rows // self.batch_size)

    def batch(self, step: int) -> Batch:
        """Return the batch of a step, counted from 0."""
        epoch, number = divmod(step, self.steps_per_epoch)
        first = number * self.batch_size
        rows = self._epoch_order(epoch)[first : first + self.batch_size]
        return self._table.batch(rows, epoch)

    def rows(self, first: int, count: int) -> list[Batch]:
        """Return `count` rows from number `first` of all epochs on: a batch for each epoch."""
        batches = []
        while count > 0:
            epoch, number = divmod(first, self.n_rows)
            rows = self._epoch_order(epoch)[number : number + count]
            batches.append(self._table.batch(rows, epoch))
            first, count = first + len(rows), count - len(rows)
        return batches

    def _epoch_order(self, epoch: int) -> Int64:
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, permutation(self.n_rows, self.seed, "epoch", epoch)
        return self._order[1]


def split_micro(batch: Batch, micro_batch: int) -> list[Batch]:
    """Split a batch into slices of at most `micro_batch` rows."""
    slices = [
        slice(first, first + micro_batch) for first in range(0, len(batch.tokens_BT), micro_batch)
    ]
    return [
        Batch(
            batch.tokens_BT[rows],
            batch.targets_BT[rows],
            batch.positions_BT[rows],
            batch.documents_BT[rows],
            int((batch.targets_BT[rows] != IGNORED).sum()),
        )
        for rows in slices
    ]


def join_batches(batches: Sequence[Batch]) -> Batch:
    """Return the rows of several batches as one batch, padded on the right to the longest."""
    width = max(batch.tokens_BT.shape[1] for batch in batches)

    def join(tensors: Iterable[torch.Tensor], padding: int) -> torch.Tensor:
        return torch.cat(
            [
                torch.nn.functional.pad(tensor, (0, width - tensor.shape[1]), value=padding)
                for tensor in tensors
            ]
        )

    return Batch(
        join((batch.tokens_BT for batch in batches), 0),
        join((batch.targets_BT for batch in batches), IGNORED),
        join((batch.positions_BT for batch in batches), 0),
        join((batch.documents_BT for batch in batches), -1),
        sum(batch.n_learned for batch in batches),
    )


def fit_length(split: Split, length: int, shape: BatchShape = "packed") -> int:
    """Return `length`, or the longest row that the split can fill where that is shorter."""
    inputs = np.diff(split.alternatives[0].ranges)[:, 0] - 1
    if shape == "rows":
        fill = int(inputs.max(initial=1))
    elif shape == "packed":
        fill = int(inputs.sum())
    else:
        fill = split.n_tokens - 1
    return max(1, min(length, fill))


class _Chunks:
    """Packed or rows: documents cut to at most `length` inputs, and the rows they stand in."""

    def __init__(self, split: Split, length: int, seed: int, *, packed: bool) -> None:
        self._split = split
        self._store = split.store
        self._seed = seed
        self._length = length
        self._packed = packed
        self._starts, self._counts, chunks, owners = _share_places(split, length)
        room = np.maximum.reduceat(self._counts, chunks)
        if packed:
            row_of = pack(room, length, seed)
            order = np.argsort(row_of, kind="stable")
            chunks, owners, row_of = chunks[order], owners[order], row_of[order]
        else:
            row_of = np.arange(len(room), dtype=np.int64)
        self._chunks, self._owners = chunks, owners
        self.n_rows = int(row_of[-1]) + 1
        self._first = np.searchsorted(row_of, np.arange(self.n_rows + 1))
        self._chosen: tuple[int, Int64] | None = None

    def batch(self, rows: Int64, epoch: int) -> Batch:
        """Return the batch of these rows: the same in each epoch, but for alternatives."""
        numbers = self._first[rows + 1] - self._first[rows]
        row_P = np.repeat(np.arange(len(rows)), numbers)
        document_P = count_up(numbers)
        place_P = np.repeat(self._first[rows], numbers) + document_P
        chunk_P = self._chunks[place_P] + self._choice(epoch)[self._owners[place_P]]
        count_P = self._counts[chunk_P]
        column_P = np.cumsum(count_P) - count_P
        column_P -= np.repeat(column_P[np.cumsum(numbers) - numbers], numbers)
        width = self._length
        if not self._packed:
            width = min(width, max(1, -(-int(count_P.max()) // _ROUND)) * _ROUND)
        position = count_up(count_P)
        source = np.repeat(self._starts[chunk_P], count_P) + position
        place = np.repeat(row_P * width + column_P, count_P) + position
        shape = (len(rows), width)
        targets = np.where(
            self._store.take_learn(source + 1), self._store.take(source + 1), IGNORED
        )
        return _batch(
            _spread(shape, place, self._store.take(source), self._store.eot_id),
            _spread(shape, place, targets, IGNORED),
            _spread(shape, place, position, 0),
            _spread(shape, place, np.repeat(document_P, count_P), -1),
        )

    def _choice(self, epoch: int) -> Int64:
        if self._chosen is None or self._chosen[0] != epoch:
            self._chosen = epoch, self._split.choose(self._seed, epoch)
        return self._chosen[1]


class _Windows:
    """Crops of the line of all ranges, taken as a ring; each epoch begins elsewhere on it."""

    def __init__(self, split: Split, length: int, seed: int) -> None:
        self._split = split
        self._store = split.store
        self._length = length
        self._seed = seed
        every, _ = split.alternatives
        self._ranges = every.ranges
        self._first = np.cumsum(split.choices) - split.choices
        most = np.maximum.reduceat(np.diff(every.ranges)[:, 0], self._first)
        self.n_rows = -(-int(most.sum()) // length)
        self._ring: tuple[int, Int64, Int64] | None = None

    def batch(self, rows: Int64, epoch: int) -> Batch:
        """Return the batch of these windows of an epoch."""
        starts, line = self._ring_of(epoch)
        size = int(line[-1])
        phase = int(random_words(1, self._seed, "phase", epoch)[0] % np.uint64(size))
        column_T = np.arange(self._length + 1)
        line_BT = (phase + rows[:, None] * self._length + column_T) % size
        range_BT = np.searchsorted(line, line_BT, side="right") - 1
        inside_BT = line_BT - line[range_BT]
        source_BT = starts[range_BT] + inside_BT
        tokens_BT = self._store.take(source_BT)
        learn_BT = self._store.take_learn(source_BT) & (inside_BT > 0)
        targets_BT = np.where(learn_BT, tokens_BT, IGNORED)[:, 1:]
        begins_BT = inside_BT[:, :-1] == 0
        begins_BT[:, 0] = True
        begin_BT = np.maximum.accumulate(np.where(begins_BT, column_T[:-1], 0), axis=1)
        return _batch(
            np.ascontiguousarray(tokens_BT[:, :-1]),
            np.ascontiguousarray(targets_BT),
            column_T[:-1] - begin_BT,
            np.cumsum(begins_BT, axis=1) - 1,
        )

    def _ring_of(self, epoch: int) -> tuple[Int64, Int64]:
        """Return the starts of an epoch's ranges in the store and on the ring, then its size."""
        if self._ring is None or self._ring[0] != epoch:
            ranges = self._ranges[self._first + self._split.choose(self._seed, epoch)]
            line = np.append(0, np.cumsum(np.diff(ranges)[:, 0]))
            self._ring = epoch, ranges[:, 0], line
        return self._ring[1:]


def _share_places(split: Split, length: int) -> tuple[Int64, Int64, Int64, Int64]:
    """Place the chunks: alternatives share the places of their range, counted from the end.

    Returns each chunk's start and number of inputs (0 where an alternative is too short for a
    chunk there), the first chunk of each place, and the range that the place is of.
    """
    every, range_A = split.alternatives
    starts, counts, owner, number = _cut(every, length)
    first_A = np.cumsum(split.choices) - split.choices
    range_P = range_A[owner]
    most = int(number.max(initial=0)) + 1
    key_P = range_P * most + (most - 1 - number)
    order = np.argsort(key_P, kind="stable")
    new = np.diff(key_P[order], prepend=-1) != 0
    owners = range_P[order][new]
    ends = np.cumsum(split.choices[owners])
    chunks = ends - split.choices[owners]
    place_P = chunks[np.cumsum(new) - 1] + (owner - first_A[range_P])[order]
    sizes = (int(ends[-1]),)
    return (
        _spread(sizes, place_P, starts[order], 0),
        _spread(sizes, place_P, counts[order], 0),
        chunks,
        owners,
    )


def _cut(split: Split, length: int) -> tuple[Int64, Int64, Int64, Int64]:
    """Cut all ranges to chunks; return their starts, inputs, ranges, and numbers from the end."""
    inputs = split.ranges[:, 1] - split.ranges[:, 0] - 1
    numbers = -(-inputs // length)
    first = inputs - (numbers - 1) * length
    owner = np.repeat(np.arange(len(inputs)), numbers)
    index = count_up(numbers)
    counts = np.where(index == 0, first[owner], length)
    begins = np.where(index == 0, 0, first[owner] + (index - 1) * length)
    starts = split.ranges[owner, 0] + begins
    learned = split.learned
    in_doubt = (learned < inputs) & ((numbers > 1) | (learned == 0))
    keep = np.ones(len(starts), np.bool_)
    for i in np.flatnonzero(in_doubt[owner]).tolist():
        keep[i] = split.store.learn(int(starts[i]) + 1, int(starts[i] + counts[i]) + 1).any()
    return starts[keep], counts[keep], owner[keep], (numbers[owner] - 1 - index)[keep]


def _spread(shape: tuple[int, ...], place: Int64, values: Int64, rest: int) -> Int64:
    """Return an array of `rest` with `values` at flat places."""
    out = np.full(math.prod(shape), rest, np.int64)
    out[place] = values
    return out.reshape(shape)


def _batch(tokens: Int64, targets: Int64, positions: Int64, documents: Int64) -> Batch:
    return Batch(
        _tensor(tokens),
        _tensor(targets),
        _tensor(positions),
        _tensor(documents.astype(np.int32)),
        int((targets != IGNORED).sum()),
    )


def _tensor(array: npt.NDArray[np.int64] | npt.NDArray[np.int32]) -> torch.Tensor:
    return torch.from_numpy(array)


def pack(counts: Int64, length: int, seed: int) -> Int64:
    """Return each chunk's row by best-fit decreasing (Johnson 1974), for sizes of 1 to `length`.

    The longest chunks come first, those of one length in a random order; each goes into the row
    with the least room that it fits in, or a new one. Chunks of one length are placed together,
    so the work grows with the lengths that occur and not with the chunks.
    """
    rows = np.empty(len(counts), np.int64)
    order = permutation(len(counts), seed, "pack")
    order = order[np.argsort(-counts[order], kind="stable")]
    sizes, firsts = np.unique(-counts[order], return_index=True)
    with_room: dict[int, Int64] = {}
    n_rows = 0
    for size, chunks in zip((-sizes).tolist(), np.split(order, firsts[1:]), strict=True):
        for room in sorted(r for r in with_room if r >= size):
            if not len(chunks):
                break
            chunks = _fill(rows, chunks, size, room, with_room)
        if len(chunks):
            needed = -(-len(chunks) // (length // size))
            with_room[length] = np.arange(n_rows, n_rows + needed, dtype=np.int64)
            n_rows += needed
            _fill(rows, chunks, size, length, with_room)
    return rows


def _fill(rows: Int64, chunks: Int64, size: int, room: int, with_room: dict[int, Int64]) -> Int64:
    """Put chunks of one size into the rows that have `room`; returns the chunks left over.

    A row takes as many as it holds before the next row is begun, since it has the least room.
    """
    open_rows = with_room.pop(room)
    each = room // size
    used = min(-(-len(chunks) // each), len(open_rows))
    placed = min(len(chunks), used * each)
    rows[chunks[:placed]] = np.repeat(open_rows[:used], each)[:placed]
    in_last = placed - (used - 1) * each
    _give_back(with_room, room, open_rows[used:])
    _give_back(with_room, room - each * size, open_rows[: used - 1])
    _give_back(with_room, room - in_last * size, open_rows[used - 1 : used])
    return chunks[placed:]


def _give_back(with_room: dict[int, Int64], room: int, rows: Int64) -> None:
    if room and len(rows):
        others = with_room.get(room)
        with_room[room] = rows if others is None else np.concatenate([others, rows])
