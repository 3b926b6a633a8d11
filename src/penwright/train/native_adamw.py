"""AdamW by one native kernel: every weight, its averages and its bfloat16 copy in one pass."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from penwright.native.kernels import Kernels, Trained, Weights


def takes(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer is AdamW over float32 weights on a CPU."""
    return type(optimizer) is torch.optim.AdamW and all(
        p.is_cpu and p.dtype == torch.float32 and p.is_contiguous()
        for group in optimizer.param_groups
        for p in group["params"]
    )


@torch.no_grad()
def take_step(
    optimizer: torch.optim.Optimizer,
    kernels: Kernels,
    gradients: Mapping[nn.Parameter, Tensor],
    copies: Mapping[nn.Parameter, Tensor],
    share: float,
) -> None:
    """Update weights by their gradients times `share`, as the optimizer's own step would.

    Gradients are float32 or bfloat16. The state keeps torch's names and form.
    """
    trained = []
    betas, epsilon = optimizer.param_groups[0]["betas"], optimizer.param_groups[0]["eps"]
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight not in gradients:
                continue
            state = optimizer.state[weight]
            if not state:
                state["step"] = torch.zeros(())
                state["exp_avg"] = torch.zeros_like(weight)
                state["exp_avg_sq"] = torch.zeros_like(weight)
            state["step"] += 1
            step = int(state["step"])
            trained.append(
                Trained(
                    weight.detach(),
                    gradients[weight],
                    state["exp_avg"],
                    state["exp_avg_sq"],
                    copies.get(weight),
                    decay=1 - group["lr"] * group["weight_decay"],
                    rate=group["lr"] / (1 - betas[0] ** step),
                    root=math.sqrt(1 - betas[1] ** step),
                )
            )
    if trained:
        kernels.adamw(Weights(trained), share, betas, epsilon)
