"""A model on its way out: to another runtime, or to the Hub."""

from __future__ import annotations

from pathlib import Path

from penwright import weights
from penwright.errors import UsageError
from penwright.weights.huggingface import SHARD_BYTES

_UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


def run_export(
    model: str | Path,
    to: str,
    output: Path,
    *,
    dtype: str | None = None,
    shard_size: str | None = None,
    check: bool = False,
) -> weights.Exported:
    """Write `model` for another runtime; see `penwright.weights.export`."""
    size = SHARD_BYTES if shard_size is None else parse_size(shard_size)
    return weights.export(model, to, output, dtype=dtype, shard_bytes=size, check=check)


def parse_size(text: str) -> int:
    """Bytes from `500MB` or `2GB`; raises UsageError for anything else."""
    number, unit = text[:-2].strip(), text[-2:].upper()
    try:
        return int(float(number) * _UNITS[unit])
    except (KeyError, ValueError):
        raise UsageError(f"'{text}' is no size.", fix="Write it as 500MB or 2GB.") from None
