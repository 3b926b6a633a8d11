"""The mean of batches' mean losses, as notebooks measure perplexity."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from penwright.document import IGNORED
from penwright.errors import UsageError
from penwright.model import GPT2, evaluating
from penwright.score.losses import ScoredWindow, exp, load, token_losses
from penwright.tokens import Split


@dataclass(frozen=True, kw_only=True)
class BatchAverage:
    """The mean of the batches' mean losses, in nats."""

    loss: float
    losses: tuple[float, ...]
    """The mean loss of each batch."""
    tokens: int
    documents: int

    @property
    def batches(self) -> int:
        """Return the number of batches with a learned token."""
        return len(self.losses)

    @property
    def perplexity(self) -> float:
        return exp(self.loss)


def batch_average(
    model: GPT2,
    split: Split,
    *,
    eot_id: int,
    batch_size: int = 4,
    max_length: int = 512,
    autocast: AbstractContextManager[object] | None = None,
) -> BatchAverage:
    """Average the losses of batches as notebooks do, with documents in their order.

    A document is its text alone, without the end-of-text tokens around it, cut at `max_length`;
    its first token is never a target. Each batch's loss is averaged over its own learned
    tokens, and the batches count alike, whatever they hold; one that holds none does not count.
    Raises UsageError for a `max_length` beyond the model's context.
    """
    context = model.config.n_positions
    if not 1 <= max_length <= context:
        raise UsageError(
            f"The maximum length cannot be {max_length} tokens.",
            fix=f"Give one from 1 to {context}, the model's context.",
        )
    windows = list(_texts(split, eot_id, max_length))
    means: list[float] = []
    tokens = 0
    with evaluating(model), torch.no_grad(), autocast or nullcontext():
        for first in range(0, len(windows), batch_size):
            tokens_BT, targets_BT = load(split.store, windows[first : first + batch_size])
            learned = int((targets_BT != IGNORED).sum())
            if learned:
                loss_sum = float(token_losses(model, tokens_BT, targets_BT).sum())
                means.append(loss_sum / learned)
                tokens += learned
    return BatchAverage(
        loss=math.fsum(means) / len(means) if means else math.nan,
        losses=tuple(means),
        tokens=tokens,
        documents=len(windows),
    )


def _texts(split: Split, eot_id: int, max_length: int) -> Iterator[ScoredWindow]:
    """Yield each document without its end-of-text tokens as one window."""
    for document, (a, b) in enumerate(split.ranges.tolist()):
        a += int(b > a and int(split.store.tokens(a, a + 1)[0]) == eot_id)
        b -= int(b > a and int(split.store.tokens(b - 1, b)[0]) == eot_id)
        if b > a:
            yield ScoredWindow(document, a, min(b - a, max_length) - 1, 0)
