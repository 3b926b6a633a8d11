"""Held-out loss and perplexity: every learned token counts once, with all the context it can have.

Legend: B batch, T time, C channels, D documents, N scored tokens.
"""

from __future__ import annotations

import contextlib
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penwright.errors import UsageError
from penwright.markers import IGNORED
from penwright.model import GPT2, evaluating, token_logprobs
from penwright.score.windows import batches, learned, load
from penwright.tokens import Part

BATCH_TOKENS = 4096
GPU_BATCH_TOKENS = 32768


@dataclass(frozen=True, kw_only=True)
class Score:
    """The cross-entropy of some tokens, summed in nats."""

    loss_sum: float
    tokens: int
    documents: int
    bytes: int
    """UTF-8 bytes of the text that was scored."""

    @property
    def loss(self) -> float:
        """Nats per token; not a number where nothing was scored."""
        return self.loss_sum / self.tokens if self.tokens else math.nan

    @property
    def perplexity(self) -> float:
        return exp(self.loss)

    @property
    def bits_per_byte(self) -> float:
        return self.loss_sum / math.log(2) / self.bytes if self.bytes else math.nan


def score_part(
    model: GPT2,
    part: Part,
    *,
    stride: int | None = None,
    batch_tokens: int | None = None,
    autocast: AbstractContextManager[object] | None = None,
) -> Score:
    """The loss over all learned tokens of `part`, each document's closing token among them.

    Documents longer than the context are scored in windows that move by `stride` tokens (half
    the context unless given). Raises UsageError for a stride that is not within the context.
    """
    losses_D, counts_D = score_documents(
        model, part, stride=stride, batch_tokens=batch_tokens, autocast=autocast
    )
    return Score(
        loss_sum=math.fsum(losses_D),
        tokens=int(counts_D.sum()),
        documents=len(losses_D),
        bytes=part.n_bytes,
    )


def score_documents(
    model: GPT2,
    part: Part,
    *,
    stride: int | None = None,
    batch_tokens: int | None = None,
    autocast: AbstractContextManager[object] | None = None,
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Each document's loss in nats (float64) and number of scored tokens (int64), [D] each."""
    context = model.config.n_positions
    stride = max(1, context // 2) if stride is None else stride
    if not 1 <= stride <= context:
        raise UsageError(
            f"A stride of {stride} tokens cannot be.",
            fix=f"Give one from 1 to {context}, the model's context.",
        )
    if batch_tokens is None:
        batch_tokens = BATCH_TOKENS if model.head_weight_VC.is_cpu else GPU_BATCH_TOKENS
    windows = list(learned(part, context, stride))
    losses_D = np.zeros(len(part.ranges), dtype=np.float64)
    counts_D = np.zeros(len(part.ranges), dtype=np.int64)
    with evaluating(model), torch.no_grad(), autocast or contextlib.nullcontext():
        for batch in batches(windows, batch_tokens):
            tokens_BT, targets_BT = load(part.store, batch)
            losses_BT = token_losses(model, tokens_BT, targets_BT)
            rows = [window.document for window in batch]
            np.add.at(losses_D, rows, losses_BT.sum(dim=1).numpy())
            np.add.at(counts_D, rows, (targets_BT != IGNORED).sum(dim=1).numpy())
    return losses_D, counts_D


def token_losses(model: GPT2, tokens_BT: Tensor, targets_BT: Tensor) -> Tensor:
    """-log p(target) of each target in nats, 0 where it is -100: float64 on the CPU, [B, T]."""
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
    """e to the `loss`, infinite where that is beyond a float."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
