"""What to do when a step does not fit the memory: the same gradient in less of it."""

from __future__ import annotations

from dataclasses import replace

import torch

from penwright.train.optimizer import OPTIMIZER_OF, OPTIMIZERS
from penwright.train.plan import TrainPlan

_SIGNS = ("can't allocate memory", "out of memory", "bad_alloc", "could not allocate")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _SIGNS)


def smaller(plan: TrainPlan) -> tuple[TrainPlan, str] | None:
    """The plan that takes less memory than this one, and what changes; None if there is none.

    Half the micro-batch leaves the gradient as it is, and so does computing twice; lean holds
    the weights in bfloat16 and its averages in bytes.
    """
    if plan.micro_batch > 1:
        rows = -(-plan.micro_batch // 2)
        return replace(plan, micro_batch=rows), f"going on with {rows} sequences at once"
    if not plan.recompute:
        return replace(plan, recompute=True), "going on with layers computed twice"
    if plan.method == "full" and "lean" in OPTIMIZERS[plan.optim.optimizer].methods:
        optim = replace(plan.optim, optimizer=OPTIMIZER_OF["lean"])
        changed = replace(plan, method="lean", precision="bf16", optim=optim)
        return changed, "going on with the method lean"
    return None
