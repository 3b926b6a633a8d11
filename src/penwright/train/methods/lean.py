"""lean: every weight, in little memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from penwright.config import OptimizerName
from penwright.model import GPT2
from penwright.train.adamw8bit import AdamW8bit
from penwright.train.methods.base import Method, narrow_matrices, on_gradient, share_within
from penwright.train.one_device import ONE, OneDevice
from penwright.train.optimizer import OPTIMIZER_OF
from penwright.train.plan import TrainPlan


class Lean(Method):
    """Matrices in bfloat16, eight-bit averages, and no gradient kept beyond its weight's update.

    A weight is updated in the backward pass, as soon as its gradient is there, when the norm of
    the whole is not known yet. So a step clips by the norm of the step before. The first step's is
    measured: until a norm is known gradients are only counted and thrown away.
    """

    copies = False
    optimizer: AdamW8bit

    def __init__(self, model: GPT2, plan: TrainPlan, devices: OneDevice = ONE) -> None:
        super().__init__(model, plan, devices)
        self.waits_for_norm = plan.optim.clip > 0
        self._last = self._moves = False
        self._share: Tensor | float = 1.0
        self._squares: list[Tensor] = []
        for parameter in self.trained.values():
            self.hooks.append(on_gradient(parameter, self._consume))

    def hold(self) -> dict[str, nn.Parameter]:
        narrow_matrices(self.model)
        return dict(self.model.named_parameters())

    @property
    def optimizer_name(self) -> OptimizerName:
        return OPTIMIZER_OF["lean"]

    def begin(self, *, last: bool, norm: Tensor | None = None) -> None:
        self._last = last
        self._moves = norm is not None or not self.waits_for_norm
        if norm is not None:
            self._share = share_within(self.plan.optim.clip, norm)

    def update(self, scaler: torch.amp.GradScaler, clip: float) -> Tensor:
        """Return the norm of the step's gradients; the backward pass has updated the weights."""
        del scaler, clip
        norm = torch.stack(self._squares).sum().sqrt()
        self._squares.clear()
        return norm

    @property
    def is_halfway(self) -> bool:
        return bool(self._squares) and self._moves

    def forget_gradients(self) -> None:
        super().forget_gradients()
        self._squares.clear()

    def take_over(self, states: dict[str, dict[str, Tensor]]) -> None:
        """Begin with the averages of AdamW, which is emptied of them one by one."""
        for name, parameter in self.trained.items():
            state = states.pop(name)
            if "exp_avg" in state and float(state["step"]) > 0:
                self.optimizer.take_over(parameter, **state)
            elif "mean" in state:
                self.optimizer.state[parameter] = state

    def _consume(self, parameter: Tensor) -> None:
        if self._last and parameter.grad is not None:
            self.devices.reduce([parameter])
            self._squares.append(torch.linalg.vector_norm(parameter.grad, dtype=torch.float32) ** 2)
            if self._moves:
                self.optimizer.update(parameter, parameter.grad, self._share)
            parameter.grad = None
