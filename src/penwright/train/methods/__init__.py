"""The training methods. The loop knows `Method` only; one is chosen before the first step.

full   Every weight in float32.
lean   Every weight, in little memory.
lora   Small factors beside frozen matrices.
"""

from __future__ import annotations

import functools

from torch.utils.checkpoint import checkpoint

from penwright.config import MethodName
from penwright.model import GPT2
from penwright.model.fused import fuse, unfuse
from penwright.native.training import use_kernels
from penwright.train.compiled import compile_blocks
from penwright.train.methods.base import LoadModel as LoadModel
from penwright.train.methods.base import Method as Method
from penwright.train.methods.full import Full
from penwright.train.methods.lean import Lean
from penwright.train.methods.lora import Lora
from penwright.train.one_device import ONE, OneDevice
from penwright.train.plan import TrainPlan

METHODS: dict[MethodName, type[Method]] = {"full": Full, "lean": Lean, "lora": Lora}


def make_method(model: GPT2, plan: TrainPlan, devices: OneDevice = ONE) -> Method:
    """Return the method of a plan, with the model's weights and blocks prepared for it."""
    method = METHODS[plan.method](model, plan, devices)
    choose_forward(method)
    return method


def change_method(old: Method, plan: TrainPlan) -> Method:
    """Return the method of another plan over the same weights and optimizer state."""
    if plan.method == old.plan.method:
        old.plan = plan
        choose_forward(old)
        return old
    state = {name: dict(old.optimizer.state.get(p, {})) for name, p in old.trained.items()}
    old.release()
    method = make_method(old.model, plan, old.devices)
    method.take_over(state)
    return method


def choose_forward(method: Method) -> None:
    """Set how blocks run: compiled, fused by kernels or torch, or plainly; recomputed or not."""
    model, plan = method.model, method.plan
    unfuse(model)
    model.kernels = method.kernels
    if plan.compile:
        compile_blocks(model)
    elif method.kernels is not None:
        use_kernels(model, method.kernels)
    elif plan.method == "full" and plan.precision == "bf16" and plan.parallel == "ddp":
        fuse(model)
    if plan.recompute:
        recompute(model)


def recompute(model: GPT2) -> None:
    """Keep only the input of each block; the backward pass computes the rest again."""
    for block in model.blocks:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
