"""Which device and which arithmetic: what the hardware does well, tried rather than assumed."""

from __future__ import annotations

import contextlib
import time
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


def choose_precision(wanted: str, device: torch.device, width: int) -> Arithmetic:
    """The arithmetic asked for, or the fastest that learns as well.

    On a CPU bf16 is taken where a matrix product of the model's width runs at least 1.3 times as
    fast in it, measured here in some milliseconds.
    """
    if wanted in DTYPES:
        return wanted  # type: ignore[return-value]
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "mps":
        return "fp32"
    return (
        "bf16" if _seconds(torch.float32, width) > 1.3 * _seconds(torch.bfloat16, width) else "fp32"
    )


def _seconds(dtype: torch.dtype, width: int) -> float:
    """The best of several timings of one block-shaped product, casting of the weights included."""
    x, w = torch.randn(1024, width).to(dtype), torch.randn(width, 4 * width)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        x @ w.to(dtype)
        best = min(best, time.perf_counter() - start)
    return best


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
