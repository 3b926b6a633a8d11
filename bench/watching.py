"""This process's anonymous memory, sampled every 10 ms, or what it allocated on a GPU."""

from __future__ import annotations

import threading
import time


class Peak:
    """Begins to watch when it is made."""

    def __init__(self, device: str = "cpu") -> None:
        self._peak = 0
        self._device = device
        if device == "cpu":
            threading.Thread(target=self._watch, daemon=True).start()

    def bytes(self) -> int:
        """The most that has been held so far."""
        if self._device == "cuda":
            import torch

            return torch.cuda.max_memory_allocated()
        self._peak = max(self._peak, anonymous())
        return self._peak

    def _watch(self) -> None:
        while True:
            self.bytes()
            time.sleep(0.01)


def anonymous() -> int:
    with open("/proc/self/status", encoding="ascii") as lines:  # noqa: PTH123
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
