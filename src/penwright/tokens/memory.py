"""Give freed memory back to the system."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


def release() -> None:
    """Return what this process has freed, where the C library keeps it (glibc does).

    Reading text by blocks of some megabytes, each of another size, leaves glibc's heap full of
    holes that it neither fills nor returns: half a gigabyte after half a gigabyte of text. The
    call takes milliseconds.
    """
    trim = _find_trim()
    if trim is not None:
        trim(0)


@cache
def _find_trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library, or Windows
        return None
    return found
