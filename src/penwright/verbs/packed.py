"""A token store as one compressed file, to keep or to send; to be used it is unpacked again."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

from penwright.errors import DataError, OutOfRoomError, UsageError
from penwright.tokens import Store
from penwright.tokens.store import HEADER

SUFFIX = ".zip"
_BLOCK = 1 << 20
_KINDS = (".json", ".safetensors")


def is_packed(path: Path) -> bool:
    """Whether `pack` made the file at `path`."""
    if path.suffix.lower() != SUFFIX or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return HEADER in archive.namelist()


def check_target(target: Path) -> None:
    """Raises UsageError where something is at `target` already."""
    if target.exists():
        raise UsageError(f"{target} is there already.", fix="Choose another --output.")


def pack(store: Store, target: Path) -> None:
    """Write a store into the new file `target`; the same store gives the same bytes.

    Raises OutOfRoomError where it cannot be written.
    """
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(store.folder.iterdir()):
                # No times and rights of files: they are not the store's.
                entry = zipfile.ZipInfo(path.name)
                entry.compress_type = zipfile.ZIP_DEFLATED
                with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as out:
                    shutil.copyfileobj(source, out, _BLOCK)
        unfinished.replace(target)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise OutOfRoomError(
            f"{target} could not be written: {error.strerror or error}.",
            fix="Free some room, or choose another --output.",
        ) from None


def unpack(path: Path, folder: Path) -> Path:
    """The folder with what `path` holds, unpacked there unless it was before.

    Raises DataError for a damaged file, OutOfRoomError where there is no room.
    """
    if folder.exists():
        return folder
    unfinished: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = Path(entry.filename)
                if name.name != entry.filename or name.suffix not in _KINDS:
                    raise DataError(f"{path} is no packed store: it holds '{entry.filename}'.")
                with archive.open(entry) as source, (unfinished / name).open("wb") as out:
                    shutil.copyfileobj(source, out, _BLOCK)
        os.replace(unfinished, folder)  # noqa: PTH105 - of a folder
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"{path} is damaged: {error}.", fix="Get it again from where it was made."
        ) from None
    except OSError as error:
        raise OutOfRoomError(
            f"{path} could not be unpacked into {folder}: {error.strerror or error}.",
            fix="Free some room, or name another place in PENWRIGHT_CACHE.",
        ) from None
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder
