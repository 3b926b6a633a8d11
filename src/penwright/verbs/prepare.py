"""Prepare data: encode text into a token store, or a table as texts that begin with keywords."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from penwright.config import KeywordsConfig, PrepareConfig, build
from penwright.dataset.packed import SUFFIX, pack
from penwright.dataset.store_cache import create_store, is_store, open_data, open_store
from penwright.errors import DataError, UsageError, suggest
from penwright.files import refuse_existing
from penwright.formats.keyword_file import decode_file
from penwright.formats.keyword_table import Encoded, encode
from penwright.sections import NAMES, Marks
from penwright.tokens import Store
from penwright.wording import Warn, count, log


def prepare(
    *data: str | Path,
    output: str | Path,
    warn: Callable[[str], None] = log,
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
    """Encode files into a store, as `config` asks."""
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
    from penwright.weights import choose_model, read_shape  # imports torch

    _, read_tokenizer = read_shape(choose_model(config.model, warn), warn)
    tokenizer = read_tokenizer()
    if packs:
        store = open_data(paths, config.data, tokenizer, warn, config.work).store
        pack(store, output)
        return store
    return create_store(paths, config.data, tokenizer, output, warn, config.work)


def encode_keywords(
    *data: str | Path, output: str | Path, warn: Warn = log, **options: Any
) -> Encoded:
    """Write a line for each row of the tables `data`: its keywords, then its title or text.

    `options` are those of `penwright keywords encode`. Raises DataError and OutOfRoomError.
    """
    return run_encode(data, Path(output), build(KeywordsConfig, options), warn)


def run_encode(
    paths: Sequence[str | Path], output: Path, config: KeywordsConfig, warn: Warn
) -> Encoded:
    """Encode tables as texts that begin with keywords, as `config` asks."""
    if output.resolve() in {Path(path).resolve() for path in paths}:
        raise UsageError(f"{output} would replace the data.", fix="Choose another --output.")
    return encode(paths, output, config, warn)


def decode_keywords(
    path: str | Path,
    sections: Sequence[str] = NAMES,
    *,
    marks: Marks | None = None,
    warn: Warn = log,
) -> Iterator[dict[str, str]]:
    """Yield these sections of every text in a file; texts without all of them are left out.

    Raises UsageError for a section that there is not, DataError for a file that cannot be read or
    has no such text.
    """
    for name in sections:
        if name not in NAMES:
            raise UsageError(
                f"There is no section '{name}'.",
                fix=suggest(name, NAMES) or f"There is: {', '.join(NAMES)}.",
            )
    wanted = tuple(sections)
    some = wanted == NAMES
    lacking = kept = 0
    for found in decode_file(path, marks or Marks(), warn):
        if some or all(name in found for name in wanted):
            kept += 1
            yield {name: found[name] for name in wanted if name in found}
        else:
            lacking += 1
    if lacking:
        warn(
            f"{path}: {count(lacking, 'text', 'was')} left out, without a section that was asked "
            "for."
        )
    if not kept:
        raise DataError(
            f"{path} has no text with sections in it.",
            fix="It should be what `penwright keywords encode` wrote, or a model that learned it.",
        )
