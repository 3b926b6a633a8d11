"""Excel workbooks: the rows of the first sheet that has any (needs openpyxl)."""

from __future__ import annotations

import datetime
import itertools
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from penwright.config import DataConfig
from penwright.errors import DataError, MissingExtraError
from penwright.formats.delimited import Dialect, Row
from penwright.formats.reader import Input, Reader
from penwright.formats.records import SAMPLE, Look, Record, open_records, used_columns
from penwright.formats.streams import open_bytes
from penwright.formats.tables import fit_rows, read_head
from penwright.wording import Warn

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook


def open_xlsx(item: Input, data: DataConfig) -> Reader:
    """Choose the sheet, the header and the columns of a workbook.

    Raises DataError for a workbook without rows, MissingExtraError without openpyxl.
    """
    path = item.path
    with _open_workbook(path) as book:
        sheets = {sheet.title: list(itertools.islice(_rows(sheet), SAMPLE)) for sheet in book}
    filled = [title for title, rows in sheets.items() if rows]
    if not filled:
        raise DataError(f"{path} is empty.", fix="Give a file with text in it.")
    title, *others = filled
    head = read_head(path, Dialect(","), sheets[title], 0, data)
    says = f"the rows of sheet '{title}'"
    if others:
        says += f", not those of {', '.join(others)} (save a sheet as CSV to read it)"
    says = "; ".join(filter(None, (says, head.says)))

    reader: Reader | None = None

    def records(warn: Warn) -> Iterator[Record]:
        with _open_workbook(path) as book:
            rows = _rows(book[title], len(head.names))
            yield from fit_rows(path, rows, head, used_columns(reader), data.skip_bad_rows, warn)

    look = Look("xlsx", head.names, head.sample, None, head.header, says=says)
    reader = open_records(path, look, data, records)
    return reader


def _rows(sheet: Any, columns: int = 0) -> Iterator[Row]:
    """The rows with anything in them, without empty cells at their ends beyond `columns`."""
    for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
        cells: list[str | None] = [_as_text(value) for value in values]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield Row(number, cells + [None] * (columns - len(cells)))


def _as_text(value: object) -> str | None:
    """A cell as a spreadsheet shows it: whole numbers without a point, dates as ISO 8601."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, bool):
        return str(value).upper()
    return None if value is None else str(value).replace("\r\n", "\n")


@contextmanager
def _open_workbook(path: str) -> Iterator[Workbook]:
    try:
        from openpyxl import load_workbook
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise MissingExtraError(f"Reading {path}", "office") from None
    with open_bytes(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it tells of styles and extensions that it leaves out
        try:
            book = load_workbook(stream, read_only=True, data_only=True)
        except (InvalidFileException, zipfile.BadZipFile, KeyError, OSError, ValueError):
            raise DataError(f"{path} is not an Excel workbook, or a damaged one.") from None
        try:
            yield book
        finally:
            book.close()
