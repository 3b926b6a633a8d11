"""Files at addresses -> a token store at an address, in parts that workers make where they are.

A worker reads its files by address, encodes them into a store in a temporary folder of its own, and
writes that to its part's address. The machines share no folder, and no text or token passes through
the one that gives the work out. A part that is there already is not made again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

from penwright.config import DataConfig, WorkConfig
from penwright.dataset.remote_store import (
    find_same,
    part_name,
    publish,
    publish_parts,
    read_header,
)
from penwright.dataset.store_cache import Found, create_store, find, name_data
from penwright.formats.cleaning import REPORT, Tally
from penwright.formats.reader import Input
from penwright.remote import inside, is_remote, size
from penwright.tokens import Tokenizer
from penwright.tokens.encode import SHARD_TOKENS, describe_work, rebuild_tokenizer
from penwright.wording import Warn
from penwright.workers import Work, spread

TARGET = "penwright.dataset.distributed:make_work"
"""The work of a worker: files in, the header of their part out."""
PART_BYTES = 1 << 28
"""Bytes of files in a part; a larger file is a part of its own."""
_FOR_ALL = ("drop_duplicates", "drop_near", "per_category")
"""Options that compare each document with all others."""
_LISTS = ("blocklist", "urls")
"""Options that name a file."""
_ALONE = WorkConfig(workers=0)


def find_obstacle(paths: Sequence[str | Path], data: DataConfig) -> str | None:
    """Return why workers cannot read these files each on its own; None if they can."""
    for path in paths:
        if not is_remote(path):
            return f"'{path}' is not an address"
    for name in _FOR_ALL:
        if getattr(data, name):
            return f"--{name.replace('_', '-')} compares all documents with each other"
    for name in _LISTS:
        if getattr(data, name) and not is_remote(getattr(data, name)):
            return f"--{name} names a file on it"
    return None


def prepare_parts(
    paths: Sequence[str | Path],
    data: DataConfig,
    tokenizer: Tokenizer,
    address: str,
    warn: Warn,
    work: WorkConfig,
) -> dict[str, Any]:
    """Encode files at addresses into a store in parts at `address`; returns its header.

    A store of the same files and options that is there already is left as it is. Raises DataError
    for files that cannot be read, and for another store at `address`.
    """
    found = find(paths, data.files)
    key = name_data(list(found.owners), data, tokenizer)
    if there := find_same(address, key):
        return there
    groups = list(_group(list(found.owners)))
    told: list[str] = []

    def tell(text: str) -> None:
        if text not in told:
            told.append(text)
            warn(text)

    for note in found.notes:
        tell(note)
    jobs = [
        (inside(address, part_name(number)), [astuple(item) for item in group])
        for number, group in enumerate(groups)
    ]
    setup = (describe_work(tokenizer, tokenizer.always), asdict(data))
    parts: list[dict[str, Any]] = []
    for part in spread(TARGET, setup, jobs, work):
        parts.append(part)
        for text in part["meta"]["warnings"]:
            if not text.startswith(REPORT):  # that of all parts follows
                tell(text)
    tally = Tally()
    for part in parts:
        tally.changed.update(part["meta"]["cleaning"]["changed"])
        tally.dropped.update(part["meta"]["cleaning"]["dropped"])
    if str(tally):
        tell(f"{REPORT}{tally}.")
    header = {
        "tokenizer": parts[0]["tokenizer"],
        "fingerprint": key,
        "markers": parts[0]["markers"],
        "shard_tokens": SHARD_TOKENS,
        "meta": {
            "sources": _count_sources(found, groups, [part["meta"] for part in parts]),
            "files": found.files,
            "reading": [choice for part in parts for choice in part["meta"]["reading"]],
            "cleaning": tally.as_json(),
            "warnings": told,
        },
    }
    return publish_parts(parts, header, address)


def _group(inputs: Sequence[Input]) -> Iterator[list[Input]]:
    """Divide inputs into those of each part."""
    group: list[Input] = []
    total = 0
    for item in inputs:
        grown = sum(map(size, item.files))
        if group and total + grown > PART_BYTES:
            yield group
            group, total = [], 0
        group.append(item)
        total += grown
    yield group


def _count_sources(
    found: Found, groups: Sequence[Sequence[Input]], metas: Sequence[dict[str, Any]]
) -> list[int]:
    """Return the documents of each of the paths that were given."""
    counts = [0] * found.n_paths
    for group, meta in zip(groups, metas, strict=True):
        for item, documents in zip(group, meta["sources"], strict=True):
            counts[found.owners[item]] += documents
    return counts


def make_work(setup: tuple[Any, ...]) -> Work:
    """Return the work of another process: (address of a part, its inputs) to the part's header."""
    described, options = setup
    tokenizer, data = rebuild_tokenizer(described), DataConfig(**options)

    def work(job: tuple[str, list[tuple[Any, ...]]]) -> dict[str, Any]:
        address, inputs = job[0], [Input(*item) for item in job[1]]
        there = read_header(address)
        if there is None or there["fingerprint"] != name_data(inputs, data, tokenizer):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
                folder = Path(place) / "part"
                store = create_store(inputs, data, tokenizer, folder, lambda _: None, _ALONE)
                publish(store, address)
                there = store.header
        return there

    return work
