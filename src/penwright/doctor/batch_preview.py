"""Show rows of the training batches as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penwright.markers import END_OF_TEXT, IGNORED
from penwright.tokens.batches import Batch, BatchSchedule
from penwright.tokens.bpe import Tokenizer


class Piece(NamedTuple):
    """A stretch of a row; its tokens are targets of the loss if `learned`."""

    text: str
    learned: bool


@dataclass(frozen=True)
class PreviewRow:
    """One row of a batch, by document; documents do not attend to each other."""

    step: int
    row: int
    documents: tuple[tuple[Piece, ...], ...]
    padding: int
    """Padding tokens at the end."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Return the stretches of all documents, in order."""
        return tuple(piece for document in self.documents for piece in document)


def preview(plan: BatchSchedule, tokenizer: Tokenizer, count: int) -> list[PreviewRow]:
    """Return the first `count` rows of an epoch, or all of them."""
    windows: list[PreviewRow] = []
    step = 0
    while len(windows) < count and step < plan.steps_per_epoch:
        batch = plan.batch(step)
        rows = range(min(len(batch.tokens_BT), count - len(windows)))
        windows += [read_row(batch, row, step, tokenizer) for row in rows]
        step += 1
    return windows


def read_row(batch: Batch, row: int, step: int, tokenizer: Tokenizer) -> PreviewRow:
    """Decode row `row` of a batch. The end-of-text token is written out."""
    tokens = batch.tokens_BT[row].numpy()
    targets = batch.targets_BT[row].numpy()
    owner = batch.documents_BT[row].numpy()
    documents = tuple(
        _pieces(tokens[owner == number], targets[owner == number], tokenizer)
        for number in np.unique(owner[owner >= 0]).tolist()
    )
    return PreviewRow(step, row, documents, int((owner < 0).sum()))


def _pieces(
    tokens: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], tokenizer: Tokenizer
) -> tuple[Piece, ...]:
    """Decode a document's inputs in a row, and its last target, which is no input of the row."""
    learned = [False, *(targets != IGNORED).tolist()]
    ids = [*tokens.tolist(), int(targets[-1])]
    if not learned[-1]:
        ids, learned = ids[:-1], learned[:-1]
    pieces: list[Piece] = []
    start = 0
    for end in range(1, len(ids) + 1):
        border = end == len(ids) or learned[end] != learned[start]
        marker = tokenizer.eot_id in (ids[start], ids[min(end, len(ids) - 1)])
        if border or marker:
            text = (
                END_OF_TEXT if ids[start] == tokenizer.eot_id else tokenizer.decode(ids[start:end])
            )
            pieces.append(Piece(text, learned[start]))
            start = end
    return tuple(pieces)
