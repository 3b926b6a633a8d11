"""full: every weight in float32, with bfloat16 copies of the matrices where bf16 computes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from penwright.train import native_adamw
from penwright.train.methods.base import Method, block_matrices, on_gradient, share_within

_AT_ONCE = 1 << 26  # numbers of gradients that are widened together on a GPU


class Full(Method):
    """Float32 weights and an optimizer over them.

    In bf16 the model itself holds the matrices in bfloat16, so that a step casts nothing; each is
    refreshed from its float32 master after an update.
    """

    def hold(self) -> dict[str, nn.Parameter]:
        self.narrow: dict[str, nn.Parameter] = {}
        self.masters: dict[str, nn.Parameter] = {}
        self._begun = self._only = False  # of the micro-batches of a step
        self._at_once = 1 if self.model.head_weight_VC.is_cpu else _AT_ONCE
        # Sharded weights are gathered in bfloat16 where they are needed.
        if self.plan.precision == "bf16" and not self.devices.shards:
            for name, module in block_matrices(self.model).items():
                self._hold_narrow(f"{name}.weight", module.weight)
        return dict(self.model.named_parameters()) | self.masters

    def begin(self, *, last: bool, norm: Tensor | None = None) -> None:
        del norm
        self._only, self._begun = last and not self._begun, True

    def forget_gradients(self) -> None:
        self._begun = False
        super().forget_gradients()

    def release(self) -> None:
        super().release()
        for name, narrow in self.narrow.items():
            narrow.data = self.masters[name].detach()
        self.narrow, self.masters = {}, {}

    @torch.no_grad()
    def update(self, scaler: torch.amp.GradScaler, clip: float) -> Tensor:
        if self.kernels is None or not native_adamw.takes(self.optimizer):
            return super().update(scaler, clip)
        gradients = {p: p.grad for p in self.trained.values() if p.grad is not None}
        copies: dict[nn.Parameter, Tensor] = {}
        for name, narrow in self.narrow.items():
            copies[self.masters[name]] = narrow.detach()
            if narrow.grad is not None:
                gradients[self.masters[name]] = narrow.grad
        norm = torch.tensor(self.kernels.sum_squares(gradients.values())).sqrt()
        share = float(share_within(clip, norm))
        native_adamw.take_step(self.optimizer, self.kernels, gradients, copies, share)
        self.forget_gradients()
        return norm

    def narrow_gradients(self) -> list[Tensor]:
        return [p.grad for p in self.narrow.values() if p.grad is not None]

    @torch.no_grad()
    def refresh(self, share: Tensor | float = 1.0) -> None:
        """Widen narrow gradients and step by them, then copy the masters into narrow matrices."""
        for names in self._together():
            widened = False
            for name in names:
                master, narrow = self.masters[name], self.narrow[name]
                if narrow.grad is not None:
                    master.grad, narrow.grad = narrow.grad.float().mul_(share), None
                    widened = True
            if widened:
                self.optimizer.step()
            for name in names:
                self.masters[name].grad = None
                self.narrow[name].copy_(self.masters[name])

    def _hold_narrow(self, name: str, weight: Tensor) -> None:
        """Hold a matrix in bfloat16 beside its float32 master, which takes its gradients.

        The gradient of an only micro-batch stays in bfloat16, and is widened when its turn comes.
        """
        assert isinstance(weight, nn.Parameter)
        master = nn.Parameter(weight.detach(), requires_grad=weight.requires_grad)
        weight.data = weight.detach().bfloat16()
        self.narrow[name], self.masters[name] = weight, master

        def hand_over(narrow: Tensor) -> None:
            if narrow.grad is None or self._only:
                return
            if master.grad is None:
                master.grad = narrow.grad.float()
            else:
                master.grad += narrow.grad
            narrow.grad = None

        if weight.requires_grad:
            self.hooks.append(on_gradient(weight, hand_over))

    def _together(self) -> Iterator[list[str]]:
        """Yield matrices whose gradients are widened at once: one on a CPU, more on a GPU."""
        names, count = [], 0
        for name, narrow in self.narrow.items():
            names.append(name)
            count += narrow.numel()
            if count >= self._at_once:
                yield names
                names, count = [], 0
        if names:
            yield names
