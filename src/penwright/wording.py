"""Numbers, durations and sizes as text, and sizes read from text. No torch."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Sequence

from penwright.errors import UsageError

Warn = Callable[[str], None]
"""Takes a sentence for the user about something that was left out, guessed or changed."""


def log(line: str) -> None:
    """Log a sentence for the user as a warning of the logger `penwright`.

    The Python functions do so with what the command line prints, unless they are given a `warn`.
    """
    logging.getLogger("penwright").warning(line)


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_VERBS = {"has": "have", "is": "are", "was": "were"}


def count(value: float, noun: str = "", verb: str = "") -> str:
    """Return `1 row`, `1,234 rows`; with `verb` (is, has, was, or one in s) `2 rows are`."""
    number = round(value)
    words = [f"{number:,}"]
    if noun:
        words.append(noun if number == 1 else f"{noun}s")
    if verb:
        words.append(verb if number == 1 else _VERBS.get(verb, verb.removesuffix("s")))
    return " ".join(words)


def amount(value: float) -> str:
    """Return three significant digits, without an exponent below ten billion: 5.32, 1,240."""
    if not math.isfinite(value):
        return "not a number"
    if abs(value) >= 1e10:
        return f"{value:.2e}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.{2 if abs(value) < 10 else 1}f}"


def large(value: float) -> str:
    """Return `124 million`, `6.97 million`, `1.56 billion`; numbers below a million in full."""
    for unit, word in ((1e9, "billion"), (1e6, "million")):
        if value >= unit:
            return f"{value / unit:.3g} {word}"
    return f"{round(value):,}"


def duration(seconds: float) -> str:
    """Return `0.4 s`, `42 s`, `2 min 05 s`, `1 h 02 min` or `3 d 4 h`."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def data_size(n_bytes: float) -> str:
    """Return `1.3 GB` or `85 MB`, in powers of ten."""
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"


def parse_size(text: str) -> int:
    """Return the bytes in `8GB`, `500 MB`, `6.5g` or a plain number, in powers of ten.

    Raises UsageError for anything else, and for a number below 1000 without a unit.
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([kmgt]?)i?b?\s*", text.lower())
    if not found:
        raise UsageError(f"'{text}' is not a size.", fix="Write it as 500MB or 8GB.")
    if not found[2] and float(found[1]) < 1000:
        number = text.strip()
        raise UsageError(f"'{number}' has no unit.", fix=f"Write it as {number}GB or {number}MB.")
    return int(float(found[1]) * _UNITS[found[2]])


def name_list(names: Sequence[str], most: int = 8) -> str:
    """Return names for a sentence, the first few of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(name[:80] for name in names[:most]) + more
