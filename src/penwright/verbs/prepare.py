"""Prepare data: encode text into a token store, or a table as texts that begin with keywords."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from penwright.config import KeywordsConfig, PrepareConfig, build
from penwright.dataset.distributed import find_obstacle, prepare_parts
from penwright.dataset.packed import SUFFIX, pack
from penwright.dataset.remote_store import find_same, publish
from penwright.dataset.store_cache import create_store, is_store, open_data, open_store
from penwright.errors import DataError, UsageError, suggest
from penwright.files import refuse_existing
from penwright.formats.keyword_file import decode_file
from penwright.formats.keyword_table import Encoded, encode
from penwright.remote import is_remote
from penwright.sections import NAMES, Marks
from penwright.tokens import Store
from penwright.wording import Warn, count, log


class Prepared(NamedTuple):
    """Numbers of documents and tokens in a store that workers wrote to an address."""

    n_documents: int
    n_tokens: int


def prepare(
    *data: str | Path,
    output: str | Path,
    warn: Callable[[str], None] = log,
    **options: Any,
) -> Store:
    """Encode `data` into a new store at `output`, or continue one that was stopped; open it.

    `output` is a folder; a name that ends in .zip, for one compressed file; or an address such as
    s3://bucket/store, from where the store is downloaded into the cache.

    `options` are those of `penwright prepare`. Raises DataError and OutOfRoomError.
    """
    made = run_prepare(data, build(PrepareConfig, options | {"output": str(output)}), warn)
    return made if isinstance(made, Store) else open_store(output)


def run_prepare(
    paths: Sequence[str | Path], config: PrepareConfig, warn: Callable[[str], None]
) -> Store | Prepared:
    """Encode files into a store, as `config` asks; returns it, or its counts if it is elsewhere."""
    if not paths:
        raise UsageError("There is no data to prepare.", fix="Name a file or a folder.")
    stores = [path for path in paths if is_store(path)]
    output, packs = Path(config.output), config.output.lower().endswith(SUFFIX)
    away = is_remote(config.output)
    if stores and (len(paths) > 1 or not (packs or away)):
        raise UsageError(
            f"'{stores[0]}' is a token store already.",
            fix="finetune takes it as it is; --output NAME.zip packs one into a file.",
        )
    if packs and away:
        raise UsageError(
            "A .zip is written on this machine.", fix="Copy it afterwards, or leave out .zip."
        )
    if packs:
        refuse_existing(output)
    if stores:
        store = open_store(stores[0])
    else:
        from penwright.weights import choose_model, read_shape  # imports torch

        _, read_tokenizer = read_shape(choose_model(config.model, warn), warn)
        tokenizer = read_tokenizer()
        if away and config.work.engine == "ray":
            obstacle = find_obstacle(paths, config.data)
            if obstacle is None:
                made = prepare_parts(
                    paths, config.data, tokenizer, config.output, warn, config.work
                )
                return Prepared(made["documents"], made["tokens"])
            warn(f"This machine reads the files for the workers, since {obstacle}.")
        if packs or away:
            store = open_data(paths, config.data, tokenizer, warn, config.work).store
        else:
            store = create_store(paths, config.data, tokenizer, output, warn, config.work)
    if packs:
        pack(store, output)
    elif away and find_same(config.output, store.header["fingerprint"]) is None:
        publish(store, config.output)
    return store


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

    Raises UsageError for an unknown section, DataError for a file that cannot be read or
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
