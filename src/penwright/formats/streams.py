"""The bytes of a file, from a disk or an address, unpacked where it is compressed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from penwright.errors import DataError, MissingExtraError

_OPENERS = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma", ".zst": "zstandard"}
_TELLING = ("size", "ETag", "etag", "mtime", "created", "LastModified", "last_modified", "blob_id")
_ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar")


def kind_suffix(path: str | Path) -> str:
    """The suffix that tells a file's kind, in lower case: `.csv` of `titles.CSV.gz`."""
    name = PurePosixPath(str(path).partition("?")[0] if is_remote(str(path)) else Path(path).name)
    return Path(name.stem if name.suffix.lower() in _OPENERS else name.name).suffix.lower()


def is_remote(path: str) -> bool:
    """Whether a path is an address, such as https:// or hf://."""
    return "://" in path


@contextmanager
def open_bytes(path: str) -> Iterator[BinaryIO]:
    """The file's bytes, unpacked where its name says it is compressed (.gz .bz2 .xz .zst).

    Raises DataError in one sentence when it cannot be opened.
    """
    if kind_suffix(path) in _ARCHIVES:
        raise DataError(f"{path} is an archive.", fix="Unpack it, and give the folder.")
    kind = _OPENERS.get(Path(path.partition("?")[0]).suffix.lower())
    with _open_remote(path) if is_remote(path) else _open_local(path) as stream:
        if kind is None:
            yield stream
        else:
            with _unpack(path, kind, stream) as unpacked:
                yield unpacked


def _unpack(path: str, kind: str, stream: BinaryIO) -> BinaryIO:
    if kind == "zstandard":
        try:
            import zstandard
        except ImportError:
            raise MissingExtraError(f"Reading {path}", "zstd") from None
        return zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True)
    opener = gzip.open if kind == "gzip" else bz2.open if kind == "bz2" else lzma.open
    return cast("BinaryIO", opener(stream, "rb"))


def read_block(stream: BinaryIO, size: int, path: str) -> bytes:
    """The next bytes; raises DataError when a file is damaged, or its place no longer answers."""
    try:
        return stream.read(size)
    except Exception as error:
        # zstandard's own error is known only where the package is there.
        damage = (OSError, EOFError, zlib.error, lzma.LZMAError)
        known = isinstance(error, damage) or type(error).__name__ == "ZstdError"
        if not known and not is_remote(path):
            raise
        raise DataError(f"{path} is damaged or cannot be read: {error}.") from None


def _open_local(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise DataError(f"There is no file '{path}'.") from None
    except PermissionError:
        raise DataError(f"{path} may not be read.", fix="Check its permissions.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not a file.") from None


def _open_remote(path: str) -> BinaryIO:
    try:
        import fsspec  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtraError(f"Reading {path}", "remote") from None
    try:
        return cast("BinaryIO", fsspec.open(path, "rb").open())
    except ImportError:
        raise MissingExtraError(f"Reading {path}", "remote") from None
    except Exception as error:  # each kind of place has errors of its own
        raise _unreachable(path, error) from None


def identify(address: str) -> str:
    """An address and what its server says that changes with its content: size, tag and time.

    Raises DataError when it cannot be reached.
    """
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError(f"Reading {address}", "remote") from None
    try:
        system, path = fsspec.core.url_to_fs(address)
        about = system.info(path)
    except ImportError:
        raise MissingExtraError(f"Reading {address}", "remote") from None
    except Exception as error:
        raise _unreachable(address, error) from None
    known = sorted((key.lower(), str(value)) for key, value in about.items() if key in _TELLING)
    return f"{address} {known}"


def _unreachable(address: str, error: Exception) -> DataError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return DataError(
        f"{address} cannot be opened: {reason}.",
        fix="See whether the address is right and this machine reaches it.",
    )


def read_head(path: str, size: int = 1 << 16) -> bytes:
    """The first `size` bytes; raises DataError when the file is missing or empty."""
    with open_bytes(path) as stream:
        head = read_block(stream, size, path)
    if not head:
        raise DataError(f"{path} is empty.", fix="Give a file with text in it.")
    return head
