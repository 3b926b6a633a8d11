"""Measure each step (tokens a second, memory, load of the machine), and report events of a run."""

from __future__ import annotations

import time
from typing import Any, NamedTuple, Protocol

import torch

from penwright.compute import memory_bytes
from penwright.model import GPT2Config
from penwright.train.memory import Counts
from penwright.train.plan import TrainPlan

_SECONDS_BETWEEN_LOOKS = 1.0


class Meter:
    """Reads off each step of a run; `peak_flops` is what the machine could do in a second."""

    def __init__(
        self, config: GPT2Config, plan: TrainPlan, device: torch.device, peak_flops: float | None
    ) -> None:
        self._device = device
        self._flops = flops_a_token(config, plan)
        self._peak_flops = peak_flops
        self._busy = Busy(device)

    def read(self, tokens: int, learned: int, seconds: float) -> dict[str, float]:
        """Return a step's figures for metrics.jsonl, once a second with the machine's load.

        The step went over `tokens`, of which `learned` have a loss.
        """
        speed = tokens / seconds
        found = {"tokens_per_s": speed, "memory_mb": memory_bytes(self._device) / 1e6}
        if self._peak_flops:
            flops = self._flops.body * tokens + self._flops.head * learned
            # The machine may have been busy when its speed was measured, and be faster now.
            self._peak_flops = max(self._peak_flops, flops / seconds)
            found["mfu_percent"] = 100 * flops / seconds / self._peak_flops
        return found | self._busy.look()


class Flops(NamedTuple):
    """Operations of a token in the layers, and of one with a loss in the head."""

    body: float
    head: float


def flops_a_token(config: GPT2Config, plan: TrainPlan) -> Flops:
    """Count the operations that a trained token needs, without recomputation.

    Six for each weight that it is multiplied with and twelve for each place it may look at, in
    each channel of each layer (Chowdhery et al., "PaLM", 2022, appendix B); four for frozen
    weights, which have no gradients.
    """
    each = 4 if plan.method == "lora" else 6
    attention = 12 * config.n_layer * config.n_embd * plan.max_length
    return Flops(
        each * Counts.of(config).matrices + attention, each * config.vocab_size * config.n_embd
    )


class Busy:
    """Reads the load of CPU and GPU, with psutil and NVIDIA's library if they are installed."""

    def __init__(self, device: torch.device) -> None:
        self._psutil = _import("psutil")
        self._nvml, self._card = _open_card(device)
        self._last = time.monotonic()
        if self._psutil:
            self._psutil.cpu_percent()  # which tells what was since the call before

    def look(self) -> dict[str, float]:
        """`cpu_percent`, `gpu_percent` and `gpu_memory_mb`, as far as they are known; once a
        second, and nothing in between."""
        if time.monotonic() - self._last < _SECONDS_BETWEEN_LOOKS:
            return {}
        self._last = time.monotonic()
        found: dict[str, float] = {}
        if self._psutil:
            found["cpu_percent"] = self._psutil.cpu_percent()
        if self._nvml:
            try:
                found["gpu_memory_mb"] = self._nvml.nvmlDeviceGetMemoryInfo(self._card).used / 1e6
                rates = self._nvml.nvmlDeviceGetUtilizationRates(self._card)
                found["gpu_percent"] = float(rates.gpu)
            except self._nvml.NVMLError:
                pass  # a slice of a card does not tell its load
        return found


def _open_card(device: torch.device) -> tuple[Any, Any]:
    """Return NVIDIA's library and its handle of this device, or None for both."""
    nvml = _import("pynvml") if device.type == "cuda" else None
    if nvml is None:
        return None, None
    try:
        nvml.nvmlInit()
        name = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        return nvml, nvml.nvmlDeviceGetHandleByUUID(name)
    except nvml.NVMLError:
        return None, None


def _import(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        return None


class Observer(Protocol):
    """Receives the events of a run; the terminal's live view is one."""

    def on_start(self, info: dict[str, Any]) -> None: ...
    def on_step(self, record: dict[str, Any]) -> None: ...
    def on_evaluate(self, record: dict[str, Any]) -> None: ...
    def on_samples(self, step: int, samples: list[dict[str, Any]]) -> None: ...
    def on_message(self, text: str) -> None: ...


class Silent:
    """An observer that does nothing."""

    def on_start(self, info: dict[str, Any]) -> None: ...
    def on_step(self, record: dict[str, Any]) -> None: ...
    def on_evaluate(self, record: dict[str, Any]) -> None: ...
    def on_samples(self, step: int, samples: list[dict[str, Any]]) -> None: ...
    def on_message(self, text: str) -> None: ...
