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
from penwright.train.compiled import compile_blocks
from penwright.train.methods.base import LoadModel as LoadModel
from penwright.train.methods.base import Method as Method
from penwright.train.methods.full import Full
from penwright.train.methods.lean import Lean
from penwright.train.methods.lora import Lora
from penwright.train.plan import TrainPlan

METHODS: dict[MethodName, type[Method]] = {"full": Full, "lean": Lean, "lora": Lora}


def make_method(model: GPT2, plan: TrainPlan) -> Method:
    """Return the method of a plan, with the model's weights and blocks prepared for it."""
    method = METHODS[plan.method](model, plan)
    choose_forward(model, plan)
    return method


def change_method(old: Method, plan: TrainPlan) -> Method:
    """Return the method of another plan over the same weights and optimizer state."""
    if plan.method == old.plan.method:
        choose_forward(old.model, plan)
        return old
    state = {name: dict(old.optimizer.state.get(p, {})) for name, p in old.trained.items()}
    old.release()
    method = make_method(old.model, plan)
    method.take_over(state)
    return method


def choose_forward(model: GPT2, plan: TrainPlan) -> None:
    """Set how blocks run: compiled, as two fused halves, or plainly; and recomputed or not."""
    unfuse(model)
    if plan.compile:
        compile_blocks(model)
    elif plan.method == "full" and plan.precision == "bf16":
        fuse(model)
    if plan.recompute:
        recompute(model)


def recompute(model: GPT2) -> None:
    """Keep only the input of each block; the backward pass computes the rest again."""
    for block in model.blocks:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)
