"""Fused forward and backward of a block's halves, for training in bfloat16 on a CPU.

Autograd saves the inputs of every operation and allocates every result. Here each half saves its
input, the mean and deviation of its norm, and its widest product; cheap values are recomputed in
the backward pass, in buffers that all layers share. The results equal those of `Block.forward`
under autocast.

Legend: N tokens, C channels, I inner width, O output width.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from penwright.model.attention import Attend
from penwright.model.gpt2 import MLP, Block, Conv1D

_ops = torch.ops.aten


class Buffers:
    """Reusable buffers by name, for values that nothing else needs later."""

    def __init__(self) -> None:
        self._held: dict[str, Tensor] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return an uninitialised tensor in the buffer of that name."""
        size = math.prod(shape)
        if name not in self._held or self._held[name].numel() < size:
            self._held[name] = torch.empty(size, dtype=dtype)
        return self._held[name][:size].view(shape)


def fuse(model: nn.Module) -> None:
    """Replace the forward pass of every supported block by the fused one; `unfuse` undoes it.

    The fused pass runs while the block is trained, on a CPU, with products and matrices in
    bfloat16, norms first and no dropout; otherwise the block's own forward pass runs.
    """
    buffers = Buffers()
    for block in model.modules():
        if isinstance(block, Block) and not block.norm_last:
            block.__dict__["forward"] = functools.partial(_forward, block, buffers)


def unfuse(model: nn.Module) -> None:
    """Restore the forward pass of every block."""
    for block in model.modules():
        if isinstance(block, Block):
            block.__dict__.pop("forward", None)


def _forward(block: Block, buffers: Buffers, x_BTC: Tensor, attend: Attend) -> Tensor:
    if not _can(block, x_BTC):
        return Block.forward(block, x_BTC, attend)
    x_NC = x_BTC.flatten(0, 1)
    qkv_NO = _NormLinear.apply(  # type: ignore[no-untyped-call]
        x_NC, *_norm(block.ln_1), *_linear(block.attn.c_attn), buffers
    )
    x_BTC = x_BTC + block.attn.mix(qkv_NO.view(*x_BTC.shape[:2], -1), attend)
    y_NC: Tensor = _NormMLP.apply(  # type: ignore[no-untyped-call]
        x_BTC.flatten(0, 1), *_norm(block.ln_2), *_layers(block.mlp), buffers
    )
    return y_NC.view_as(x_BTC)


def _can(block: Block, x_BTC: Tensor) -> bool:
    in_bfloat16 = torch.is_autocast_enabled("cpu") and (
        torch.get_autocast_dtype("cpu") == torch.bfloat16
    )
    matrices = (block.attn.c_attn, block.mlp.c_fc, block.mlp.c_proj)
    return (
        in_bfloat16
        and torch.is_grad_enabled()
        and x_BTC.is_cpu
        and x_BTC.dtype == torch.float32
        and all(type(m) is Conv1D and m.weight.dtype == torch.bfloat16 for m in matrices)
        and not (block.training and block.mlp.dropout.p)
    )


def _norm(norm: nn.LayerNorm) -> tuple[Tensor, Tensor, float]:
    return norm.weight, norm.bias, norm.eps


def _linear(linear: Conv1D) -> tuple[Tensor, Tensor]:
    return linear.weight, linear.bias


def _layers(mlp: MLP) -> tuple[Tensor, Tensor, Tensor, Tensor, str]:
    return *_linear(mlp.c_fc), *_linear(mlp.c_proj), mlp.approximate


class _NormLinear(torch.autograd.Function):
    """LayerNorm, then x @ weight + bias: float32 [N, C] -> bfloat16 [N, O]."""

    @staticmethod
    def forward(
        ctx: Any,
        x_NC: Tensor,
        gain_C: Tensor,
        shift_C: Tensor,
        eps: float,
        weight_CO: Tensor,
        bias_O: Tensor,
        buffers: Buffers,
    ) -> Tensor:
        normed_NC, mean_N1, rstd_N1 = _normalize(x_NC, gain_C, shift_C, eps, buffers)
        ctx.save_for_backward(x_NC, gain_C, shift_C, mean_N1, rstd_N1, weight_CO)
        ctx.eps, ctx.buffers = eps, buffers
        return torch.addmm(bias_O.to(weight_CO.dtype), normed_NC, weight_CO)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NO: Tensor) -> tuple[Tensor | None, ...]:
        x_NC, gain_C, shift_C, mean_N1, rstd_N1, weight_CO = ctx.saved_tensors
        buffers = ctx.buffers
        normed_NC, *_ = _normalize(x_NC, gain_C, shift_C, ctx.eps, buffers)
        weight_grad = normed_NC.T @ grad_NO
        bias_grad = grad_NO.sum(0).float()
        grads = _denormalize(
            _into(buffers, "grad", grad_NO, weight_CO.T),
            *(x_NC, gain_C, shift_C, mean_N1, rstd_N1, buffers),
        )
        return *grads, None, weight_grad, bias_grad, None


class _NormMLP(torch.autograd.Function):
    """x + MLP(LayerNorm(x)): float32 [N, C] -> float32 [N, C]."""

    @staticmethod
    def forward(
        ctx: Any,
        x_NC: Tensor,
        gain_C: Tensor,
        shift_C: Tensor,
        eps: float,
        weight_CI: Tensor,
        bias_I: Tensor,
        weight_IC: Tensor,
        bias_C: Tensor,
        approximate: str,
        buffers: Buffers,
    ) -> Tensor:
        narrow = weight_CI.dtype
        normed_NC, mean_N1, rstd_N1 = _normalize(x_NC, gain_C, shift_C, eps, buffers)
        inner_NI = torch.addmm(bias_I.to(narrow), normed_NC, weight_CI)
        active_NI = buffers.get("active", inner_NI.shape, narrow)
        _ops.gelu.out(inner_NI, approximate=approximate, out=active_NI)
        y_NC = buffers.get("grad", x_NC.shape, narrow)
        torch.addmm(bias_C.to(narrow), active_NI, weight_IC, out=y_NC)
        ctx.save_for_backward(
            x_NC, gain_C, shift_C, mean_N1, rstd_N1, inner_NI, weight_CI, weight_IC
        )
        ctx.eps, ctx.approximate, ctx.buffers = eps, approximate, buffers
        return x_NC + y_NC

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NC: Tensor) -> tuple[Tensor | None, ...]:
        x_NC, gain_C, shift_C, mean_N1, rstd_N1, inner_NI, weight_CI, weight_IC = ctx.saved_tensors
        buffers, narrow = ctx.buffers, weight_CI.dtype
        out_NC = buffers.get("grad", x_NC.shape, narrow).copy_(grad_NC)
        active_NI = buffers.get("active", inner_NI.shape, narrow)
        _ops.gelu.out(inner_NI, approximate=ctx.approximate, out=active_NI)
        second_grad, second_bias_grad = active_NI.T @ out_NC, out_NC.sum(0).float()
        grad_NI = _into(buffers, "active", out_NC, weight_IC.T)
        _ops.gelu_backward.grad_input(
            grad_NI, inner_NI, approximate=ctx.approximate, grad_input=grad_NI
        )
        normed_NC, *_ = _normalize(x_NC, gain_C, shift_C, ctx.eps, buffers)
        first_grad, first_bias_grad = normed_NC.T @ grad_NI, grad_NI.sum(0).float()
        x_grad_NC, gain_grad, shift_grad = _denormalize(
            _into(buffers, "grad", grad_NI, weight_CI.T),
            *(x_NC, gain_C, shift_C, mean_N1, rstd_N1, buffers),
        )
        return (
            *(x_grad_NC.add_(grad_NC), gain_grad, shift_grad, None),
            *(first_grad, first_bias_grad, second_grad, second_bias_grad, None, None),
        )


def _normalize(
    x_NC: Tensor, gain_C: Tensor, shift_C: Tensor, eps: float, buffers: Buffers
) -> tuple[Tensor, Tensor, Tensor]:
    """LayerNorm in float32; its result in bfloat16, and each token's mean and 1/deviation."""
    wide_NC = buffers.get("wide", x_NC.shape, torch.float32)
    mean_N1, rstd_N1 = x_NC.new_empty(len(x_NC), 1), x_NC.new_empty(len(x_NC), 1)
    _ops.native_layer_norm.out(
        x_NC, [x_NC.shape[1]], gain_C, shift_C, eps, out0=wide_NC, out1=mean_N1, out2=rstd_N1
    )
    return buffers.get("normed", x_NC.shape, torch.bfloat16).copy_(wide_NC), mean_N1, rstd_N1


def _denormalize(
    grad_NC: Tensor,
    x_NC: Tensor,
    gain_C: Tensor,
    shift_C: Tensor,
    mean_N1: Tensor,
    rstd_N1: Tensor,
    buffers: Buffers,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `_normalize` for its input, gain and shift."""
    wide_NC = buffers.get("wide", x_NC.shape, torch.float32).copy_(grad_NC)
    grads: tuple[Tensor, Tensor, Tensor] = _ops.native_layer_norm_backward(
        wide_NC, x_NC, [x_NC.shape[1]], mean_N1, rstd_N1, gain_C, shift_C, [True, True, True]
    )
    return grads


def _into(buffers: Buffers, name: str, a_NI: Tensor, b_IO: Tensor) -> Tensor:
    """Return a @ b, written into a buffer."""
    out_NO = buffers.get(name, (len(a_NI), b_IO.shape[1]), a_NI.dtype)
    return torch.mm(a_NI, b_IO, out=out_NO)
