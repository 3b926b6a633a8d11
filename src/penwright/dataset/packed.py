"""A token store as one compressed file, to keep or to send; to be used it is unpacked again."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path

from penwright.errors import DataError
from penwright.files import atomic_file, disk_errors
from penwright.tokens import Store
from penwright.tokens.store import HEADER

SUFFIX = ".zip"
_BLOCK = 1 << 20
_KINDS = (".json", ".safetensors")


def is_packed(path: Path) -> bool:
    """Return whether `pack` made the file at `path`."""
    if path.suffix.lower() != SUFFIX or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return HEADER in archive.namelist()


def pack(store: Store, target: Path) -> None:
    """Write a store into the new file `target`; the same store gives the same bytes.

    Raises OutOfRoomError where it cannot be written.
    """
    with (
        atomic_file(target, fix="Free some room, or choose another --output.") as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for path in sorted(store.folder.iterdir()):
            # No times and rights of files: they are not the store's.
            entry = zipfile.ZipInfo(path.name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as out:
                shutil.copyfileobj(source, out, _BLOCK)


def unpack(path: Path, folder: Path) -> Path:
    """Unpack `path` into `folder` unless that was done before; return the folder.

    Raises DataError for a damaged file, OutOfRoomError where there is no room.
    """
    if folder.exists():
        return folder
    try:
        with (
            disk_errors(folder, "Free some room, or name another place in PENWRIGHT_CACHE."),
            zipfile.ZipFile(path) as archive,
        ):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as made:
                unfinished = Path(made) / folder.name
                unfinished.mkdir()
                _extract(archive, path, unfinished)
                if not folder.exists():  # another process was faster
                    unfinished.rename(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"{path} is damaged: {error}.", fix="Get it again from where it was made."
        ) from None
    return folder


def _extract(archive: zipfile.ZipFile, path: Path, folder: Path) -> None:
    for entry in archive.infolist():
        name = Path(entry.filename)
        if name.name != entry.filename or name.suffix not in _KINDS:
            raise DataError(f"{path} is no packed store: it holds '{entry.filename}'.")
        with archive.open(entry) as source, (folder / name).open("wb") as out:
            shutil.copyfileobj(source, out, _BLOCK)
