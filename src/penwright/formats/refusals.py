"""Kinds of files that hold no text to read as it is, and how to get the text out of them."""

from __future__ import annotations

from typing import NamedTuple

from penwright.errors import DataError


class Refusal(NamedTuple):
    """A kind of file: its name, what to do, its suffixes, and the bytes that it begins with."""

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
    """Raise DataError for a file whose suffix says that it is no text."""
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
