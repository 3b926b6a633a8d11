"""Low-rank additions beside a model's matrices, put there from outside by hooks.

Legend: I inputs of a matrix, O its outputs, R rank.

A matrix [I, O] becomes W + scale * (B_OR @ A_RI).T, of which only A and B are trained (Hu et al.,
"LoRA: Low-Rank Adaptation of Large Language Models", 2021).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from penwright.model.gpt2 import GPT2

TARGETS = ("c_attn", "c_proj", "c_fc")


class LowRank(nn.Module):
    """The two factors beside one matrix; `forward` is what they add to the matrix's output."""

    def __init__(self, weight_IO: Tensor, rank: int, scale: float, dropout: float) -> None:
        super().__init__()
        n_in, n_out = weight_IO.shape
        self.lora_A = nn.Parameter(torch.empty(rank, n_in, device=weight_IO.device))
        self.lora_B = nn.Parameter(torch.zeros(n_out, rank, device=weight_IO.device))
        self.scale = scale
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        a_RI, b_OR = self.lora_A.to(x.dtype), self.lora_B.to(x.dtype)
        return F.linear(F.linear(self.dropout(x), a_RI), b_OR) * self.scale

    def delta_IO(self) -> Tensor:
        """What is added to the matrix, in float32."""
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
    """Freeze the model and put factors beside the matrices whose names end with a target.

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
        module.register_forward_hook(
            lambda _, inputs, output, low_rank=low_rank: output + low_rank(inputs[0])
        )
        added[name] = low_rank
    return added
