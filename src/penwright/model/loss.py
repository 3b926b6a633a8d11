"""Cross-entropy over a large vocabulary, computed in chunks of logits.

Legend: N tokens, n tokens of a chunk, C channels, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from penwright.document import IGNORED

CHUNK_LOGITS = 1 << 25  # 64 MiB in bfloat16
GPU_CHUNK_LOGITS = 1 << 26
TILE = 4  # rows of logits, and rows of the matrix, that stay in the cache while they are wide
ROWS = 256
SLICE = 8192


class LossKernels(Protocol):
    """Faster implementations of parts of the loss on a CPU, in float32 and bfloat16."""

    def multiply(self, a_NK: Tensor, b_KM: Tensor, out: Tensor | None = None) -> Tensor:
        """Return a @ b, in `out` where the product can write into a tensor."""
        ...

    def loss_grads(self, logits_NV: Tensor, targets_N: Tensor) -> Tensor:
        """Turn logits into p - onehot(target) in place; return log p(target)."""
        ...

    def narrow(self, x_NC: Tensor, less_C: Tensor) -> Tensor:
        """Return x - less, of float32, in bfloat16."""
        ...

    def accumulate(self, sum_NC: Tensor, x_NC: Tensor) -> None:
        """sum += x, with the sum in float32."""
        ...


def chunked_cross_entropy(
    hidden_NC: Tensor,
    weight_VC: Tensor,
    targets_N: Tensor,
    chunk: int | None = None,
    kernels: LossKernels | None = None,
) -> Tensor:
    """Return the sum of -log p(target) over targets other than -100: a scalar, float32 or wider.

    Logits exist for `chunk` tokens at a time. The gradients of `hidden_NC` and `weight_VC` are
    made along with the loss and only scaled in the backward pass, which may run once.
    Under autocast the products run in its type; sums and the weight's gradient stay in float32.
    Without `kernels` torch computes everything.
    """
    # On a GPU, selecting the learned rows would make the host wait for their number.
    if hidden_NC.device.type == "cpu":
        learned_N = targets_N != IGNORED
        hidden_NC, targets_N = hidden_NC[learned_N], targets_N[learned_N]
    dtype = _product_dtype(hidden_NC)
    with torch.autocast(hidden_NC.device.type, enabled=False):
        loss: Tensor = _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            hidden_NC, weight_VC, targets_N, chunk, dtype, torch.is_grad_enabled(), kernels
        )
    return loss


@torch.no_grad()
def token_logprobs(
    hidden_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, chunk: int | None = None
) -> Tensor:
    """Return log p(target), [N], float32 or wider, without gradient; 0 for ignored targets."""
    dtype = _product_dtype(hidden_NC)
    logprobs_N = hidden_NC.new_zeros(len(hidden_NC), dtype=_sum_dtype(dtype))
    with torch.autocast(hidden_NC.device.type, enabled=False):
        product_VC = _product_weight(weight_VC, dtype)
        for rows in split_rows(len(hidden_NC), len(weight_VC), hidden_NC.device, chunk):
            logp_nV = _log_softmax(hidden_NC[rows].to(dtype), product_VC)
            logprobs_N[rows] = _pick(logp_nV, targets_N[rows])
    return logprobs_N


class TokenScores(NamedTuple):
    """The model's view of N tokens, in nats; K is the number of likeliest tokens."""

    logprobs_N: Tensor
    ranks_N: Tensor
    """1 for the likeliest token; 1 + the number of tokens that are likelier."""
    entropies_N: Tensor
    """Entropy of the distribution that the token was drawn from."""
    best_NK: Tensor
    best_logprobs_NK: Tensor


@torch.no_grad()
def token_scores(hidden_NC: Tensor, weight_VC: Tensor, targets_N: Tensor, best: int) -> TokenScores:
    """Return log p(target) as `token_logprobs` does, with rank, entropy and the `best` tokens."""
    dtype = _product_dtype(hidden_NC)
    best = min(best, len(weight_VC))
    found: list[tuple[Tensor, ...]] = []
    with torch.autocast(hidden_NC.device.type, enabled=False):
        product_VC = _product_weight(weight_VC, dtype)
        for rows in split_rows(len(hidden_NC), len(weight_VC), hidden_NC.device):
            logp_nV = _log_softmax(hidden_NC[rows].to(dtype), product_VC)
            logp_n = _pick(logp_nV, targets_N[rows])
            ranks_n = (logp_nV > logp_n[:, None]).sum(1) + 1
            top = logp_nV.topk(best)
            entropies_n = -(logp_nV.exp() * logp_nV).sum(1)
            found.append((logp_n, ranks_n, entropies_n, top.indices, top.values))
    return TokenScores(*(torch.cat(parts) for parts in zip(*found, strict=True)))


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_NC: Tensor,
        weight_VC: Tensor,
        targets_N: Tensor,
        chunk: int | None,
        dtype: torch.dtype,
        with_grad: bool,
        kernels: LossKernels | None,
    ) -> Tensor:
        loss = hidden_NC.new_zeros((), dtype=_sum_dtype(dtype))
        multiply = torch.mm if kernels is None else kernels.multiply
        make_grads = _make_grads if kernels is None else kernels.loss_grads
        hidden_grad = weight_sum = None
        if with_grad and ctx.needs_input_grad[0]:
            hidden_grad = torch.empty_like(hidden_NC)
        if with_grad and ctx.needs_input_grad[1]:
            weight_sum = _WeightSum(weight_VC, dtype, kernels)
        product_VC = _product_weight(weight_VC, dtype, kernels)
        chunks = list(split_rows(len(hidden_NC), len(weight_VC), hidden_NC.device, chunk))
        largest = max((rows.stop - rows.start for rows in chunks), default=0)
        buffer_nV = hidden_NC.new_empty((largest, len(weight_VC)), dtype=dtype)
        for rows in chunks:
            hidden_nC, targets_n = hidden_NC[rows].to(dtype), targets_N[rows]
            grads_nV = multiply(hidden_nC, product_VC.T, out=buffer_nV[: len(targets_n)])
            loss -= make_grads(grads_nV, targets_n).sum()
            if hidden_grad is not None:
                hidden_grad[rows] = multiply(grads_nV, product_VC)
            if weight_sum is not None:
                weight_sum.add(grads_nV, hidden_nC)
        ctx.grads = (hidden_grad, None if weight_sum is None else weight_sum.result())
        ctx.weight_dtype = weight_VC.dtype
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.grads is None:
            raise RuntimeError("the backward pass of chunked_cross_entropy may run only once")
        (hidden_grad, weight_grad), ctx.grads = ctx.grads, None
        if hidden_grad is not None:
            hidden_grad.mul_(grad)
        if weight_grad is not None:
            weight_grad = weight_grad.mul_(grad).to(ctx.weight_dtype)
        return hidden_grad, weight_grad, None, None, None, None, None


def _product_weight(
    weight_VC: Tensor, dtype: torch.dtype, kernels: LossKernels | None = None
) -> Tensor:
    """Return the output matrix in the type and layout of the products.

    Before it is narrowed, its mean row is subtracted. That shifts all logits of a token equally,
    which the softmax ignores; GPT-2's logits lie around -100, where bfloat16 has steps of 0.5.
    """
    if weight_VC.dtype == dtype:
        return weight_VC
    mean_C = weight_VC.mean(dim=0)
    if kernels is not None and (weight_VC.dtype, dtype) == (torch.float32, torch.bfloat16):
        return kernels.narrow(weight_VC, mean_C)
    product_VC = torch.empty_like(weight_VC, dtype=dtype)
    for rows in _slices(len(weight_VC), ROWS if weight_VC.is_cpu else len(weight_VC)):
        product_VC[rows] = weight_VC[rows] - mean_C
    return product_VC


def _log_softmax(hidden_nC: Tensor, product_VC: Tensor) -> Tensor:
    logits_nV = hidden_nC @ product_VC.T
    return F.log_softmax(logits_nV, dim=1, dtype=_sum_dtype(logits_nV.dtype))


def _pick(logp_nV: Tensor, targets_n: Tensor) -> Tensor:
    """Return log p(target), 0 where the target is -100."""
    picked_n = logp_nV.gather(1, targets_n.clamp(min=0)[:, None])[:, 0]
    return picked_n.masked_fill(targets_n == IGNORED, 0.0)


def _make_grads(logits_nV: Tensor, targets_n: Tensor) -> Tensor:
    """Turn logits into d loss / d logits = p - onehot(target) in place; returns log p(target).

    Both are 0 where the target is -100. On a CPU a few rows at a time go through one wide buffer
    that stays in the cache; 1 is subtracted from p(target) before it is rounded.
    """
    wide = _sum_dtype(logits_nV.dtype)
    logp_n = logits_nV.new_empty(len(targets_n), dtype=wide)
    tile = TILE if logits_nV.is_cpu else len(targets_n)
    buffer_tV = logits_nV.new_empty((min(tile, len(targets_n)), logits_nV.shape[1]), dtype=wide)
    for rows in _slices(len(targets_n), tile):
        rows_tV, index_t1 = logits_nV[rows], targets_n[rows].clamp(min=0)[:, None]
        p_tV = buffer_tV[: len(rows_tV)]
        # log p = (logit - largest) + log(largest p), which is never so small as to be lost.
        over_t1 = rows_tV.gather(1, index_t1).to(wide) - rows_tV.amax(1, keepdim=True).to(wide)
        torch.softmax(rows_tV, 1, dtype=wide, out=p_tV)
        logp_t1 = over_t1 + p_tV.amax(1, keepdim=True).log()
        rows_tV.copy_(p_tV.scatter_(1, index_t1, logp_t1.expm1()))
        logp_n[rows] = logp_t1[:, 0]
    ignored_n = targets_n == IGNORED
    logits_nV.masked_fill_(ignored_n[:, None], 0.0)
    return logp_n.masked_fill_(ignored_n, 0.0)


class _WeightSum:
    """The weight's gradient: a sum, over chunks, of products that may be of a narrower type.

    Products of a later chunk are added a slice at a time, so that they take little memory.
    """

    def __init__(self, weight_VC: Tensor, dtype: torch.dtype, kernels: LossKernels | None) -> None:
        self.sum_VC = torch.empty_like(weight_VC, dtype=_sum_dtype(dtype))
        self.kernels = kernels
        self.buffer_vC = torch.empty_like(weight_VC[:SLICE], dtype=dtype)
        self.begun = False

    def result(self) -> Tensor:
        """Return the sum, which is zero where nothing was added."""
        return self.sum_VC if self.begun else self.sum_VC.zero_()

    def add(self, grads_nV: Tensor, hidden_nC: Tensor) -> None:
        """sum_VC += grads.T @ hidden"""
        multiply = torch.mm if self.kernels is None else self.kernels.multiply
        for rows in _slices(len(self.sum_VC), SLICE):
            target_vC = self.sum_VC[rows]
            buffer_vC = self.buffer_vC[: len(target_vC)]
            product_vC = multiply(grads_nV[:, rows].T, hidden_nC, out=buffer_vC)
            if not self.begun:
                target_vC.copy_(product_vC)
            elif self.kernels is None:
                target_vC += product_vC
            else:
                self.kernels.accumulate(target_vC, product_vC)
        self.begun = True


def split_rows(
    rows: int, vocabulary: int, device: torch.device, chunk: int | None = None
) -> Iterator[slice]:
    """Yield slices of the rows whose logits exist at once: as few as may be, and even.

    The products of a short chunk would take almost as long as those of a whole one.
    """
    logits = CHUNK_LOGITS if device.type == "cpu" else GPU_CHUNK_LOGITS
    count = -(-rows // (chunk or max(1, logits // vocabulary)))
    return _slices(rows, max(1, -(-rows // max(1, count))))


def _slices(length: int, step: int) -> Iterator[slice]:
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def _product_dtype(hidden_NC: Tensor) -> torch.dtype:
    kind = hidden_NC.device.type
    if torch.is_autocast_enabled(kind) and hidden_NC.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
    return hidden_NC.dtype


def _sum_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
