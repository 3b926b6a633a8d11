"""Which files the user means, in an order that is the same everywhere, and how to open them."""

from __future__ import annotations

import bz2
import glob
import gzip
import lzma
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from penwright.errors import DataError, MissingExtraError, UsageError, suggest

PAIR_SUFFIXES = {".wp_source": ".wp_target", ".source": ".target", ".src": ".tgt"}
"""A file of prompts, a line each, and the file beside it with the texts that answer them."""

SUFFIXES = {
    ".txt": "text",
    ".text": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".docx": "docx",
    ".epub": "epub",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".story": "story",
    ".npz": "npz",
    **dict.fromkeys(PAIR_SUFFIXES, "pairs"),
    **dict.fromkeys(PAIR_SUFFIXES.values(), "pairs"),
}

_OPENERS = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma", ".zst": "zstandard"}
_TELLING = ("size", "ETag", "etag", "mtime", "created", "LastModified", "last_modified", "blob_id")
_ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar")


@dataclass(frozen=True)
class Input:
    """One thing to read: a file, a pair of files, or a collection of small ones."""

    path: str
    target: str | None = None
    members: tuple[str, ...] = ()
    """The files of a collection of small ones, such as .story files."""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read."""
        return self.members or ((self.path, self.target) if self.target else (self.path,))


def kind_suffix(path: str | Path) -> str:
    """The suffix that tells a file's kind, in lower case: `.csv` of `titles.CSV.gz`."""
    name = PurePosixPath(str(path).partition("?")[0] if is_remote(str(path)) else Path(path).name)
    return Path(name.stem if name.suffix.lower() in _OPENERS else name.name).suffix.lower()


def is_remote(path: str) -> bool:
    """Whether a path is an address, such as https:// or hf://."""
    return "://" in path


def find_inputs(paths: Sequence[str | Path]) -> list[Input]:
    """Files, folders (all the way down) and globs as inputs, each once; pair files together.

    Given order is kept; what a folder or a glob holds is sorted. Raises DataError when something
    is not there, UsageError when nothing was given.
    """
    if not paths:
        raise UsageError("No data was given.", fix="Name a file, a folder or a pattern to read.")
    inputs: list[Input] = []
    for path in paths:
        for is_story, names in groupby(_expand(str(path)), _is_story):
            if is_story:
                members = tuple(names)
                shown = members[0] if len(members) == 1 else str(path)
                inputs.append(Input(shown, members=members))
            else:
                inputs += map(_as_input, names)
    return list(dict.fromkeys(inputs))


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


def _is_story(name: str) -> bool:
    return kind_suffix(name) == ".story"


def _expand(name: str) -> Iterator[str]:
    path = Path(name)
    if is_remote(name):
        yield name
    elif path.is_dir():
        yield from _folder(path)
    elif path.exists():
        yield name
    elif glob.has_magic(name):
        # Path.glob takes no absolute patterns.
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207
        if not matches:
            raise DataError(f"Nothing matches '{name}'.")
        for match in matches:
            yield from _folder(Path(match)) if Path(match).is_dir() else (match,)
    elif any(Path(name + suffix).exists() for suffix in PAIR_SUFFIXES):
        yield next(name + suffix for suffix in PAIR_SUFFIXES if Path(name + suffix).exists())
    else:
        raise DataError(f"There is no file or folder '{name}'.", fix=_nearby(path))


def _folder(folder: Path) -> Iterator[str]:
    """The files below a folder: those of known kinds, or all of them when none is of a known kind.

    Hidden files and folders (their names begin with a dot) are no one's data.
    """
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    known = [path for path in files if kind_suffix(path) in SUFFIXES]
    if not files:
        raise DataError(f"The folder '{folder}' has no files in it.")
    yield from map(str, known or files)


def _as_input(name: str) -> Input:
    path = Path(name)
    if is_remote(name):
        return Input(name)
    for source, target in PAIR_SUFFIXES.items():
        if path.suffix in (source, target):
            prompts, texts = path.with_suffix(source), path.with_suffix(target)
            if prompts.exists() and texts.exists():
                return Input(str(prompts), str(texts))
            if path.suffix.startswith(".wp_"):
                missing = texts if prompts.exists() else prompts
                raise DataError(
                    f"{name} needs the other half of the pair, {missing.name}, beside it."
                )
    return Input(name)


def _nearby(path: Path) -> str:
    folder = path.parent
    return suggest(path.name, (p.name for p in folder.iterdir())) if folder.is_dir() else ""
