"""Files that the page sends in pieces, kept beside the runs that learn from them.

    runs/.uploads/ID/NAME       a whole file; ID is drawn from its name and its SHA-256
    runs/.uploads/.new-ID/NAME  one that is still being sent

A client knows files by their ids. Its name for a file is reduced to one that is safe everywhere;
the ending stays, since formats are told by it.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import threading
import time
from pathlib import Path

from penwright.errors import DataError, OutOfRoomError
from penwright.files import disk_errors, remove_folder, sha256
from penwright.wording import data_size

LARGEST_FILE = 2**30
PIECE_BYTES = 4 * 2**20
"""Most bytes of one piece."""
_MOST_UNFINISHED = 8
_SECONDS_KEPT = 24 * 3600
"""After so long a broken off upload is deleted, and at a start a file that no run names."""
_ROOM_LEFT = 2**30
"""Bytes of the disk that uploads leave free."""
_ID = re.compile(r"[0-9a-f]{16}")


class UnknownFileError(DataError):
    """There is no file of this id."""

    def __init__(self) -> None:
        super().__init__("The server does not have this file.", fix="Send it again.")


class Uploads:
    """The files under one folder. Methods may be called from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def begin(self, name: str, size: int) -> str:
        """Return the id of a new upload of `size` bytes. Raises DataError and OutOfRoomError."""
        if size == 0:
            raise DataError(f"{clean_name(name)} is empty.", fix="Choose a file with text in it.")
        if size > LARGEST_FILE:
            raise DataError(
                f"The file is larger than {data_size(LARGEST_FILE)}.",
                fix="Train on a large file with `penwright finetune FILE`.",
            )
        with self._lock, disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._drop_unfinished()
            if shutil.disk_usage(self._folder).free < size + _ROOM_LEFT:
                raise OutOfRoomError("The disk has no room for this file.", fix="Free some first.")
            if len(list(self._folder.glob(".new-*"))) >= _MOST_UNFINISHED:
                raise DataError("Too many files are being sent.", fix="Finish those first.")
            id_ = secrets.token_hex(8)
            new = self._folder / f".new-{id_}"
            new.mkdir()
            (new / clean_name(name)).touch()
        return id_

    def append(self, id_: str, offset: int, data: bytes, size: int) -> str | None:
        """Append a piece at `offset`; returns the file's id once it has `size` bytes, else None.

        Raises UnknownFileError, and DataError for a piece that does not begin where the last ended.
        """
        new = self._folder / f".new-{id_}"
        with self._lock, disk_errors(self._folder):
            path = _only_file(new) if _ID.fullmatch(id_) else None
            if path is None:
                raise UnknownFileError
            if path.stat().st_size != offset or offset + len(data) > min(size, LARGEST_FILE):
                remove_folder(new)
                raise DataError("A piece of the file was lost.", fix="Send it again.")
            with path.open("ab") as file:
                file.write(data)
            return self._keep(path) if offset + len(data) == size else None

    def find(self, id_: str) -> Path:
        """Return the path of a file. Raises UnknownFileError."""
        path = _only_file(self._folder / id_) if _ID.fullmatch(id_) else None
        if path is None:
            raise UnknownFileError
        return path

    def drop_old(self, runs: str) -> list[str]:
        """Delete the files that are older than a day, but for those whose id is in the text `runs`.

        Returns their names.
        """
        with self._lock, disk_errors(self._folder):
            self._drop_unfinished()
            old = [
                path
                for path in self._folder.glob("*/*")
                if _is_old(path.parent) and path.parent.name not in runs
            ]
            for path in old:
                remove_folder(path.parent)
        return [path.name for path in old]

    def _keep(self, path: Path) -> str:
        id_ = hashlib.sha256(f"{path.name}\0{sha256(path)}".encode()).hexdigest()[:16]
        if (self._folder / id_).exists():
            remove_folder(path.parent)
            os.utime(self._folder / id_)
        else:
            path.parent.rename(self._folder / id_)
        return id_

    def _drop_unfinished(self) -> None:
        for new in self._folder.glob(".new-*"):
            if _is_old(new):
                remove_folder(new)


def clean_name(name: str) -> str:
    """Return a file name of letters, digits, dots, hyphens and spaces, at most 100 characters."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    safe = re.sub(r"[^\w. -]+|\.{2,}", "-", last).strip(" .-_")
    stem, dot, suffix = safe.rpartition(".")
    if not stem:
        return safe[:100] or "text"
    return f"{stem[: 99 - len(suffix[:20])]}{dot}{suffix[:20]}"


def _is_old(folder: Path) -> bool:
    return time.time() - folder.stat().st_mtime > _SECONDS_KEPT


def _only_file(folder: Path) -> Path | None:
    return next(iter(folder.iterdir()), None) if folder.is_dir() else None
