"""Token stores at addresses such as s3://bucket/store: written, and downloaded to be used.

There, a store is the files that it is on a disk, or parts:

    ADDRESS/
      header.json        that of the whole store, with the names of `parts` instead of shards
      part-00000/        a store of the first documents, made by one worker
      part-00001/        ...

A header is the last file to be written. Parts become one ordinary store when they are downloaded,
the same, byte for byte, as one that a single machine makes of the same files.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from penwright.errors import DataError
from penwright.files import cache_folder, disk_errors
from penwright.formats.catalog import SUFFIXES
from penwright.formats.streams import kind_suffix
from penwright.remote import delete, download, exists, has_folders, inside, read, upload, write
from penwright.tokens import Store
from penwright.tokens.blocks import Block
from penwright.tokens.encode import SHARD_TOKENS
from penwright.tokens.shard_writer import StoreWriter
from penwright.tokens.store import FORMAT, HEADER, REDO, VERSION, Int64
from penwright.wording import count, log

IN_PARTS = "penwright token store in parts"
"""The `format` of the header of such a store."""
_COUNTS = ("documents", "tokens", "learned", "bytes")
_ROOM = "Free some room, or name another place in PENWRIGHT_CACHE."


def is_remote_store(address: str) -> bool:
    """Return whether there is a token store at an address; raises DataError."""
    may_be = has_folders(address) and kind_suffix(address) not in SUFFIXES
    return may_be and exists(inside(address, HEADER))


def read_header(address: str) -> dict[str, Any] | None:
    """Return the header of the store at an address; None if there is none. Raises DataError."""
    name = inside(address, HEADER)
    return _parse(read(name), address) if exists(name) else None


def find_same(address: str, fingerprint: str) -> dict[str, Any] | None:
    """Return the header of the store at an address; raises DataError if it is of other data."""
    there = read_header(address)
    if there and there["fingerprint"] != fingerprint:
        raise DataError(
            f"There is another store at '{address}'.", fix="Choose another --output, or delete it."
        )
    return there


def publish(store: Store, address: str) -> None:
    """Write a store to an address; raises DataError."""
    delete(inside(address, HEADER))
    for name in _files(store.header):
        upload(store.folder / name, inside(address, name))
    upload(store.folder / HEADER, inside(address, HEADER))


def publish_parts(
    parts: list[dict[str, Any]], header: dict[str, Any], address: str
) -> dict[str, Any]:
    """Write the header of a store whose parts, with these headers, are at an address; return it."""
    whole = {
        **header,
        "format": IN_PARTS,
        "version": VERSION,
        **{name: sum(part[name] for part in parts) for name in _COUNTS},
        "parts": [part_name(number) for number in range(len(parts))],
        "fingerprints": [part["fingerprint"] for part in parts],
    }
    write(inside(address, HEADER), json.dumps(whole, indent=1, sort_keys=True).encode())
    return whole


def part_name(number: int) -> str:
    """Return the name of a part's folder."""
    return f"part-{number:05d}"


def fetch(address: str) -> Path:
    """Download a store into the cache, unless it is there, as one ordinary store.

    Returns its folder. Raises DataError for a store that is damaged or cannot be reached,
    OutOfRoomError where there is no room.
    """
    content = read(inside(address, HEADER))
    header = _parse(content, address)
    folder = cache_folder() / "stores" / f"remote-{hashlib.sha256(content).hexdigest()}"
    if folder.exists():
        return folder
    log(f"{address}: {count(header['tokens'], 'token')} are downloaded to the cache, {folder}.")
    with disk_errors(folder, _ROOM):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as made:
            unfinished = Path(made) / folder.name
            if header["format"] == IN_PARTS:
                _join(address, header, unfinished)
            else:
                _download(address, unfinished)
            if not folder.exists():  # another process was faster
                unfinished.rename(folder)
    return folder


def _parse(content: bytes, address: str) -> dict[str, Any]:
    try:
        header = json.loads(content)
        kind, version = header["format"], header["version"]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{address}/{HEADER} is damaged.", fix=REDO) from None
    if kind not in (FORMAT, IN_PARTS) or version != VERSION:
        raise DataError(
            f"{address} is no token store of version {VERSION}, which this Penwright reads.",
            fix=REDO,
        )
    return dict(header)


def _files(header: dict[str, Any]) -> list[str]:
    """Return the names of a store's files besides its header."""
    return [entry["file"] for entry in (*header["shards"], header["sizes"])]


def _download(address: str, folder: Path) -> Store:
    """Download an ordinary store into a new folder, and compare every file with its checksum."""
    folder.mkdir()
    content = read(inside(address, HEADER))
    for name in _files(_parse(content, address)):
        if Path(name).name != name:
            raise DataError(f"{address}/{HEADER} is damaged: it names the file '{name}'.")
        download(inside(address, name), folder / name)
    (folder / HEADER).write_bytes(content)
    try:
        store = Store.open(folder)
        store.verify()
    except DataError as error:
        raise DataError(error.message.replace(str(folder), address), fix=error.fix) from None
    return store


def _join(address: str, header: dict[str, Any], folder: Path) -> None:
    """Download the parts of a store, one after another, and write them as one store."""
    writer: StoreWriter | None = None
    for name, made in zip(header["parts"], header["fingerprints"], strict=True):
        with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as place:
            part = _download(inside(address, name), Path(place) / "part")
            if part.header["fingerprint"] != made:
                raise DataError(f"{address}/{name} is of another store.", fix=REDO)
            if writer is None:
                plan = {"shard_tokens": SHARD_TOKENS}
                writer = StoreWriter(folder, plan, part.token_sizes, resume=False)
            for block, groups_D in _cut(part):
                writer.add(block, groups_D, 0, whole=True)
    if writer is None:
        raise DataError(f"{address}/{HEADER} is damaged: it names no parts.", fix=REDO)
    own = {key: header[key] for key in header if key not in ("parts", "fingerprints", *_COUNTS)}
    writer.finish({**own, "format": FORMAT})


def _cut(store: Store) -> Iterator[tuple[Block, Int64]]:
    """Yield the documents of a store as blocks of about a shard, each with their groups."""
    offsets, first = store.offsets, 0
    while first < store.n_documents:
        full = np.searchsorted(offsets, offsets[first] + SHARD_TOKENS, side="right") - 1
        last = max(first + 1, int(full))
        start, end = int(offsets[first]), int(offsets[last])
        yield (
            Block(
                store.tokens(start, end),
                store.learn(start, end),
                offsets[first + 1 : last + 1] - start,
                # Nothing of another document follows the last one.
                np.append(store.learned[first:last], 0),
                np.append(store.bytes[first:last], 0),
                np.append(store.digests[first:last], 0).view(np.uint64),
            ),
            store.groups[first:last],
        )
        first = last
