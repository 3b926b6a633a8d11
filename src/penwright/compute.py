"""Device and precision: which ones this machine has, and the contexts a forward pass runs in."""

from __future__ import annotations

import contextlib
import json
import platform
import time
from contextlib import AbstractContextManager
from pathlib import Path

import torch

from penwright.config import Precision
from penwright.errors import UsageError
from penwright.files import cache_folder, write_json

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_FASTER = 1.3  # bf16 is chosen on a CPU from this speed-up on


def choose_device(wanted: str = "auto") -> torch.device:
    """Return the device `wanted`, or the fastest available; raise UsageError if it is missing."""
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if not available[wanted]:
        names = ", ".join(name for name, there in available.items() if there)
        raise UsageError(f"This machine has no device '{wanted}'.", fix=f"It has: {names}.")
    return torch.device(wanted)


def choose_precision(
    wanted: str, device: torch.device, width: int, kept: Path | None = None
) -> Precision:
    """Return the precision `wanted`, or for "auto" the fastest one that trains as well.

    On a CPU that is bf16 if a matrix product of the model's `width` runs at least 1.3 times as fast
    in it. The choice is timed once, in some milliseconds, and stored in the file `kept`, so that a
    run that is started again computes the same numbers.
    """
    if wanted in DTYPES:
        return wanted  # type: ignore[return-value]
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "mps" or is_emulated("bf16", device):
        return "fp32"
    key = measurement_key("arithmetic", platform.machine(), width)
    known = read_measurements(kept).get(key) if kept else None
    if known in ("bf16", "fp32"):
        return known
    wide, narrow = product_seconds(torch.float32, width), product_seconds(torch.bfloat16, width)
    found: Precision = "bf16" if wide > _FASTER * narrow else "fp32"
    if kept:
        keep_measurement(kept, key, found)
    return found


def product_seconds(dtype: torch.dtype, width: int) -> float:
    """Return the best of five timings of an MLP-shaped product, weight cast included."""
    x, w = torch.randn(1024, width).to(dtype), torch.randn(width, 4 * width)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        x @ w.to(dtype)
        best = min(best, time.perf_counter() - start)
    return best


def is_emulated(arithmetic: str, device: torch.device) -> bool:
    """Return whether `device` lacks instructions for matrix products in `arithmetic`.

    They are computed in software then, tens to hundreds of times slower than in fp32. On a CPU,
    oneDNN decides it, so the variables ONEDNN_MAX_CPU_ISA and ATEN_CPU_CAPABILITY count too.
    """
    if arithmetic == "fp32" or device.type == "mps":
        return False
    if device.type == "cuda":
        return arithmetic == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False)
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return True
    is_supported = getattr(torch.ops.mkldnn, f"_is_mkldnn_{arithmetic}_supported")
    return not is_supported()


def emulation_warning(arithmetic: str, device: torch.device) -> str:
    """Return a sentence with the measured slowdown where `arithmetic` is emulated, else nothing."""
    if not is_emulated(arithmetic, device):
        return ""

    def seconds(dtype: torch.dtype) -> float:
        x = torch.randn(64, 512, device=device).to(dtype)
        w = torch.randn(512, 512, device=device).to(dtype)
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            float((x @ w)[0, 0])
            best = min(best, time.perf_counter() - start)
        return best

    slower = seconds(DTYPES[arithmetic]) / seconds(torch.float32)
    name = "GPU" if device.type == "cuda" else "CPU"
    return (
        f"This {name} has no {arithmetic} arithmetic: a matrix product takes "
        f"{max(1.0, slower):.0f} times as long as in fp32. "
        "Leave --precision out, or give --precision fp32."
    )


def autocast(device: torch.device, arithmetic: str) -> AbstractContextManager[object]:
    """Return the context for a forward pass in `arithmetic`."""
    if arithmetic == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[arithmetic])


def memory_bytes(device: torch.device) -> int:
    """Return the peak memory of this process in bytes: on the GPU, or resident on a CPU."""
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


def read_bandwidth(kept: Path) -> float:
    """Return the bytes a second that this machine's processor reads from memory.

    Measured once, in a fraction of a second, and kept in the file `kept`.
    """
    key = measurement_key("bandwidth", platform.machine())
    known = read_measurements(kept).get(key)
    if isinstance(known, float):
        return known
    line = torch.ones(1 << 26)
    best = float("inf")
    for _ in range(6):
        begin = time.perf_counter()
        line.sum()
        best = min(best, time.perf_counter() - begin)
    keep_measurement(kept, key, line.numel() * line.element_size() / best)
    return line.numel() * line.element_size() / best


def calibration_file() -> Path:
    """Return the file of the cache that measurements of this machine are stored in."""
    return cache_folder() / "calibration.json"


def measurement_key(name: object, *parts: object) -> str:
    """Return the key of a measurement of `parts`, valid for this host, threads and torch."""
    machine = (platform.node(), torch.get_num_threads(), torch.__version__)
    return " ".join(str(part) for part in (name, *machine, *parts))


def read_measurements(kept: Path) -> dict[str, object]:
    """Read the measurements in the file `kept`; none if it is missing or damaged."""
    try:
        values = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def keep_measurement(kept: Path, key: str, value: object) -> None:
    """Add one measurement to the file `kept`."""
    write_json(kept, read_measurements(kept) | {key: value})
