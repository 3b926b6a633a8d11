"""Figures as a person writes them: 61,402 tokens, 2 min 05 s, 124 million, perplexity 31.4."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime

_MONTHS = "January February March April May June July August September October November December"


def count(value: float, noun: str = "") -> str:
    """A whole number with its noun, in the plural unless it is one."""
    words = f"{round(value):,}"
    if not noun:
        return words
    return f"{words} {noun}" if round(value) == 1 else f"{words} {noun}s"


def amount(value: float) -> str:
    """Three significant digits, never an exponent below ten billion: 5.32, 31.4, 1,240."""
    if not math.isfinite(value):
        return "not a number"
    if abs(value) >= 1e10:
        return f"{value:.2e}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.{2 if abs(value) < 10 else 1}f}"


def large(value: float) -> str:
    """124 million, 6.97 million, 1.56 billion; small numbers in full."""
    for unit, word in ((1e9, "billion"), (1e6, "million")):
        if value >= unit:
            return f"{value / unit:.3g} {word}"
    return f"{round(value):,}"


def duration(seconds: float) -> str:
    """0.4 s, 42 s, 2 min 05 s, 1 h 02 min, 3 d 4 h, with spaces that do not break."""
    return _duration(seconds).replace(" ", "\u00a0")


def _duration(seconds: float) -> str:
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


def megabytes(value: float) -> str:
    """812 MB, 1.4 GB."""
    return f"{value:,.0f} MB" if value < 1000 else f"{value / 1024:,.1f} GB"


def moment(stamp: object) -> str:
    """21 November 2025, 03:57, from an ISO 8601 time; anything else as it is."""
    if not isinstance(stamp, str):
        return ""
    try:
        time = datetime.fromisoformat(stamp)
    except ValueError:
        return stamp
    return f"{time.day} {_MONTHS.split()[time.month - 1]} {time.year}, {time:%H:%M}"


def plain(value: object) -> str:
    """A value from JSON as words."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value) or "none"
    return str(value)


def setting(value: object) -> str:
    """A value as it is written in a configuration file."""
    if value is None or value == []:
        return "not set"
    if isinstance(value, str):
        return value if value.strip() == value != "" else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "\n".join(json.dumps(item, ensure_ascii=False) for item in value)
    return json.dumps(value, ensure_ascii=False)


def spaced(key: str) -> str:
    """micro_batch -> micro batch."""
    return key.replace("_", " ")
