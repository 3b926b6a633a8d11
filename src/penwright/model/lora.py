"""LoRA and 8-bit frozen matrices: low-rank updates of a model, added by hooks.

Legend: I inputs of a matrix, O its outputs, R rank.

A matrix [I, O] becomes W + scale * (B_OR @ A_RI).T, of which only A and B are trained (Hu et al.,
"LoRA: Low-Rank Adaptation of Large Language Models", 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from penwright.model.gpt2 import GPT2, Conv1D

TARGETS = ("c_attn", "c_proj", "c_fc")


class LowRank(nn.Module):
    """The two factors of one matrix; `forward` returns their addition to its output."""

    def __init__(self, weight_IO: Tensor, rank: int, scale: float, dropout: float) -> None:
        super().__init__()
        n_in, n_out = weight_IO.shape
        self.lora_A = nn.Parameter(torch.empty(rank, n_in, device=weight_IO.device))
        self.lora_B = nn.Parameter(torch.zeros(n_out, rank, device=weight_IO.device))
        self.scale = scale
        self.dropout = dropout

    def forward(self, x: Tensor, *, training: bool) -> Tensor:
        x = F.dropout(x, self.dropout, training)
        a_RI, b_OR = self.lora_A.to(x.dtype), self.lora_B.to(x.dtype)
        return F.linear(F.linear(x, a_RI), b_OR) * self.scale

    def delta_IO(self) -> Tensor:
        """Return the update of the matrix, in float32 [I, O]."""
        return (self.scale * (self.lora_B.detach() @ self.lora_A.detach())).T


def add_low_rank(
    model: GPT2,
    rank: int,
    alpha: float,
    *,
    dropout: float = 0.0,
    targets: Sequence[str] = TARGETS,
    seed: int = 0,
) -> dict[str, LowRank]:
    """Freeze the model and add factors to the matrices whose names end with a target.

    Returns them by module name, such as `transformer.h.0.attn.c_attn`. B begins at zero, so that
    the model begins as it was, and A as in a linear layer, the same for the same seed. Raises
    ValueError for a target that is no matrix of the model.
    """
    model.requires_grad_(False)
    ends = tuple(f".{target}" for target in targets)
    chosen = {
        name: module
        for name, module in model.named_modules()
        if name.endswith(TARGETS) and name.endswith(ends)
    }
    missing = [end[1:] for end in ends if not any(name.endswith(end) for name in chosen)]
    if missing or not chosen:
        raise ValueError(f"no matrix of the model is called {', '.join(missing) or 'nothing'}")
    generator = torch.Generator().manual_seed(seed)
    added = {}
    for name, module in chosen.items():
        weight_IO = module.weight
        assert isinstance(weight_IO, Tensor)
        low_rank = LowRank(weight_IO, rank, alpha / rank, dropout)
        bound = weight_IO.shape[0] ** -0.5
        drawn = torch.empty(rank, weight_IO.shape[0]).uniform_(-bound, bound, generator=generator)
        with torch.no_grad():
            low_rank.lora_A.copy_(drawn)
        # The factors are no submodules, so that the model's own names stay: model.eval() does not
        # reach them, and whether dropout applies is the matrix's own state.
        module.register_forward_hook(
            lambda module, inputs, output, low_rank=low_rank: (
                output + low_rank(inputs[0], training=module.training)
            )
        )
        added[name] = low_rank
    return added


def beside(model: GPT2, factors: Mapping[str, tuple[Tensor, Tensor]]) -> GPT2:
    """Return a model with the tensors of `model`, in the same memory, and an adapter's factors.

    They are A [R, I] and B [O, R], the scale included, by the name of their matrix.
    """
    with torch.device("meta"):
        adapted = GPT2(model.config)
    adapted.load_state_dict(model.state_dict(), assign=True)
    for name, pair in factors.items():
        weight = model.get_submodule(name).weight
        assert isinstance(weight, Tensor)
        a_RI, b_OR = (factor.to(weight) for factor in pair)
        adapted.get_submodule(name).register_forward_hook(
            lambda _, inputs, output, a_RI=a_RI, b_OR=b_OR: (
                output + F.linear(F.linear(inputs[0], a_RI), b_OR)
            )
        )
    return adapted.train(model.training)


class Int8Conv1D(nn.Module):
    """x @ weight + bias with int8 weights and a scale for each output.

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
        """Return the dequantised matrix in float32, as the products use it."""
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
    """Replace the matrices of all blocks by frozen int8 ones, one after another."""
    for parent in list(model.blocks.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv1D):
                setattr(parent, name, Int8Conv1D(child))
