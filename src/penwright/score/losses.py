"""Held-out loss, perplexity and bits per byte: every learned token once, by document and window.

Each token has as much context as it can have.

Legend: B batch, T time, C channels, D documents, N scored tokens.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from penwright.document import IGNORED
from penwright.errors import UsageError
from penwright.model import GPT2, evaluating, token_logprobs
from penwright.tokens import Split, Store
from penwright.tokens.store import Int64

Floats = npt.NDArray[np.float64]
Spread = Callable[[Iterable[tuple[Tensor, Tensor]]], Iterator[Tensor]]

BATCH_TOKENS = 4096
GPU_BATCH_TOKENS = 32768


@dataclass(frozen=True, kw_only=True)
class Score:
    """The summed cross-entropy of some tokens, in nats."""

    loss_sum: float
    tokens: int
    documents: int
    bytes: int
    """UTF-8 bytes of the scored text."""

    @property
    def loss(self) -> float:
        """Return nats per token; NaN if nothing was scored."""
        return self.loss_sum / self.tokens if self.tokens else math.nan

    @property
    def perplexity(self) -> float:
        return exp(self.loss)

    @property
    def bits_per_byte(self) -> float:
        return self.loss_sum / math.log(2) / self.bytes if self.bytes else math.nan


FEWEST_DOCUMENTS = 8
"""With fewer documents than this, intervals resample windows instead."""


@dataclass(frozen=True)
class Losses:
    """The losses of all learned tokens of a split, summed by window in nats.

    Legend: W windows of documents, in order.
    """

    losses_W: Floats
    tokens_W: Int64
    documents_W: Int64
    """The number of each window's document in the split."""
    documents: int
    bytes: int
    """UTF-8 bytes of the scored text."""

    @property
    def total(self) -> Score:
        """The loss of the whole split."""
        return Score(
            loss_sum=math.fsum(self.losses_W),
            tokens=int(self.tokens_W.sum()),
            documents=self.documents,
            bytes=self.bytes,
        )

    @property
    def counts_W2(self) -> Floats:
        """Losses and tokens, float64 [W, 2], as a figure takes them."""
        return np.stack([self.losses_W, self.tokens_W], axis=1)

    def by_document(self) -> Floats:
        """Return losses and tokens of each document, float64 [D, 2]."""
        sums_D2 = np.zeros((self.documents, 2))
        np.add.at(sums_D2, self.documents_W, self.counts_W2)
        return sums_D2

    def units(self) -> list[int]:
        """Return each window's unit of resampling: its document, or itself if documents are few.

        One long text has no other parts to resample; its windows are blocks (Künsch, 1989).
        """
        few = len(np.unique(self.documents_W)) < FEWEST_DOCUMENTS
        return list(range(len(self.losses_W))) if few else self.documents_W.tolist()


def score_windows(
    model: GPT2,
    split: Split,
    *,
    stride: int | None = None,
    batch_tokens: int | None = None,
    autocast: AbstractContextManager[object] | None = None,
    spread: Spread | None = None,
) -> Losses:
    """Score all learned tokens of `split`, each document's closing token included.

    Documents longer than the context are scored in windows that move by `stride` tokens (half
    the context unless given). `spread` computes the losses of batches elsewhere, in place of
    `token_losses` here. Raises UsageError for a stride that is not within the context.
    """
    context = model.config.n_positions
    stride = check_stride(stride, context)
    if batch_tokens is None:
        batch_tokens = tokens_a_batch(model)
    windows = list(learned(split, context, stride))
    places = {window: place for place, window in enumerate(windows)}
    losses_W = np.zeros(len(windows), dtype=np.float64)
    tokens_W = np.zeros(len(windows), dtype=np.int64)
    with evaluating(model), torch.no_grad(), autocast or contextlib.nullcontext():
        batched, counted = itertools.tee(batches(windows, batch_tokens))
        loaded, kept = itertools.tee(load(split.store, batch) for batch in batched)
        found = spread(loaded) if spread else (token_losses(model, *item) for item in loaded)
        for losses_BT, batch, (_, targets_BT) in zip(found, counted, kept, strict=True):
            rows = [places[window] for window in batch]
            losses_W[rows] = losses_BT.sum(dim=1).numpy()
            tokens_W[rows] = (targets_BT != IGNORED).sum(dim=1).numpy()
    documents_W = np.array([window.document for window in windows], dtype=np.int64)
    return Losses(losses_W, tokens_W, documents_W, len(split.ranges), split.n_bytes)


def check_stride(stride: int | None, context: int) -> int:
    stride = max(1, context // 2) if stride is None else stride
    if not 1 <= stride <= context:
        raise UsageError(
            f"The stride cannot be {stride} tokens.",
            fix=f"Give one from 1 to {context}, the model's context.",
        )
    return stride


def tokens_a_batch(model: GPT2) -> int:
    """Return the number of tokens to score at once, padding included."""
    return BATCH_TOKENS if model.head_weight_VC.is_cpu else GPU_BATCH_TOKENS


def token_losses(model: GPT2, tokens_BT: Tensor, targets_BT: Tensor) -> Tensor:
    """Return -log p(target) in nats, 0 for ignored targets: float64 [B, T] on the CPU."""
    device = model.head_weight_VC.device
    hidden_BTC = model(tokens_BT.to(device))
    learned_BT = targets_BT != IGNORED
    losses_BT = torch.zeros(targets_BT.shape, dtype=torch.float64)
    logprobs_N = token_logprobs(
        hidden_BTC[learned_BT.to(device)], model.head_weight_VC, targets_BT[learned_BT].to(device)
    )
    losses_BT[learned_BT] = -logprobs_N.cpu().double()
    return losses_BT


def exp(loss: float) -> float:
    """Return exp(loss), infinite on overflow."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


@dataclass(frozen=True, slots=True)
class ScoredWindow:
    """`length` inputs from token `start`; the first `seen` targets are context only."""

    document: int
    start: int
    length: int
    seen: int


def cut(document: int, a: int, b: int, context: int, stride: int) -> Iterator[ScoredWindow]:
    """Yield windows that score each token of [a, b) after the first once.

    The first window is as long as the context; each further one ends `stride` tokens later (or
    at the document's end) and reaches back as far as the context allows.
    """
    scored = a
    while scored < b - 1:
        end = min(b - 1, a + context if scored == a else scored + stride)
        start = max(a, end - context)
        yield ScoredWindow(document, start, end - start, scored - start)
        scored = end


def learned(split: Split, context: int, stride: int) -> Iterator[ScoredWindow]:
    """Yield the windows of all documents that hold something to score."""
    for document, (a, b) in enumerate(split.ranges.tolist()):
        learn = split.store.learn(a, b)
        for window in cut(document, a, b, context, stride):
            targets = window.start + 1 - a
            if learn[targets + window.seen : targets + window.length].any():
                yield window


def batches(windows: Sequence[ScoredWindow], batch_tokens: int) -> Iterator[list[ScoredWindow]]:
    """Yield batches of windows, longest first, of at most `batch_tokens` tokens with padding."""
    batch: list[ScoredWindow] = []
    for window in sorted(windows, key=lambda window: -window.length):
        if batch and (len(batch) + 1) * batch[0].length > batch_tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def load(store: Store, batch: Sequence[ScoredWindow]) -> tuple[Tensor, Tensor]:
    """Return tokens and targets of a batch, [B, T], padded on the right with ignored targets."""
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
