"""Names for preparations: fingerprints of files, of how they are read, and of the tokenizer."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path

from penwright.config import DataConfig
from penwright.errors import DataError
from penwright.files import write_json
from penwright.tokens.store import FORMAT, VERSION

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
    """Names a preparation (SHA-256, hex): the same files, read the same way, encoded the same.

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
    """The SHA-256 (hex) of a file; raises DataError when it cannot be read."""
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
    known = _read(memory)
    found: list[str] = []
    changed = False
    for path in paths:
        key = str(Path(path).resolve())
        state = _state(path)
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


def _state(path: str | Path) -> list[int]:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    return [status.st_size, status.st_mtime_ns]


def _read(memory: Path | None) -> dict[str, list[object]]:
    if memory is None or not memory.is_file():
        return {}
    try:
        table = json.loads(memory.read_bytes())
    except ValueError:
        return {}
    entries = table.items() if isinstance(table, dict) else ()
    return {key: e for key, e in entries if isinstance(e, list) and len(e) == 3}
