"""Open files as bytes, local or remote, decompressed; refuse kinds that hold no text."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast

from penwright.errors import DataError, MissingExtraError
from penwright.remote import is_remote, open_remote

_OPENERS = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma", ".zst": "zstandard"}
_PACKED = 1 << 12
"""Compressed bytes per read, few because they can be the beginning of very many."""
_ARCHIVES = (".zip", ".tar", ".tgz", ".7z", ".rar")


def kind_suffix(path: str | Path) -> str:
    """Return the suffix of a file's kind, in lower case: `.csv` for `titles.CSV.gz`."""
    name = PurePosixPath(str(path).partition("?")[0] if is_remote(str(path)) else Path(path).name)
    return Path(name.stem if name.suffix.lower() in _OPENERS else name.name).suffix.lower()


@contextmanager
def open_bytes(path: str) -> Iterator[BinaryIO]:
    """Open a file's bytes, decompressed by its suffix (.gz .bz2 .xz .zst).

    Raises DataError when it cannot be opened.
    """
    if kind_suffix(path) in _ARCHIVES:
        raise DataError(f"{path} is an archive.", fix="Unpack it, and give the folder.")
    kind = _OPENERS.get(Path(path.partition("?")[0]).suffix.lower())
    with open_remote(path) if is_remote(path) else _open_local(path) as stream:
        if kind is None:
            yield stream
        else:
            try:
                with _unpack(path, kind, stream) as unpacked:
                    yield unpacked
            except (EOFError, zlib.error, lzma.LZMAError) as error:
                raise _damaged(path, error) from None


def _unpack(path: str, kind: str, stream: BinaryIO) -> BinaryIO:
    if kind == "zstandard":
        try:
            import zstandard
        except ImportError:
            raise MissingExtraError(f"Reading {path}", "zstd") from None
        return io.BufferedReader(_Frames(stream, zstandard.ZstdDecompressor().decompressobj))
    opener = gzip.open if kind == "gzip" else bz2.open if kind == "bz2" else lzma.open
    return cast("BinaryIO", opener(stream, "rb"))


def read_block(stream: BinaryIO, size: int, path: str) -> bytes:
    """Read the next bytes; raises DataError for a damaged file or a server that fails."""
    try:
        return stream.read(size)
    except Exception as error:
        # zstandard's error class can be imported only if the package is installed.
        damage = (OSError, EOFError, zlib.error, lzma.LZMAError)
        known = isinstance(error, damage) or type(error).__name__ == "ZstdError"
        if not known and not is_remote(path):
            raise
        raise _damaged(path, error) from None


class _Frames(io.RawIOBase):
    """The content of zstandard frames; raises EOFError if the last frame is cut off.

    zstandard's own stream reader ends without an error there.
    """

    def __init__(self, stream: BinaryIO, open_frame: Callable[[], Any]) -> None:
        self._stream, self._open_frame = stream, open_frame
        self._frame: Any = None
        self._packed = b""
        self._content = io.BytesIO()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not (size := self._content.readinto(buffer)):
            packed = self._packed or self._stream.read(_PACKED)
            if not packed and self._frame is None:
                return 0
            if not packed:
                raise EOFError
            self._frame = self._frame or self._open_frame()
            self._content = io.BytesIO(self._frame.decompress(packed))
            self._packed = self._frame.unused_data if self._frame.eof else b""
            self._frame = None if self._frame.eof else self._frame
        return size


def _damaged(path: str, error: Exception) -> DataError:
    if isinstance(error, EOFError):
        return DataError(
            f"{path} is cut off: its compressed data has no end.", fix="Download or copy it again."
        )
    return DataError(f"{path} is damaged or cannot be read: {error}.")


def _open_local(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except FileNotFoundError:
        raise DataError(f"There is no file '{path}'.") from None
    except PermissionError:
        raise DataError(f"{path} may not be read.", fix="Check its permissions.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not a file.") from None


def read_head(path: str, size: int = 1 << 16) -> bytes:
    """Read the first `size` bytes; raises DataError when the file is missing or empty."""
    with open_bytes(path) as stream:
        head = read_block(stream, size, path)
    if not head:
        raise DataError(f"{path} is empty.", fix="Give a file with text in it.")
    return head


class Refusal(NamedTuple):
    """A kind of file that is not read: its name, a remedy, its suffixes, and its first bytes."""

    name: str
    fix: str
    suffixes: tuple[str, ...] = ()
    magic: tuple[bytes, ...] = ()


_SPREADSHEET = "Save it as .xlsx, or as CSV UTF-8, in the program that made it."
_OCR = "If it shows text, turn that into text with OCR first."

REFUSALS = (
    Refusal(
        "a PDF",
        "Take its text out, such as with `pdftotext -layout FILE.pdf`, and read through it once: "
        "page numbers and hyphens come along.",
        (".pdf",),
        (b"%PDF",),
    ),
    Refusal(
        "a document of Word 97 or before",
        "Save it as .docx, in Word or LibreOffice (`soffice --convert-to docx FILE`).",
        (".doc", ".dot"),
        (b"\xd0\xcf\x11\xe0",),
    ),
    Refusal("a document of Pages", "Export it from Pages as Word or EPUB.", (".pages",)),
    Refusal("a spreadsheet of Numbers", "Export it from Numbers as CSV.", (".numbers",)),
    Refusal("an old or an OpenDocument spreadsheet", _SPREADSHEET, (".xls", ".xlsb", ".ods")),
    Refusal(
        "a presentation",
        "Save its outline as .rtf or .docx.",
        (".ppt", ".pptx", ".odp", ".key"),
    ),
    Refusal(
        "a link to a Google document",
        "Download the document itself, as .docx, .odt or .txt.",
        (".gdoc", ".gsheet"),
    ),
    Refusal(
        "a Kindle book",
        "Convert it to EPUB, such as with Calibre.",
        (".mobi", ".azw", ".azw3", ".kfx"),
    ),
    Refusal(
        "a notebook",
        "Write its text out with `jupyter nbconvert --to markdown FILE.ipynb`.",
        (".ipynb",),
    ),
    Refusal("a script of Final Draft", "Export it as plain text or Fountain.", (".fdx",)),
    Refusal(
        "an SQLite database",
        "Write a table out: sqlite3 -csv -header FILE 'select * from TABLE' > table.csv",
        (".db", ".sqlite", ".sqlite3"),
        (b"SQLite format 3\0",),
    ),
    Refusal(
        "a pickle",
        "A pickle can run any code, so it is not opened; write the data as CSV, JSON or Parquet.",
        (".pkl", ".pickle"),
    ),
    Refusal("an Arrow file", "Write it as Parquet.", (".arrow", ".feather"), (b"ARROW1",)),
    Refusal(
        "a picture",
        _OCR,
        (".png", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".heic"),
        (b"\x89PNG", b"\xff\xd8\xff", b"GIF8"),
    ),
    Refusal(
        "a recording",
        "Turn its speech into text first, such as into .srt or .txt.",
        (".mp3", ".mp4", ".m4a", ".wav", ".flac", ".mov", ".mkv", ".ogg"),
    ),
    Refusal(
        "a compressed file",
        "Give it the name of its kind, such as .gz or .xz, or unpack it.",
        (),
        (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"),
    ),
    Refusal(
        "a zip archive, or a document in one",
        "Give it the name of its kind (.docx, .odt, .xlsx, .epub), or unpack it.",
        (),
        (b"PK\x03\x04",),
    ),
    Refusal("a Parquet file", "Name it .parquet, or say --format parquet.", (), (b"PAR1",)),
    Refusal("rich text (RTF)", "Name it .rtf, or say --format rtf.", (), (b"{\\rtf",)),
)


def refuse_suffix(path: str, suffix: str) -> None:
    """Raise DataError for a file whose suffix is that of a kind that is not read."""
    for kind in REFUSALS:
        if suffix in kind.suffixes:
            raise DataError(f"{path} is {kind.name}, which is not read.", fix=kind.fix)


def refuse_content(path: str, head: bytes) -> None:
    """Raise DataError for a text file that begins as another kind of file does, or is binary."""
    for kind in REFUSALS:
        if head.startswith(kind.magic or (b"\0" * 9,)):
            raise DataError(f"{path} is {kind.name}, not text.", fix=kind.fix)
    if b"\0" not in head:
        return
    ascii_first = head[1::2].count(0)  # of UTF-16 text without a byte order mark
    ascii_last = head[::2].count(0)
    if max(ascii_first, ascii_last) > 0.3 * len(head) / 2 and min(ascii_first, ascii_last) == 0:
        name = "utf-16-le" if ascii_first else "utf-16-be"
        raise DataError(
            f"{path} is UTF-16 text without a byte order mark.", fix=f"Say --encoding {name}."
        )
    raise DataError(
        f"{path} is a binary file, not text: byte {head.index(0):,} is NUL.",
        fix="If it is text after all, say its encoding, such as --encoding utf-8 --clean control.",
    )
