"""What the machine is told before a run: how its C library hands out memory."""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_BYTES = 1 << 20


def settle() -> None:
    """Give every tensor from a megabyte on pages of its own, with glibc; elsewhere do nothing.

    By itself glibc moves that border up to 32 MiB as tensors are freed, and what lies between
    tensors of unequal size and lifetime is then never given back: a run grows and grows.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _BYTES)
        mallopt(_TRIM_THRESHOLD, _BYTES)
