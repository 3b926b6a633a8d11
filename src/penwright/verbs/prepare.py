"""Encode a text once, into a token store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from penwright.config import PrepareConfig, build
from penwright.dataset.packed import SUFFIX, pack
from penwright.dataset.store_cache import create_store, is_store, open_data, open_store
from penwright.errors import UsageError
from penwright.files import refuse_existing
from penwright.tokens import Store
from penwright.weights import choose_model, read_shape


def prepare(
    *data: str | Path,
    output: str | Path,
    warn: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> Store:
    """Encode `data` into a new store in the folder `output`, or continue one that was stopped.

    An `output` that ends in .zip is one compressed file, made from the store in the cache.

    `options` are those of `penwright prepare`. Raises DataError and OutOfRoomError.
    """
    return run_prepare(data, build(PrepareConfig, options | {"output": output}), warn)


def run_prepare(
    paths: Sequence[str | Path], config: PrepareConfig, warn: Callable[[str], None]
) -> Store:
    """Encode, as `config` asks."""
    output = config.output
    if not paths:
        raise UsageError("There is no data to prepare.", fix="Name a file or a folder.")
    stores, packs = [path for path in paths if is_store(path)], output.suffix.lower() == SUFFIX
    if stores and (len(paths) > 1 or not packs):
        raise UsageError(
            f"'{stores[0]}' is a token store already.",
            fix="finetune takes it as it is; --output NAME.zip packs one into a file.",
        )
    if packs:
        refuse_existing(output)
    if stores:
        store = open_store(stores[0])
        pack(store, output)
        return store
    _, read_tokenizer = read_shape(choose_model(config.model, warn), warn)
    tokenizer = read_tokenizer()
    if packs:
        store = open_data(paths, config.data, tokenizer, warn, config.work).store
        pack(store, output)
        return store
    return create_store(paths, config.data, tokenizer, output, warn, config.work)
