"""Cut documents into windows that fit a model's context, and windows into batches.

Legend: B batch, T time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from penwright.markers import IGNORED
from penwright.tokens import Part, Store


@dataclass(frozen=True, slots=True)
class Window:
    """`length` inputs from `start`; the targets of the first `seen` were scored before."""

    document: int
    start: int
    length: int
    seen: int


def cut(document: int, a: int, b: int, context: int, stride: int) -> Iterator[Window]:
    """Windows in which each token of [a, b) but the first is scored once.

    The first window is as long as the context; each further one ends `stride` tokens later (or
    at the document's end) and reaches back as far as the context allows.
    """
    scored = a
    while scored < b - 1:
        end = min(b - 1, a + context if scored == a else scored + stride)
        start = max(a, end - context)
        yield Window(document, start, end - start, scored - start)
        scored = end


def learned(part: Part, context: int, stride: int) -> Iterator[Window]:
    """The windows of all documents in which there is something to score."""
    for document, (a, b) in enumerate(part.ranges.tolist()):
        learn = part.store.learn(a, b)
        for window in cut(document, a, b, context, stride):
            targets = window.start + 1 - a
            if learn[targets + window.seen : targets + window.length].any():
                yield window


def batches(windows: Sequence[Window], batch_tokens: int) -> Iterator[list[Window]]:
    """Windows of like length together, longest first, at most `batch_tokens` with padding."""
    batch: list[Window] = []
    for window in sorted(windows, key=lambda window: -window.length):
        if batch and (len(batch) + 1) * batch[0].length > batch_tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def load(store: Store, batch: Sequence[Window]) -> tuple[Tensor, Tensor]:
    """Tokens and targets of a batch, [B, T], padded on the right; -100 is not to be scored."""
    longest = max(window.length for window in batch)
    tokens_BT = np.zeros((len(batch), longest), dtype=np.int64)
    targets_BT = np.full((len(batch), longest), IGNORED, dtype=np.int64)
    for row, (start, length, seen) in enumerate((w.start, w.length, w.seen) for w in batch):
        line = store.tokens(start, start + length + 1).astype(np.int64)
        learn = store.learn(start, start + length + 1)[1:].astype(bool)
        learn[:seen] = False
        tokens_BT[row, :length] = line[:-1]
        targets_BT[row, :length] = np.where(learn, line[1:], IGNORED)
    return torch.from_numpy(tokens_BT), torch.from_numpy(targets_BT)
