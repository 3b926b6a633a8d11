"""Encode files into a token store and keep it in the cache, under a fingerprint of the data.

The fingerprint covers the files' content, the options they are read with, and the tokenizer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from penwright import formats
from penwright.config import DataConfig, WorkConfig
from penwright.dataset.packed import is_packed, unpack
from penwright.dataset.remote_store import fetch, is_remote_store
from penwright.document import START_OF_TEXT, Document
from penwright.errors import DataError, TokenizerError
from penwright.files import cache_folder, disk_errors, write_json
from penwright.formats.catalog import check_paths, find_inputs
from penwright.formats.reader import Input
from penwright.remote import identify, is_remote
from penwright.tokens import Store, Tokenizer, prepare
from penwright.tokens.store import FORMAT, HEADER, VERSION
from penwright.wording import Warn


@dataclass(frozen=True)
class Data:
    """A token store, how its files were read, and a fingerprint of both."""

    store: Store
    reading: formats.FileReading
    files: tuple[str, ...]
    fingerprint: str
    cleaning: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Documents that each cleaning step changed and left out."""
    warnings: tuple[str, ...] = ()
    """Warnings given while the files were read."""
    sources: tuple[int, ...] = ()
    """Documents of each of the paths that were given, one after another."""


def is_store(path: str | Path) -> bool:
    """Return whether `path` is a token store: a folder, an address, or one packed into a file."""
    if is_remote(path):
        return is_remote_store(str(path))
    return (Path(path) / HEADER).is_file() or is_packed(Path(path))


def open_store(path: str | Path, tokenizer_hash: str | None = None) -> Store:
    """Open the store at `path`; raises as `Store.open`.

    One that is packed, or at an address, is unpacked or downloaded into the cache before.
    """
    if is_remote(path):
        folder = fetch(str(path))
    elif is_packed(Path(path)):
        cache = cache_folder()
        name = hash_files([path], cache / "hashes.json")[0].rpartition(" ")[2]
        folder = unpack(Path(path), cache / "stores" / f"packed-{name}")
    else:
        folder = Path(path)
    try:
        return Store.open(folder, tokenizer_hash)
    except TokenizerError as error:
        message = error.message.replace(str(folder), str(path))
        raise TokenizerError(message, fix=error.fix) from None


def open_kept(fingerprint: str, tokenizer: Tokenizer) -> Data | None:
    """Open the store of this fingerprint where the cache still has it; None where it does not."""
    folder = cache_folder() / "stores" / fingerprint
    return _read_header(Store.open(folder, tokenizer.hash)) if folder.exists() else None


def open_data(
    paths: Sequence[str | Path],
    config: DataConfig,
    tokenizer: Tokenizer,
    warn: Warn,
    work: WorkConfig = WorkConfig(),  # noqa: B008 - frozen
) -> Data:
    """Open the token store of these files, from the cache if it is there and whole.

    Stores may be among the paths. Warnings given while a store was made are given again. Raises
    DataError for files that cannot be read or hold nothing to learn, TokenizerError for a store
    that was made with another tokenizer.
    """
    check_paths(paths)
    if len(paths) > 1 and any(map(is_store, paths)):
        return _join([open_data([path], config, tokenizer, warn, work) for path in paths])
    if paths and is_store(paths[0]):
        return _warn_again(_read_header(open_store(paths[0], tokenizer.hash)), warn)
    cache = cache_folder()
    found = find(paths, config.files)
    reading = formats.describe(list(found.owners), config)
    key = name_data(list(found.owners), config, tokenizer, cache / "hashes.json")
    folder = cache / "stores" / key
    if folder.exists():
        try:
            kept = _read_header(Store.open(folder, tokenizer.hash))
            # The files may have been moved since, which does not change their content.
            if _without_paths(kept.reading) == _without_paths(reading):
                return _warn_again(replace(kept, reading=reading, files=tuple(found.files)), warn)
            # An earlier version read these files in another way.
        except DataError as error:
            warn(f"{error.message} It is made again.")
        shutil.rmtree(folder)
    with disk_errors(cache):
        folder.parent.mkdir(parents=True, exist_ok=True)
    return _encode(found, config, tokenizer, folder, key, reading, warn, work)


def _without_paths(reading: formats.FileReading) -> list[formats.Choice]:
    return [replace(choice, path="", says="") for choice in reading.choices]


def create_store(
    paths: Sequence[str | Path | Input],
    config: DataConfig,
    tokenizer: Tokenizer,
    folder: Path,
    warn: Warn,
    work: WorkConfig = WorkConfig(),  # noqa: B008 - frozen
) -> Store:
    """Encode files into a store in `folder`, or continue one that was interrupted there."""
    found = find(paths, config.files)
    reading = formats.describe(list(found.owners), config)
    key = name_data(list(found.owners), config, tokenizer)
    return _encode(found, config, tokenizer, folder, key, reading, warn, work).store


def name_data(
    paths: Sequence[str | Path | Input],
    config: DataConfig,
    tokenizer: Tokenizer,
    memory: Path | None = None,
) -> str:
    """Return the fingerprint of the files, of the lists that options name, and of the tokenizer."""
    files = [file for item in find_inputs(paths, config.files) for file in item.files]
    files += [name for name in (config.urls, config.blocklist) if name is not None]
    local = iter(hash_files([name for name in files if not is_remote(name)], memory))
    names = [identify(name) if is_remote(name) else next(local) for name in files]
    return fingerprint([*names, *tokenizer.always], config, tokenizer.hash)


class Found(NamedTuple):
    """The inputs at some paths, each with the number of the first path it is at."""

    owners: Mapping[Input, int]
    n_paths: int
    notes: list[str]
    """Sentences about files that are not read."""

    @property
    def files(self) -> list[str]:
        """Every file that is read."""
        return [file for item in self.owners for file in item.files]


def find(paths: Sequence[str | Path | Input], patterns: Sequence[str]) -> Found:
    """Return the inputs at these paths."""
    owners: dict[Input, int] = {}
    notes: list[str] = []
    for number, path in enumerate(paths):
        for item in find_inputs([path], patterns, notes.append):
            owners.setdefault(item, number)
    return Found(owners, len(paths), notes)


def _join(sets: Sequence[Data]) -> Data:
    """Join several data sets in their order."""
    cleaning: dict[str, Counter[str]] = {}
    for one in sets:
        for kind, counts in one.cleaning.items():
            cleaning.setdefault(kind, Counter()).update(counts)
    return Data(
        Store.join([one.store for one in sets]),
        formats.FileReading(tuple(choice for one in sets for choice in one.reading.choices)),
        tuple(file for one in sets for file in one.files),
        hashlib.sha256(" ".join(one.fingerprint for one in sets).encode()).hexdigest(),
        cleaning,
        tuple(text for one in sets for text in one.warnings),
        tuple(one.store.n_documents for one in sets),
    )


def _encode(
    found: Found,
    config: DataConfig,
    tokenizer: Tokenizer,
    folder: Path,
    key: str,
    reading: formats.FileReading,
    warn: Warn,
    work: WorkConfig,
) -> Data:
    """Read, clean and encode inputs into a new store; its header records how that went."""
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
    sources = [0] * found.n_paths
    # These fill while the documents are read; the header is written after.
    meta = {
        "sources": sources,
        "files": found.files,
        "reading": reading.as_json(),
        "cleaning": {"changed": tally.changed, "dropped": tally.dropped},
        "warnings": told,
    }
    for note in found.notes:
        tell(note)
    documents = formats.read(list(found.owners), config, tell, tally, tokenizer.count, work)
    store = prepare(
        _count(documents, found.owners, sources),
        tokenizer,
        folder,
        meta=meta,
        fingerprint=key,
        markers=tokenizer.always,
        work=work,
    )
    return _read_header(store)


def _count(
    documents: Iterable[Document], owners: Mapping[Input, int], counts: list[int]
) -> Iterator[Document]:
    """Count the documents of each path as they go by."""
    owner: dict[str, int] = {}
    for item, number in owners.items():
        for name in (item.path, *item.files):
            owner.setdefault(name, number)
    for document in documents:
        counts[owner[document.source.path]] += not document.more
        yield document


def _read_header(store: Store) -> Data:
    """Return a store with what its header records of how it was made."""
    meta: dict[str, Any] = store.header["meta"]
    cleaning = {name: counts for name, counts in meta.get("cleaning", {}).items() if counts}
    return Data(
        store,
        formats.FileReading.from_json(meta.get("reading", ())),
        tuple(meta.get("files", ())),
        store.header["fingerprint"],
        cleaning,
        tuple(meta.get("warnings", ())),
        tuple(meta.get("sources", ())),
    )


def _warn_again(data: Data, warn: Warn) -> Data:
    for text in data.warnings:
        warn(text)
    return data


_ALWAYS = {
    "blocklist", "blocklist_masks", "category_column", "clean", "completion_column",
    "documents", "drop_category", "drop_duplicates", "drop_near", "encoding", "format",
    "header", "highlights", "language", "learn", "max_tokens", "max_words", "order_by",
    "per_category", "prompt_column", "separator", "skip_empty", "split_at", "template",
    "text_column", "urls", "where",
}  # fmt: skip
"""Data options that are part of every fingerprint, whatever their values. Options that are added
later join it only when they are set, so that older stores and runs keep their fingerprints."""
_SETTLED = 2.0
"""Seconds after which a file's time of change tells one content from another."""


def fingerprint(files: Sequence[str], data: DataConfig, tokenizer_hash: str) -> str:
    """Return the SHA-256 (hex) of the files, the options that read them, and the tokenizer.

    `files` holds each file's hash in reading order (see `hash_files`), or any other text that
    changes when the file does.
    """
    options = {
        field.name: getattr(data, field.name)
        for field in dataclasses.fields(data)
        if field.name in _ALWAYS or getattr(data, field.name) != field.default
    }
    content = [FORMAT, VERSION, list(files), options, tokenizer_hash]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def hash_file(path: str | Path) -> str:
    """Return the SHA-256 (hex) of a file; raises DataError when it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


def hash_files(paths: Sequence[str | Path], memory: Path | None = None) -> list[str]:
    """Return each file's suffix (which tells its format) and SHA-256, as `fingerprint` takes them.

    `memory` is a file in which hashes are kept, so that a large file is not read again unless its
    size or its time of change is another. A damaged one is made anew.
    """
    known = _read_memory(memory)
    found: list[str] = []
    changed = False
    for path in paths:
        key = str(Path(path).resolve())
        state = _file_state(path)
        entry = known.get(key)
        if not entry or entry[:2] != state:
            entry = [*state, hash_file(path)]
            if time.time() - state[1] / 1e9 > _SETTLED:
                known[key] = entry
                changed = True
        found.append(f"{Path(path).suffix.lower()} {entry[2]}")
    if memory and changed:
        write_json(memory, known)
    return found


def _file_state(path: str | Path) -> list[int]:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    return [status.st_size, status.st_mtime_ns]


def _read_memory(memory: Path | None) -> dict[str, list[object]]:
    if memory is None or not memory.is_file():
        return {}
    try:
        table = json.loads(memory.read_bytes())
    except ValueError:
        return {}
    entries = table.items() if isinstance(table, dict) else ()
    return {key: e for key, e in entries if isinstance(e, list) and len(e) == 3}
