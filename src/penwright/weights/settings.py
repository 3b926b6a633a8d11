"""The JSON files of a model folder, read and checked. No torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from penwright.errors import ModelError


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; raises ModelError when there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing.") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged: {error}.") from None
    if not isinstance(value, dict):
        raise ModelError(f"{path} is damaged: it holds no JSON object.")
    return value


def name_list(names: list[str], most: int = 8) -> str:
    """Return names for a sentence, the first few of many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(name[:80] for name in names[:most]) + more
