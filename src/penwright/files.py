"""Write files and folders atomically, and name the path in disk errors. No torch.

Everything is written under a temporary name, synced, then renamed: a reader, or a process that
starts after a crash, sees the old content or the new one and never half of it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from penwright.errors import OutOfRoomError, PenwrightError, RunError, UsageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNWRITABLE = {
    errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOENT,
}  # fmt: skip


def cache_folder() -> Path:
    """Return the folder of the cache: PENWRIGHT_CACHE, or ~/.cache/penwright."""
    return Path(os.environ.get("PENWRIGHT_CACHE") or Path.home() / ".cache" / "penwright")


@contextlib.contextmanager
def disk_errors(path: Path, fix: str = "") -> Iterator[None]:
    """Raise OutOfRoomError, naming `path`, for a full disk or a place that cannot be written in.

    Other errors, and errors about other files, pass through unchanged. `fix` replaces the advice.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL
        if not full and not (error.errno in _UNWRITABLE and _concerns(error, path)):
            raise
        reason = error.strerror or str(error)
        advice = "Free some room there" if full else "Give a folder that you may write in"
        raise OutOfRoomError(
            f"{path} could not be written: {reason[:1].lower()}{reason[1:]}.",
            fix=fix or f"{advice}, or choose another place with --output-dir.",
        ) from error


def _concerns(error: OSError, path: Path) -> bool:
    """Return whether an error is about `path`, its folder or its temporary file."""
    if error.filename is None:  # from write or sync
        return True
    place = Path(os.fsdecode(error.filename))
    temporary = place.name.startswith(f".{path.name}.")
    return place == path or place in path.parents or path in place.parents or temporary


@contextlib.contextmanager
def atomic_file(path: Path, *, fix: str = "") -> Iterator[Path]:
    """Yield a temporary path; the file there becomes `path` when the block ends without an error.

    An older file is replaced, a missing folder made. Raises OutOfRoomError as `disk_errors` does.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_errors(path, fix):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _sync_file(temporary)
            temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            with contextlib.suppress(OSError):  # the first error tells more
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` when the block ends without an error.

    An older folder is replaced. Raises OutOfRoomError as `disk_errors` does.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with disk_errors(path):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    _sync_file(file)
            _sync_folder(temporary)
            if path.exists():
                remove_folder(path)
            temporary.rename(path)
            _sync_folder(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Rename a folder, then delete it, so that a partly deleted one is never read."""
    doomed = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(doomed, ignore_errors=True)  # left by a process that was killed here
    folder.rename(doomed)
    shutil.rmtree(doomed)


def refuse_existing(path: Path, fix: str = "Choose another --output.") -> None:
    """Raise UsageError when there is a file at `path`, or a folder that is not empty."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UsageError(f"{path} exists already.", fix=fix)


def write_text(path: Path, text: str) -> None:
    """Replace a UTF-8 file atomically, with line feeds; raises OutOfRoomError."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file atomically; raises OutOfRoomError."""
    write_text(path, json.dumps(jsonable(value), indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path, error: type[PenwrightError] = RunError) -> dict[str, Any]:
    """Return the JSON object in a file; raises `error` when it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise error(f"There is no file '{path}'.") from None
    except OSError as reason:
        raise error(f"{path} cannot be read: {reason.strerror}.") from None
    except (ValueError, RecursionError) as reason:
        raise error(f"{path} is damaged: {reason}.") from None
    if not isinstance(value, dict):
        raise error(f"{path} is damaged: it holds no JSON object.")
    return value


def jsonable(value: Any) -> Any:
    """Return `value` with NaN and infinities as None, since JSON cannot express them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp(path: Path) -> str:
    """Return a digest of the names, sizes and times of a folder's files, or of a file's."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stamps = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.is_file()]
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()


def lock_file(handle: IO[Any]) -> None:
    """Take an exclusive lock on an open file, or raise OSError at once.

    The system releases it when the file is closed or the process ends.
    """
    if os.name == "posix":
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        handle.seek(0)
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
