"""Frozen matrices at one byte a weight.

Legend: I inputs of a matrix, O its outputs.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from penwright.model.gpt2 import GPT2, Conv1D


class Int8Conv1D(nn.Module):
    """x @ weight + bias with a byte a weight and a scale for each output.

    The wide matrix exists for the time of one product, forward and backward; it is never trained.
    """

    weight_IO: Tensor
    scale_O: Tensor

    def __init__(self, module: Conv1D) -> None:
        super().__init__()
        wide_IO = module.weight.detach().float()
        scale_O = wide_IO.abs().amax(0).clamp(min=1e-12) / 127
        self.register_buffer("weight_IO", (wide_IO / scale_O).round_().to(torch.int8))
        self.register_buffer("scale_O", scale_O)
        self.bias = nn.Parameter(module.bias.detach().clone(), requires_grad=False)

    @property
    def weight(self) -> Tensor:
        """The matrix in float32, as the products see it."""
        return self.weight_IO.float() * self.scale_O

    def forward(self, x: Tensor) -> Tensor:
        kind = x.device.type
        wide = torch.is_autocast_enabled(kind)
        x = x.to(torch.get_autocast_dtype(kind)) if wide else x
        product = _Product.apply(x, self.weight_IO, self.scale_O)  # type: ignore[no-untyped-call]
        return cast(Tensor, product + self.bias.to(x.dtype))


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_IO: Tensor, scale_O: Tensor) -> Tensor:
        ctx.save_for_backward(weight_IO, scale_O)
        return (x @ weight_IO.to(x.dtype)) * scale_O.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        weight_IO, scale_O = ctx.saved_tensors
        return (grad * scale_O.to(grad.dtype)) @ weight_IO.to(grad.dtype).T, None, None


def quantize(model: GPT2) -> None:
    """Replace the matrices of all blocks by frozen eight-bit ones, one after another."""
    for parent in list(model.blocks.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv1D):
                setattr(parent, name, Int8Conv1D(child))
