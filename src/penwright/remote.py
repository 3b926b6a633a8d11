"""Read, list and write files at addresses such as s3://bucket/stories, through fsspec.

Every kind of place has a driver of its own, which fsspec names where it is missing (s3fs for s3://,
gcsfs for gs://). Any failure of a driver is a DataError that names the address.
"""

from __future__ import annotations

import glob
import posixpath
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from penwright.errors import DataError, MissingExtraError, PenwrightError

_TELLING = ("size", "ETag", "etag", "mtime", "created", "LastModified", "last_modified", "blob_id")
_WITHOUT_FOLDERS = ("http://", "https://")
_BLOCK = 1 << 20


def is_remote(path: object) -> bool:
    """Return whether a path is an address, such as https://, hf:// or s3://."""
    return "://" in str(path)


def has_folders(address: str) -> bool:
    """Return whether folders at such an address can be listed; a web server's cannot."""
    return not address.lower().startswith(_WITHOUT_FOLDERS)


def inside(address: str, name: str) -> str:
    """Return the address of a file or folder in the folder at an address."""
    return f"{address.rstrip('/')}/{name}"


def open_remote(address: str) -> BinaryIO:
    """Open the file at an address for reading; raises DataError when it cannot be opened."""
    with _reaching(address) as fsspec:
        return cast("BinaryIO", fsspec.open(address, "rb").open())


def identify(address: str) -> str:
    """Return an address with the size, tag and time of its content, as its server gives them.

    Raises DataError when it cannot be reached.
    """
    about = _info(address)
    known = sorted((key.lower(), str(value)) for key, value in about.items() if key in _TELLING)
    return f"{address} {known}"


def size(address: str) -> int:
    """Return the bytes of the file at an address; 0 where its server does not say."""
    return int(_info(address).get("size") or 0)


def exists(address: str) -> bool:
    """Return whether there is a file or a folder at an address; raises DataError."""
    with _system(address) as (system, path):
        return bool(system.exists(path))


def expand(address: str) -> list[str]:
    """Return the sorted addresses that match a glob; an address without one as it is."""
    if not has_folders(address) or not glob.has_magic(address):
        return [address]
    with _system(address) as (system, path):
        found = sorted(system.unstrip_protocol(match) for match in system.glob(path))
    if not found:
        raise DataError(f"Nothing matches '{address}'.", fix="Check the address and the pattern.")
    return found


def list_folder(address: str) -> list[str] | None:
    """Return the names of all files below a folder, relative to it; None if it is no folder."""
    if not has_folders(address):
        return None
    with _system(address) as (system, path):
        if not system.isdir(path):
            return None
        return [posixpath.relpath(found, path) for found in system.find(path)]


def read(address: str) -> bytes:
    """Return the content of a small file; raises DataError."""
    with _system(address) as (system, path):
        return cast("bytes", system.cat_file(path))


def write(address: str, content: bytes) -> None:
    """Write a small file; raises DataError."""
    with _system(address, "written") as (system, path):
        system.makedirs(posixpath.dirname(path), exist_ok=True)
        system.pipe_file(path, content)


def upload(source: Path, address: str) -> None:
    """Write the content of a file on this machine to an address; raises DataError."""
    with _system(address, "written") as (system, path):
        system.makedirs(posixpath.dirname(path), exist_ok=True)
        with source.open("rb") as content, system.open(path, "wb") as out:
            shutil.copyfileobj(content, out, _BLOCK)


def download(address: str, target: Path) -> None:
    """Write the content at an address to a file on this machine.

    Raises DataError when the address cannot be read, OSError when the file cannot be written.
    """
    with open_remote(address) as source, target.open("wb") as out:
        while True:
            with _reaching(address):
                block = source.read(_BLOCK)
            if not block:
                return
            out.write(block)


def delete(address: str) -> None:
    """Delete the file at an address if there is one; raises DataError."""
    with _system(address, "written") as (system, path):
        if system.exists(path):
            system.rm_file(path)


def _info(address: str) -> dict[str, Any]:
    with _system(address) as (system, path):
        return dict(system.info(path))


@contextmanager
def _system(address: str, done: str = "opened") -> Iterator[tuple[Any, str]]:
    """Yield the file system of an address and its path there; failures become DataErrors."""
    with _reaching(address, done) as fsspec:
        yield fsspec.core.url_to_fs(address)


@contextmanager
def _reaching(address: str, done: str = "opened") -> Iterator[Any]:
    """Yield fsspec, and raise what fails there as MissingExtraError or DataError."""
    try:
        import fsspec  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtraError(address, "remote") from None
    try:
        yield fsspec
    except PenwrightError:
        raise
    except ImportError as error:
        raise MissingExtraError(address, "remote", needs=_first_line(error)) from None
    except Exception as error:  # each kind of place has errors of its own
        raise DataError(
            f"{address} cannot be {done}: {_first_line(error)}.",
            fix="See whether the address is right and this machine reaches it.",
        ) from None


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
