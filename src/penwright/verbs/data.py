"""Files become a token store, kept in a cache so that the second start takes no time."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from penwright import formats
from penwright.config import DataConfig, WorkConfig
from penwright.document import Document
from penwright.errors import DataError, TokenizerError
from penwright.files import disk_errors
from penwright.formats.inputs import check_paths, find_inputs
from penwright.formats.streams import identify, is_remote
from penwright.markers import START_OF_TEXT
from penwright.tokens import Store, Tokenizer, fingerprint, hash_files, prepare
from penwright.tokens.store import HEADER
from penwright.verbs.packed import is_packed, unpack
from penwright.wording import Warn


@dataclass(frozen=True)
class Data:
    """A data set made ready: its store, how its files were read, and its fingerprint."""

    store: Store
    reading: formats.ReadPlan
    files: tuple[str, ...]
    fingerprint: str
    cleaning: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Documents that each cleaning step changed and left out."""
    warnings: tuple[str, ...] = ()
    """What was told while the files were read."""
    sources: tuple[int, ...] = ()
    """Documents of each of the paths that were given, one after another."""


def cache_folder() -> Path:
    """Where stores are kept: PENWRIGHT_CACHE, or ~/.cache/penwright."""
    return Path(os.environ.get("PENWRIGHT_CACHE") or Path.home() / ".cache" / "penwright")


def calibration_file() -> Path:
    """Where what was measured of this machine is kept."""
    return cache_folder() / "calibration.json"


def is_store(path: str | Path) -> bool:
    """Whether `penwright prepare` made what is at `path`: a folder, or one packed into a file."""
    return (Path(path) / HEADER).is_file() or is_packed(Path(path))


def open_store(path: str | Path, tokenizer_hash: str | None = None) -> Store:
    """The store at `path`, unpacked into the cache where it is packed; raises what `open` does."""
    if not is_packed(Path(path)):
        return Store.open(path, tokenizer_hash)
    cache = cache_folder()
    name = hash_files([path], cache / "hashes.json")[0].rpartition(" ")[2]
    folder = unpack(Path(path), cache / "stores" / f"packed-{name}")
    try:
        return Store.open(folder, tokenizer_hash)
    except TokenizerError as error:
        message = error.message.replace(str(folder), str(path))
        raise TokenizerError(message, fix=error.fix) from None


def open_data(
    paths: Sequence[str | Path],
    config: DataConfig,
    tokenizer: Tokenizer,
    warn: Warn,
    work: WorkConfig = WorkConfig(),  # noqa: B008 - frozen
) -> Data:
    """The token store of these files, from the cache when it is there and whole.

    Stores may be among the paths. What was told while a store was made is told again. Raises
    DataError for files that cannot be read or hold nothing to learn, TokenizerError for a store
    that was made with another tokenizer.
    """
    check_paths(paths)
    if len(paths) > 1 and any(map(is_store, paths)):
        return _join([open_data([path], config, tokenizer, warn) for path in paths])
    if paths and is_store(paths[0]):
        return _told(_data(open_store(paths[0], tokenizer.hash)), warn)
    cache = cache_folder()
    reading = formats.describe(paths, config)
    key = name_data(paths, config, tokenizer, cache / "hashes.json")
    folder = cache / "stores" / key
    if folder.exists():
        try:
            kept = _data(Store.open(folder, tokenizer.hash))
            # The files may have been moved since, which does not change what they hold.
            return _told(replace(kept, reading=reading, files=_files(paths, config.files)), warn)
        except DataError as error:
            warn(f"{error.message} It is made again.")
            shutil.rmtree(folder)
    with disk_errors(cache):
        folder.parent.mkdir(parents=True, exist_ok=True)
    return encode(paths, config, tokenizer, folder, key, reading, warn, work)


def _join(sets: Sequence[Data]) -> Data:
    """Several data sets as one, in their order."""
    cleaning: dict[str, Counter[str]] = {}
    for one in sets:
        for kind, counts in one.cleaning.items():
            cleaning.setdefault(kind, Counter()).update(counts)
    return Data(
        Store.join([one.store for one in sets]),
        formats.ReadPlan(tuple(choice for one in sets for choice in one.reading.choices)),
        tuple(file for one in sets for file in one.files),
        hashlib.sha256(" ".join(one.fingerprint for one in sets).encode()).hexdigest(),
        cleaning,
        tuple(text for one in sets for text in one.warnings),
        tuple(one.store.n_documents for one in sets),
    )


def encode(
    paths: Sequence[str | Path],
    config: DataConfig,
    tokenizer: Tokenizer,
    folder: Path,
    key: str,
    reading: formats.ReadPlan,
    warn: Warn,
    work: WorkConfig = WorkConfig(),  # noqa: B008 - frozen
) -> Data:
    """Read, clean and encode the files into a new store; its header tells how that went."""
    tally = formats.Tally()
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        warn(text)

    in_text = any(choice.format == "text" for choice in reading.choices)
    by_marker = config.documents in ("auto", "marker") and config.split_at is None
    if in_text and by_marker and START_OF_TEXT in tokenizer.always:
        tell(
            f"{START_OF_TEXT} divides documents in plain text and is left out, though this model "
            "has it as a token. To learn it too, give --split-at '<\\|endoftext\\|>'."
        )
    sources = [0] * len(paths)
    # These fill while the documents are read; the header is written after.
    meta = {
        "sources": sources,
        "files": list(_files(paths, config.files)),
        "reading": reading.as_json(),
        "cleaning": {"changed": tally.changed, "dropped": tally.dropped},
        "warnings": told,
    }
    documents = formats.read(paths, config, tell, tally, tokenizer.count, work)
    store = prepare(
        _count(documents, paths, config.files, sources),
        tokenizer,
        folder,
        meta=meta,
        fingerprint=key,
        markers=tokenizer.always,
        work=work,
    )
    return _data(store)


def _count(
    documents: Iterator[Document],
    paths: Sequence[str | Path],
    patterns: Sequence[str],
    counts: list[int],
) -> Iterator[Document]:
    """Count the documents of each path as they go by."""
    owner: dict[str, int] = {}
    for number, path in enumerate(paths):
        for item in find_inputs([path], patterns):
            for name in (item.path, *item.files):
                owner.setdefault(name, number)
    for document in documents:
        counts[owner[document.source.path]] += not document.more
        yield document


def name_data(
    paths: Sequence[str | Path],
    config: DataConfig,
    tokenizer: Tokenizer,
    memory: Path | None = None,
) -> str:
    """The fingerprint of the files, of the lists that the options name, and of the tokenizer."""
    files = list(_files(paths, config.files))
    files += [name for name in (config.urls, config.blocklist) if name is not None]
    local = iter(hash_files([name for name in files if not is_remote(name)], memory))
    names = [identify(name) if is_remote(name) else next(local) for name in files]
    return fingerprint([*names, *tokenizer.always], config, tokenizer.hash)


def _files(paths: Sequence[str | Path], patterns: Sequence[str]) -> tuple[str, ...]:
    return tuple(file for item in find_inputs(paths, patterns) for file in item.files)


def _data(store: Store) -> Data:
    """A store and what its header tells of how it was made."""
    meta: dict[str, Any] = store.header["meta"]
    cleaning = {name: counts for name, counts in meta.get("cleaning", {}).items() if counts}
    return Data(
        store,
        formats.ReadPlan.from_json(meta.get("reading", ())),
        tuple(meta.get("files", ())),
        store.header["fingerprint"],
        cleaning,
        tuple(meta.get("warnings", ())),
        tuple(meta.get("sources", ())),
    )


def _told(data: Data, warn: Warn) -> Data:
    for text in data.warnings:
        warn(text)
    return data
