"""A model on its way out: to another runtime, or to the Hub."""

from __future__ import annotations

from pathlib import Path

from penwright import weights
from penwright.weights.huggingface import SHARD_BYTES
from penwright.wording import parse_size


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
