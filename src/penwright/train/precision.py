"""Which device and which arithmetic: what the hardware does well, tried rather than assumed."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Literal

import torch

from penwright.errors import UsageError

Arithmetic = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(wanted: str = "auto") -> torch.device:
    """The device asked for, or the fastest at hand; raises UsageError when it is not there."""
    at_hand = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return torch.device(next(name for name, there in at_hand.items() if there))
    if not at_hand[wanted]:
        names = ", ".join(name for name, there in at_hand.items() if there)
        raise UsageError(f"This machine has no device '{wanted}'.", fix=f"It has: {names}.")
    return torch.device(wanted)


def autocast(device: torch.device, arithmetic: str) -> AbstractContextManager[object]:
    """The context in which the forward pass runs."""
    if arithmetic == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[arithmetic])


def memory_bytes(device: torch.device) -> int:
    """The most memory this process has held: on the device, or of the machine on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    try:
        import resource
    except ImportError:  # Windows
        return 0
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
