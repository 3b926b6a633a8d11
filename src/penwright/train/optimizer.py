"""The table of optimizers, their state as plain tensors, and the schedule of the learning rate."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from penwright.config import MethodName, OptimizerConfig, OptimizerName, ScheduleName
from penwright.errors import RunError, UsageError
from penwright.train.adamw8bit import BLOCK, AdamW8bit

_LAYER = re.compile(r"(?:^|\.)h\.(\d+)\.")


def freeze(model: nn.Module, *, layers_only: bool, first_layers: int) -> None:
    """Freeze the first blocks, and with `layers_only` everything outside blocks.

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
    """Return torch's parameter groups: matrices with weight decay, biases and norms without."""
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


Trained = Mapping[str, nn.Parameter]


def _make_muon(trained: Trained, config: OptimizerConfig, seed: int) -> torch.optim.Optimizer:
    """Return Muon over the blocks' matrices; AdamW where there are none, or nothing else."""
    inner = {n: p for n, p in trained.items() if p.ndim == 2 and _LAYER.search(n)}
    others = parameter_groups((trained[n] for n in trained if n not in inner), config.weight_decay)
    if not inner or not others:
        return _make_adamw(trained, config, seed)
    return Muon(
        list(inner.values()),
        others,
        weight_decay=config.weight_decay,
        betas=(config.beta1, config.beta2),
        eps=config.eps,
    )


def _make_adamw(trained: Trained, config: OptimizerConfig, _seed: int) -> torch.optim.Optimizer:
    groups = parameter_groups(trained.values(), config.weight_decay)
    betas = config.beta1, config.beta2
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, eps=config.eps, fused=True)


def _make_adamw8bit(trained: Trained, config: OptimizerConfig, seed: int) -> AdamW8bit:
    groups = parameter_groups(trained.values(), config.weight_decay)
    return AdamW8bit(groups, betas=(config.beta1, config.beta2), eps=config.eps, seed=seed)


def _make_sgd(trained: Trained, config: OptimizerConfig, _seed: int) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameter_groups(trained.values(), config.weight_decay), lr=0.0)


def _make_adafactor(trained: Trained, config: OptimizerConfig, _seed: int) -> torch.optim.Optimizer:
    return torch.optim.Adafactor(parameter_groups(trained.values(), config.weight_decay), lr=0.0)


@dataclass(frozen=True, kw_only=True)
class OptimizerKind:
    """One optimizer: how to build it, what its state takes, and the methods that can use it."""

    build: Callable[[Trained, OptimizerConfig, int], torch.optim.Optimizer]
    """Called with what is trained by name, the settings, and a seed."""
    methods: tuple[MethodName, ...]
    state_bytes: float
    """Bytes of state for each weight."""
    matrix_bytes: float | None = None
    """The same for a weight in a block's matrix, where that differs."""
    elementwise: bool = False
    """Whether an update of a weight depends on that weight alone, so that shards can be updated."""
    sizes: Mapping[str, Callable[[Tensor], Sequence[int]]] = field(default_factory=dict)
    """For tensors of the state that are not of their parameter's shape: the numbers of elements
    that they may have."""

    def state_of(self, weights: int, matrices: int = 0) -> int:
        """Return the bytes of state for so many weights, `matrices` of which are in blocks."""
        each = self.state_bytes if self.matrix_bytes is None else self.matrix_bytes
        return round(self.state_bytes * (weights - matrices) + each * matrices)

    def fits(self, key: str, value: Tensor, parameter: Tensor) -> bool:
        """Whether a tensor of a saved state can be this parameter's."""
        if key in self.sizes:
            return value.numel() in self.sizes[key](parameter)
        return value.shape in (parameter.shape, torch.Size([]))


def _same(parameter: Tensor) -> Sequence[int]:
    return (parameter.numel(),)


def _blocks(parameter: Tensor) -> Sequence[int]:
    return (-(-parameter.numel() // BLOCK),)


def _sides(parameter: Tensor) -> Sequence[int]:
    return parameter.shape


OPTIMIZERS: dict[OptimizerName, OptimizerKind] = {
    "adamw": OptimizerKind(
        build=_make_adamw, methods=("full", "lean", "lora"), state_bytes=8.0, elementwise=True
    ),
    "adamw8bit": OptimizerKind(
        build=_make_adamw8bit,
        methods=("full", "lean", "lora"),
        state_bytes=2.03,
        sizes={
            "mean": _same,
            "square": _same,
            "mean_scale": _blocks,
            "square_scale": _blocks,
        },
    ),
    "adafactor": OptimizerKind(
        build=_make_adafactor,
        methods=("full", "lora"),
        state_bytes=0.02,
        sizes={"row_var": _sides, "col_var": _sides},
    ),
    "muon": OptimizerKind(build=_make_muon, methods=("full",), state_bytes=8.0, matrix_bytes=4.0),
    "sgd": OptimizerKind(
        build=_make_sgd, methods=("full", "lora"), state_bytes=0.0, elementwise=True
    ),
}
"""Every optimizer by name. AdamW is Loshchilov and Hutter's (2019), one fused kernel for a step;
Adafactor Shazeer and Stern's (2018); sgd gradient descent without momentum."""

OPTIMIZER_OF: dict[MethodName, OptimizerName] = {
    "full": "adamw", "lean": "adamw8bit", "lora": "adamw",
}  # fmt: skip
"""The optimizer that suits a method; lean runs AdamW in eight bits only."""


def state_tensors(
    trained: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """Return the optimizer's state by parameter name, such as `transformer.wte.weight:exp_avg`."""
    return {
        f"{name}:{key}": value
        for name, parameter in trained.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_state_tensors(
    kind: OptimizerKind,
    trained: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """Put back what `state_tensors` took; raises RunError for a name or shape not the model's."""
    for full_name, value in tensors.items():
        name, _, key = full_name.rpartition(":")
        parameter = trained.get(name)
        if parameter is None or not kind.fits(key, value, parameter):
            raise RunError(f"The saved optimizer does not fit the model: {full_name}.")
        # AdamW keeps its step count on the CPU unless it is capturable or fused on a GPU.
        place = "cpu" if isinstance(optimizer, AdamW8bit) and key == "step" else parameter.device
        optimizer.state[parameter][key] = value.to(place)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A learning rate that rises for `warmup_steps`, then stays or falls until the last step.

    `linear` and `cosine` end at `decay_factor` times the peak; `step` multiplies by it after each
    of `decay_steps`; `wsd` stays at the peak and falls linearly to 0 over the last `decay_share` of
    the steps, so a longer run has the same rates until then (Hu et al., "MiniCPM", 2024).
    """

    schedule: ScheduleName
    learning_rate: float
    warmup_steps: int = 0
    decay_factor: float = 0.0
    decay_steps: tuple[int, ...] = ()
    decay_share: float = 0.4

    def rate(self, step: int, steps: int) -> float:
        """Return the rate of a step, counted from 0, of a run of `steps` steps."""
        peak, factor = self.learning_rate, self.decay_factor
        if step < self.warmup_steps:
            return peak * (step + 1) / (self.warmup_steps + 1)
        if self.schedule == "step":
            return peak * factor ** sum(step >= decay for decay in self.decay_steps)
        if self.schedule == "constant":
            return peak
        if self.schedule == "wsd":
            falling = max(1, round(self.decay_share * steps))
            return peak * min(1.0, max(0, steps - step) / falling)
        progress = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        share = 1 - progress if self.schedule == "linear" else cosine
        return peak * (factor + (1 - factor) * share)
