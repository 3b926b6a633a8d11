"""Changes that a run makes to its process: signal handlers, and glibc's malloc thresholds."""

from __future__ import annotations

import ctypes
import platform
import signal
import threading
from pathlib import Path
from types import FrameType, TracebackType

from penwright.runs import RUNS

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_BYTES = 1 << 20


class Interrupted(Exception):
    """The user stopped the run; everything up to `step` is saved in `folder`."""

    def __init__(self, step: int, folder: Path) -> None:
        super().__init__(f"stopped after step {step}")
        self.step = step
        self.folder = folder

    @property
    def how_to_resume(self) -> str:
        """Return the command that continues the run."""
        under_runs = self.folder.parent == RUNS
        where = f"--name {self.folder.name}" if under_runs else f"--output-dir {self.folder}"
        return f"penwright finetune --resume {where}"


class Interrupt:
    """Handles Ctrl-C and SIGTERM while entered, and restores the handlers afterwards.

    The first signal only sets `requested`; a second one raises KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, handler)  # type: ignore[arg-type]

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


def limit_malloc() -> None:
    """Set glibc's malloc thresholds to 1 MiB for the process; do nothing with other C libraries.

    Each tensor from a megabyte on then has pages of its own, which are given back when it is freed.
    By itself glibc raises the threshold up to 32 MiB as tensors are freed; what lies between
    tensors of unequal size and lifetime is never given back, and a run grows and grows.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _BYTES)
        mallopt(_TRIM_THRESHOLD, _BYTES)
