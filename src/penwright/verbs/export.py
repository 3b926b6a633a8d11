"""Pass a model on: to another runtime, merged with an adapter, to the Hub and from it."""

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


def merge(model: str | Path, adapter: str | Path, output: Path) -> Path:
    """Merge a LoRA adapter into its model, and write the result to `output`."""
    return weights.merge(model, adapter, output)


def push(model: str | Path, repository: str, *, private: bool = False) -> str:
    """Upload a model and its card to the Hugging Face Hub; return the address."""
    return weights.push(model, repository, private=private)


def download(name: str) -> Path:
    """Download a model into the Hub's cache, and return its folder."""
    return weights.download(name)
