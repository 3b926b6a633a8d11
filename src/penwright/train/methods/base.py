"""The interface between the training loop and a method, and the parts that methods share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from penwright.config import OptimizerName
from penwright.model import GPT2
from penwright.model.fused import unfuse
from penwright.model.gpt2 import Conv1D
from penwright.model.lora import Int8Conv1D
from penwright.native.kernels import open_kernels
from penwright.train.one_device import ONE, OneDevice
from penwright.train.optimizer import OPTIMIZERS, OptimizerKind
from penwright.train.plan import TrainPlan
from penwright.weights.peft import Adapter

LoadModel = Callable[[Path | None], GPT2]


class Method(ABC):
    """A way to hold the weights in memory and to update them.

    `held` are the parameters that hold the model's weights, by name; `trained` are those of them
    that get gradients, and `optimizer` updates these.
    """

    copies = True
    """Whether a checkpoint is written from a copy, while training goes on."""
    waits_for_norm = False
    """Whether a step clips by the norm of the step before, so that the first must be measured."""

    def __init__(self, model: GPT2, plan: TrainPlan, devices: OneDevice = ONE) -> None:
        self.model = model
        self.plan = plan
        self.devices = devices
        self.kernels = open_kernels(plan.kernels) if not devices.shards else None
        self.hooks: list[RemovableHandle] = []
        self.held = devices.place(model, self.hold())
        self.trained = {name: p for name, p in self.held.items() if p.requires_grad}
        self.optimizer = self.kind.build(self.trained, plan.optim, plan.seed)

    @abstractmethod
    def hold(self) -> dict[str, nn.Parameter]:
        """Change the model's weights to the form in which they are trained; return `held`."""

    @property
    def kind(self) -> OptimizerKind:
        """The entry of the optimizer in the table."""
        return OPTIMIZERS[self.optimizer_name]

    @property
    def optimizer_name(self) -> OptimizerName:
        """The optimizer of the plan, unless the method has its own."""
        return self.plan.optim.optimizer

    def begin(self, *, last: bool, norm: Tensor | None = None) -> None:
        """Prepare for a micro-batch; `last` is the last one of its step.

        `norm` is the gradient's norm in the step before, None where there was none.
        """
        del last, norm

    def update(self, scaler: torch.amp.GradScaler, clip: float) -> Tensor:
        """Clip, then step; return the gradient's norm before clipping, still on the device.

        A gradient that is not finite makes weights that are not: whoever reads the norm goes back.
        With loss scaling an overflow is expected now and then, and the scaler skips the step.
        """
        scaler.unscale_(self.optimizer)
        wide = [p.grad for p in self.trained.values() if p.grad is not None]
        norms = torch._foreach_norm(wide + self.narrow_gradients(), 2, torch.float32)
        norm = self.devices.norm(torch.stack(norms))
        share = share_within(clip, norm)
        torch._foreach_mul_(wide, share)
        scaler.step(self.optimizer)
        scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.refresh(share)
        self.forget_gradients()
        return norm

    def narrow_gradients(self) -> list[Tensor]:
        """Return gradients in bfloat16 that the optimizer has not seen yet."""
        return []

    def refresh(self, share: Tensor | float = 1.0) -> None:
        """Update what follows from the trained weights; scale narrow gradients by `share`."""
        del share

    def forget_gradients(self) -> None:
        """Free all gradients."""
        self.optimizer.zero_grad(set_to_none=True)
        self.model.zero_grad(set_to_none=True)

    def restore(self, load_model: LoadModel | None, folder: Path | None) -> None:
        """Take the weights of a checkpoint, or for None those that training began with.

        Ranks other than the first have no `load_model`, and are sent the weights.
        """
        state = load_model(folder).state_dict() if load_model else {}
        with torch.no_grad():
            for name, held in self.held.items():
                self.devices.fill(held, state.get(name))
        self.refresh()

    @property
    def is_halfway(self) -> bool:
        """Whether some weights have taken the current step and others have not."""
        return False

    def release(self) -> None:
        """Give the model its float32 weights back, so that another method can take it over."""
        for hook in self.hooks:
            hook.remove()
        unfuse(self.model)
        self.model.kernels = None
        self.forget_gradients()

    def take_over(self, states: dict[str, dict[str, Tensor]]) -> None:
        """Begin with the optimizer's state of the method before, by parameter name."""
        del states

    def tensors(self) -> dict[str, Tensor]:
        """Return every weight of the model by name, as a checkpoint holds it."""
        return {name: self.devices.whole(p) for name, p in self.held.items()}

    def adapter(self, base_model: str) -> Adapter | None:
        """Return the adapter to write beside the whole model, if the method trains one."""
        del base_model
        return None


def share_within(clip: float, norm: Tensor) -> Tensor:
    """Return the factor that brings a gradient of this norm within `clip`; 0 never clips."""
    return (clip / (norm + 1e-6)).clamp(max=1.0) if clip else torch.ones_like(norm)


def on_gradient(parameter: Tensor, hook: Callable[[Tensor], None]) -> RemovableHandle:
    """Call `hook` whenever a backward pass has added to the parameter's gradient."""
    handle: RemovableHandle = parameter.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]
    return handle


def block_matrices(model: GPT2) -> dict[str, Conv1D | Int8Conv1D]:
    """Return the matrices of all blocks by module name, in whatever form they are held."""
    return {
        f"transformer.h.{name}": module
        for name, module in model.blocks.named_modules()
        if isinstance(module, (Conv1D, Int8Conv1D))
    }


def narrow_matrices(model: GPT2) -> None:
    """Convert the matrices to bfloat16, without a float32 copy.

    Positions, norms and biases stay in float32, and so does the residual stream.
    """
    embeddings = {id(model.embed_tokens.weight), id(model.head_weight_VC)}
    conv = {id(m.weight) for m in model.blocks.modules() if isinstance(m, Conv1D)}
    for parameter in model.parameters():
        if id(parameter) in embeddings | conv:
            parameter.data = parameter.detach().bfloat16()
