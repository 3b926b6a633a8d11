"""The values of a record's columns as text."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal

_SURROGATE = re.compile("[\ud800-\udfff]")
_WHOLE = 1e16  # beyond, a float is no longer every integer


class NotTextError(ValueError):
    """A value that cannot be read as text; the message says what it is."""


def as_text(value: object) -> str:
    """Return a value as text: "" where it is missing, strings of a list on lines of their own.

    Numbers are written as people do: whole ones without a fraction, because pandas makes an
    integer a float where the column has gaps. Bytes are UTF-8. Raises NotTextError for anything
    else, such as an object, a list of numbers, or half of a character.
    """
    if isinstance(value, str):
        if not value.isascii() and _SURROGATE.search(value):
            raise NotTextError("half of a character (a lone surrogate)")
        return str(value)
    if value is None:
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise NotTextError("bytes that are not UTF-8") from None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return f"{value:.0f}" if value.is_integer() and abs(value) < _WHOLE else repr(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, int | date | datetime | time | timedelta):
        return str(value)
    if isinstance(value, list):
        kept = [item for item in value if item is not None]
        if all(type(item) is str or type(item) is bytes for item in kept):
            return "\n".join(map(as_text, kept))
        raise NotTextError("a list of something other than texts")
    raise NotTextError("an object" if isinstance(value, dict) else f"a {type(value).__name__}")


def is_text(value: object) -> bool:
    """Return whether a value can be read as text."""
    try:
        as_text(value)
    except NotTextError:
        return False
    return True
