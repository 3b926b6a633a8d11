"""Encode a text once, into a token store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from penwright import formats
from penwright.config import PrepareConfig, build
from penwright.errors import UsageError
from penwright.tokens import Store
from penwright.verbs.data import encode, name_data
from penwright.weights.names import resolve
from penwright.weights.opening import default_model, read_place


def prepare(
    *data: str | Path,
    output: str | Path,
    warn: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> Store:
    """Encode `data` into a new store in the folder `output`, or continue one that was stopped.

    `options` are those of `penwright prepare`. Raises DataError and OutOfRoomError.
    """
    return run_prepare(data, Path(output), build(PrepareConfig, options), warn)


def run_prepare(
    paths: Sequence[str | Path], output: Path, config: PrepareConfig, warn: Callable[[str], None]
) -> Store:
    """Encode, as `config` asks."""
    if not paths:
        raise UsageError("There is no data to prepare.", fix="Name a file or a folder.")
    tokenizer = read_place(resolve(config.model or default_model()[0])).tokenizer()
    reading = formats.describe(paths, config.data)
    key = name_data(paths, config.data, tokenizer)
    return encode(paths, config.data, tokenizer, output, key, reading, warn, config.work).store
