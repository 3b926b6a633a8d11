"""A block's training pass with the kernels in C: one function forward, one backward.

Autograd sees one operation for each block. It saves the block's input, the input of its second
norm, and what the products left that cannot be computed again cheaply; all else lives in buffers
that the blocks share.

Legend: B batch, T time, N tokens, C channels, H heads, I inner width.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from penwright.model.attention import Attend, SplitDocuments, attend_causal
from penwright.model.fused import Buffers
from penwright.model.gpt2 import Block, Conv1D
from penwright.native.kernels import Kernels


def use_kernels(model: nn.Module, kernels: Kernels) -> None:
    """Let every supported block train with the kernels; model.fused.unfuse undoes it.

    The block's own forward pass runs without gradients, with dropout, hooks on a matrix or norms
    last, and where the types are not float32, or bfloat16 in products and matrices.
    """
    buffers = Buffers()
    for block in model.modules():
        if isinstance(block, Block) and not block.norm_last:
            block.__dict__["forward"] = functools.partial(_forward, block, kernels, buffers)


class _Setting(NamedTuple):
    """The inputs of a block's forward and backward pass that have no gradient."""

    kernels: Kernels
    buffers: Buffers
    offsets: Tensor
    heads: int
    scale: float
    epsilon: float
    tanh: bool

    def product(self, name: str, a_NK: Tensor, b_KM: Tensor) -> Tensor:
        """Return a @ b, in the buffer of that name where the product can write into one."""
        out_NM = self.buffers.get(name, (len(a_NK), b_KM.shape[1]), a_NK.dtype)
        return self.kernels.multiply(a_NK, b_KM, out_NM)


def _forward(
    block: Block, kernels: Kernels, buffers: Buffers, x_BTC: Tensor, attend: Attend
) -> Tensor:
    offsets = _offsets(attend, x_BTC)
    if offsets is None or not _can(block, x_BTC):
        return Block.forward(block, x_BTC, attend)
    attn, mlp = block.attn, block.mlp
    setting = _Setting(
        *(kernels, buffers, offsets, attn.n_head, attn.scale, block.ln_1.eps),
        mlp.approximate == "tanh",
    )
    layers = (block.ln_1, attn.c_attn, attn.c_proj, block.ln_2, mlp.c_fc, mlp.c_proj)
    parameters = [p for layer in layers for p in (layer.weight, layer.bias)]
    y_NC: Tensor = _Block.apply(x_BTC.flatten(0, 1), setting, *parameters)  # type: ignore[no-untyped-call]
    return y_NC.view_as(x_BTC)


def _can(block: Block, x_BTC: Tensor) -> bool:
    narrow = torch.is_autocast_enabled("cpu")
    wanted = torch.get_autocast_dtype("cpu") if narrow else torch.float32
    matrices = (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)
    dropouts = (block.attn.attn_dropout, block.attn.resid_dropout, block.mlp.dropout)
    return (
        torch.is_grad_enabled()
        and x_BTC.is_cpu
        and x_BTC.dtype == torch.float32
        and wanted in (torch.float32, torch.bfloat16)
        and all(type(m) is Conv1D and m.weight.dtype == wanted for m in matrices)
        and all(m.bias.dtype == torch.float32 and not m._forward_hooks for m in matrices)
        and not (block.training and any(dropout.p for dropout in dropouts))
    )


def _offsets(attend: Attend, x_BTC: Tensor) -> Tensor | None:
    """Return the documents' offsets in the concatenated rows; None if `attend` is another's."""
    if attend is attend_causal:
        rows, length, _ = x_BTC.shape
        return torch.arange(0, rows * length + 1, length, dtype=torch.int32)
    return attend.offsets if isinstance(attend, SplitDocuments) else None


class _Block(torch.autograd.Function):
    """x + attention, then + MLP: float32 [N, C] -> float32 [N, C]; see Block.forward."""

    @staticmethod
    def forward(ctx: Any, x_NC: Tensor, setting: _Setting, *parameters: Tensor) -> Tensor:
        gain1, shift1, qkv_w, qkv_b, proj_w, proj_b, gain2, shift2, fc_w, fc_b, out_w, out_b = (
            parameters
        )
        kernels, buffers = setting.kernels, setting.buffers
        multiply, product, narrow = kernels.multiply, setting.product, qkv_w.dtype
        normed_NC = buffers.get("normed", x_NC.shape, narrow)
        stats1 = kernels.norm(x_NC, gain1, shift1, setting.epsilon, normed_NC)
        qkv_N3C = multiply(normed_NC, qkv_w)
        mixed_NC, sums_NH = kernels.attend(
            setting.offsets, setting.heads, setting.scale, qkv_N3C, qkv_b
        )
        middle_NC = torch.empty_like(x_NC)
        stats2 = kernels.add_norm(
            *(
                x_NC,
                product("flow", mixed_NC, proj_w),
                proj_b,
                middle_NC,
                gain2,
                shift2,
                setting.epsilon,
                normed_NC,
            )
        )
        inner_NI = multiply(normed_NC, fc_w)
        active_NI = buffers.get("active", inner_NI.shape, narrow)
        kernels.gelu(inner_NI, fc_b, active_NI, tanh=setting.tanh)
        y_NC = torch.empty_like(x_NC)
        kernels.add(middle_NC, product("flow", active_NI, out_w), out_b, y_NC)
        ctx.save_for_backward(
            *(x_NC, stats1, qkv_N3C, mixed_NC, sums_NH, middle_NC, stats2, inner_NI), *parameters
        )
        ctx.setting = setting
        return y_NC

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NC: Tensor) -> tuple[Tensor | None, ...]:
        x_NC, stats1, qkv_N3C, mixed_NC, sums_NH, middle_NC, stats2, inner_NI, *parameters = (
            ctx.saved_tensors
        )
        gain1, shift1, qkv_w, qkv_b, proj_w, _, gain2, shift2, fc_w, fc_b, out_w, _ = parameters
        setting, narrow = ctx.setting, qkv_w.dtype
        kernels, buffers = setting.kernels, setting.buffers
        multiply, product = kernels.multiply, setting.product
        grad_NC = grad_NC.contiguous()
        normed_NC = buffers.get("normed", x_NC.shape, narrow)
        wide = narrow == torch.float32

        copy_NC = None if wide else buffers.get("copy", x_NC.shape, narrow)
        out_b_grad = kernels.sum_rows(grad_NC, copy_NC)
        out_NC = grad_NC if copy_NC is None else copy_NC
        grad_NI = product("inner grad", out_NC, out_w.T)
        active_NI = buffers.get("active", inner_NI.shape, narrow)
        fc_b_grad = kernels.gelu_backward(inner_NI, fc_b, active_NI, grad_NI, tanh=setting.tanh)
        out_w_grad = multiply(active_NI.T, out_NC)

        middle_grad_NC = buffers.get("wide", x_NC.shape, torch.float32)
        gain2_grad, shift2_grad, proj_b_grad = kernels.norm_backward(
            *(product("flow", grad_NI, fc_w.T), middle_NC, gain2, shift2, stats2),
            *(grad_NC, middle_grad_NC),
            copy_NC=copy_NC,
            y_NC=normed_NC,
        )
        fc_w_grad = multiply(normed_NC.T, grad_NI)

        out_NC = middle_grad_NC if copy_NC is None else copy_NC
        proj_w_grad = multiply(mixed_NC.T, out_NC)
        grad_N3C = buffers.get("inner", qkv_N3C.shape, narrow)
        qkv_b_grad = kernels.attend_backward(
            *(setting.offsets, setting.heads, setting.scale, qkv_N3C, qkv_b),
            *(mixed_NC, sums_NH, product("flow", out_NC, proj_w.T), grad_N3C),
        )
        x_grad_NC = torch.empty_like(x_NC)
        gain1_grad, shift1_grad, _ = kernels.norm_backward(
            *(product("flow", grad_N3C, qkv_w.T), x_NC, gain1, shift1, stats1),
            *(middle_grad_NC, x_grad_NC),
            copy_NC=None,
            y_NC=normed_NC,
        )
        qkv_w_grad = multiply(normed_NC.T, grad_N3C)
        return (
            *(x_grad_NC, None, gain1_grad, shift1_grad, qkv_w_grad, qkv_b_grad),
            *(proj_w_grad, proj_b_grad, gain2_grad, shift2_grad),
            *(fc_w_grad, fc_b_grad, out_w_grad, out_b_grad),
        )
