"""Optimizers over what is trained, and their state as plain tensors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from penwright.config import OptimizerName
from penwright.errors import RunError, UsageError
from penwright.train.adamw8bit import BLOCK, AdamW8bit

_LAYER = re.compile(r"(?:^|\.)h\.(\d+)\.")


def freeze(model: nn.Module, *, layers_only: bool, first_layers: int) -> None:
    """Let the first layers, and with `layers_only` all that is in no layer, stay as they are.

    Raises UsageError when nothing would be left to train.
    """
    for name, parameter in model.named_parameters():
        layer = _LAYER.search(name)
        frozen = int(layer[1]) < first_layers if layer else layers_only
        parameter.requires_grad_(not frozen)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError(
            "Nothing is left to train.", fix="Give a smaller --freeze-layers, or --train-only all."
        )


def parameter_groups(trained: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases and layer norms, which are vectors, do not."""
    parameters = list(trained)
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al., 2024) for the matrices of layers and AdamW for all else, as one.

    An update of Muon is scaled to the size of AdamW's, so one rate suits both (Liu et al., "Muon
    is Scalable for LLM Training", 2025). Both parts share the groups and the state of the whole.
    """

    def __init__(
        self,
        matrices: list[nn.Parameter],
        others: list[dict[str, Any]],
        *,
        weight_decay: float,
        betas: tuple[float, float],
        eps: float,
    ) -> None:
        muon = torch.optim.Muon(
            matrices, lr=0.0, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        adamw = torch.optim.AdamW(others, lr=0.0, betas=betas, eps=eps, fused=True)
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        muon.state = adamw.state = self.state
        self._parts = muon, adamw

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; `closure` is not called."""
        del closure
        for part in self._parts:
            part.step()  # type: ignore[no-untyped-call, unused-ignore]


def make_optimizer(
    trained: Mapping[str, nn.Parameter],
    *,
    weight_decay: float,
    beta1: float,
    beta2: float,
    eps: float,
    kind: OptimizerName = "adamw",
    seed: int = 0,
) -> torch.optim.Optimizer:
    """An optimizer over what is trained, by name; the loop sets its rate before each step.

    `adamw` is AdamW (Loshchilov and Hutter, 2019), one fused kernel a step; `adamw8bit` the same
    with averages of a byte a weight; `sgd` gradient descent without momentum, which keeps no
    state; `adafactor` (Shazeer and Stern, 2018) keeps a row and a column for each matrix; `muon`
    turns each matrix of a layer as a whole.
    """
    if kind == "muon":
        inner = {n: p for n, p in trained.items() if p.ndim == 2 and _LAYER.search(n)}
        others = parameter_groups((trained[n] for n in trained if n not in inner), weight_decay)
        if inner and others:
            return Muon(
                list(inner.values()),
                others,
                weight_decay=weight_decay,
                betas=(beta1, beta2),
                eps=eps,
            )
    groups = parameter_groups(trained.values(), weight_decay)
    if kind == "sgd":
        return torch.optim.SGD(groups, lr=0.0)
    if kind == "adafactor":
        return torch.optim.Adafactor(groups, lr=0.0)
    if kind == "adamw8bit":
        return AdamW8bit(groups, betas=(beta1, beta2), eps=eps, seed=seed)
    return torch.optim.AdamW(groups, lr=0.0, betas=(beta1, beta2), eps=eps, fused=True)


def state_tensors(
    trained: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """The optimizer's state by parameter name, such as `transformer.wte.weight:exp_avg`."""
    return {
        f"{name}:{key}": value
        for name, parameter in trained.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_state_tensors(
    trained: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """Put back what `state_tensors` took; raises RunError for a name or shape not the model's."""
    for full_name, value in tensors.items():
        name, _, key = full_name.rpartition(":")
        parameter = trained.get(name)
        if parameter is None or not _fits(key, value, parameter):
            raise RunError(f"The saved optimizer does not fit the model: {full_name}.")
        # AdamW keeps its step count on the CPU unless it is capturable or fused on a GPU.
        place = "cpu" if isinstance(optimizer, AdamW8bit) and key == "step" else parameter.device
        optimizer.state[parameter][key] = value.to(place)


def _fits(key: str, value: torch.Tensor, parameter: nn.Parameter) -> bool:
    """Whether a tensor can be this parameter's: its shape, or one that follows from its shape."""
    if key in ("mean", "square"):
        return value.numel() == parameter.numel()
    if key in ("mean_scale", "square_scale"):
        return value.numel() == -(-parameter.numel() // BLOCK)
    if key in ("row_var", "col_var"):
        return value.numel() in parameter.shape
    return value.shape in (parameter.shape, torch.Size([]))
