"""Read tables: the dialect and the column names of a CSV file or workbook, then its rows."""

from __future__ import annotations

import datetime
import itertools
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from penwright.config import DataConfig
from penwright.errors import DataError, MissingExtraError, UsageError
from penwright.formats.decode import find_encoding, read_lines
from penwright.formats.delimited import Dialect, Places, Row, RowReader
from penwright.formats.reader import Input, Reader
from penwright.formats.records import SAMPLE, Record, RecordsHead, open_records, quiet, used_columns
from penwright.formats.rows import (
    COMPLETION_NAMES,
    PROMPT_NAMES,
    TEXT_NAMES,
    TITLE_NAMES,
    is_figure,
    unescape,
)
from penwright.formats.streams import kind_suffix, open_bytes
from penwright.wording import Warn, count

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
"""Delimiters that are tried, in the order of preference, and their names."""

ALIKE = 0.8
"""The least share of rows with as many cells as the first for a delimiter to be likely."""

_KNOWN = frozenset((*TEXT_NAMES, *TITLE_NAMES, *PROMPT_NAMES, *COMPLETION_NAMES))
_NAME = re.compile(r"[^\W\d][\w .()/#&?:'-]{0,79}")
_SEP = re.compile(r'"?sep=(.|\\t)"?', re.IGNORECASE)


@dataclass(frozen=True)
class CsvHead:
    """The beginning of a CSV file: its dialect, column names (or numbers) and first rows."""

    dialect: Dialect
    names: tuple[str, ...]
    header: bool
    rows: tuple[Row, ...]
    """The first rows, including the header."""
    before: int = 0
    """Lines before the first row: 1 if Excel's `sep=;` is the first line."""

    @property
    def sample(self) -> list[dict[str, str]]:
        """The first rows by column."""
        return [
            {name: cell or "" for name, cell in zip(self.names, row.cells, strict=False)}
            for row in self.rows[self.header :]
        ]

    @property
    def says(self) -> str:
        """A clause about the dialect, empty where cells end at commas and quotes are doubled."""
        delimiter, quotes = self.dialect.delimiter, self.dialect.quotes
        clauses = []
        if delimiter is None:
            marked = any(mark in (row.cells[0] or "") for row in self.rows for mark in ",;\t")
            clauses += ["each line is one cell (--delimiter)"] if marked else []
        elif delimiter != ",":
            clauses.append(f"cells end at a {DELIMITERS.get(delimiter, delimiter)} (--delimiter)")
        if quotes != "double":
            how = "part of the text" if quotes == "none" else "written after a backslash"
            clauses.append(f"quotes in a cell are {how} (--quotes)")
        written = {(cell or "").strip() for cell in self.rows[0].cells}
        unnamed = [name for name in self.names if name not in written] if self.header else []
        if unnamed:
            clauses.append(f"columns without a name are called {', '.join(unnamed)}")
        return "; ".join(clauses)


def look_at_csv(path: str, data: DataConfig) -> CsvHead:
    """Return a CSV file's dialect, header and columns, chosen by its first rows.

    Raises DataError for a file without rows, UsageError for an invalid delimiter.
    """
    lines = _Replay(read_lines(path, data.encoding, quiet))
    sep = _SEP.fullmatch(next(iter(lines), ""))
    dialect, rows = _find_dialect(lines, sep, kind_suffix(path) in (".tsv", ".tab"), data)
    return find_columns(path, dialect, rows, int(sep is not None), data)


def find_columns(
    path: str, dialect: Dialect, rows: Sequence[Row], before: int, data: DataConfig
) -> CsvHead:
    """Find the names of the columns in the first rows; raises DataError when there are none."""
    if not rows:
        raise DataError(f"{path} is empty.", fix="Give a file with text in it.")
    header = _has_header(rows, data) if data.header is None else data.header
    first = [(cell or "").strip() for cell in rows[0].cells]
    names = _names(f"{path}:{rows[0].line}", first, header)
    return CsvHead(dialect, tuple(names), header, tuple(rows), before)


def open_csv(item: Input, data: DataConfig) -> Reader:
    """Open a CSV file; its dialect, header and columns are chosen by its first rows."""
    encoding = find_encoding(item.path, data.encoding)
    head = look_at_csv(item.path, data)
    delimiter = head.dialect.delimiter
    first = RecordsHead("csv", head.names, head.sample, encoding, head.header, delimiter, head.says)

    reader: Reader | None = None

    def records(warn: Warn) -> Iterator[Record]:
        lines = itertools.islice(read_lines(item.path, data.encoding, warn), head.before, None)
        rows = RowReader(lines, head.dialect, head.before, len(head.names))
        yield from fit_rows(item.path, rows, head, used_columns(reader), data.skip_bad_rows, warn)
        for kind, places in rows.mended.items():
            places.tell(item.path, "cell", kind, warn)

    reader = open_records(item.path, first, data, records)
    return reader


def fit_rows(
    path: str, rows: Iterable[Row], head: CsvHead, used: Sequence[str], skip: bool, warn: Warn
) -> Iterator[Record]:
    """Yield the rows after the header by column; `warn` is told how many were mended.

    Empty cells after the last column are dropped; cells that a row lacks are empty. A row with
    more text than columns, or without one of the columns in `used`, raises DataError, or with
    `skip` is left out.
    """
    columns = head.names
    left_out, short = Places(), Places()
    for line, cells in itertools.islice(rows, int(head.header), None):
        while len(cells) > len(columns) and not (cells[-1] or "").strip():
            cells.pop()
        values = {name: cell or "" for name, cell in zip(columns, cells, strict=False)}
        if len(cells) > len(columns) or not values.keys() >= set(used):
            if not skip:
                raise _bad_row(f"{path}:{line}", len(cells), head)
            left_out.add(line)
            continue
        if len(cells) < len(columns):
            short.add(line)
        yield Record(line, values)
    left_out.tell(path, "row", "did not have the columns of the first row; left out", warn)
    short.tell(path, "row", "had fewer cells than the first row; the others are empty", warn)


def _bad_row(place: str, cells: int, head: CsvHead) -> DataError:
    columns = len(head.names)
    name = DELIMITERS.get(head.dialect.delimiter or "", "delimiter")
    fixes = ["leave such rows out with --skip-bad-rows"]
    if cells > columns:
        fixes.insert(0, f"put quotes around texts that hold a {name}")
        fixes.append("read each line as one text with --delimiter none")
    else:
        fixes.insert(0, "add what is missing")
    if columns == 1:
        fixes.insert(0, "take lines above the row of names out")
    fix = "; or ".join(fixes)
    return DataError(
        f"{place}: this row has {count(cells, 'column')}, but the first row has {columns}.",
        fix=f"{fix[0].upper()}{fix[1:]}.",
    )


class _Replay:
    """Lines that can be iterated over several times, but are read once, as far as needed."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._read: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for number in itertools.count():
            if number == len(self._read):
                line = next(self._lines, None)
                if line is None:
                    return
                self._read.append(line)
            yield self._read[number]


class _Trial(NamedTuple):
    """A dialect, and the first rows as it reads them."""

    dialect: Dialect
    rows: list[Row]
    mended: int

    @property
    def columns(self) -> int:
        """The number of cells in the first row."""
        return len(self.rows[0].cells) if self.rows else 0

    def share(self, columns: int) -> float:
        """Return the share of rows after the first with `columns` cells, empty ones aside."""
        rest = [row.cells for row in self.rows[1:]]
        fitting = sum(len(cells) >= columns and not any(cells[columns:]) for cells in rest)
        return fitting / len(rest) if rest else 1.0

    @property
    def is_table_below(self) -> bool:
        """Whether the first row is a single cell above rows of equally many cells."""
        counts = Counter(len(row.cells) for row in self.rows[1:])
        most = counts.most_common(1)[0][0] if len(counts) > 0 else 1
        return self.columns == 1 < most and len(self.rows) > 3 and self.share(most) >= ALIKE

    @property
    def rank(self) -> tuple[float, int, float]:
        """The sort key: rows divided alike, few cells mended, few cells that begin with a space."""
        cells = [cell or "" for row in self.rows for cell in row.cells[1:]]
        spaced = sum(cell.startswith(" ") for cell in cells)
        share = self.share(self.columns) if self.columns > 1 else 0.0
        return share, -self.mended, -spaced / max(len(cells), 1)


def _find_dialect(
    lines: Iterable[str], sep: re.Match[str] | None, is_tsv: bool, data: DataConfig
) -> tuple[Dialect, list[Row]]:
    """Return the dialect in which the first rows are most alike, and these rows."""
    wanted = data.delimiter if data.delimiter is not None else sep[1] if sep else None
    given = None if wanted is None else unescape(wanted)
    if given is not None and given != "none" and (len(given) != 1 or given in '"\n\\ '):
        raise UsageError(
            f"{given!r} cannot delimit cells.", fix="Give one character, such as ';', or none."
        )
    order = sorted(DELIMITERS, key=lambda delimiter: delimiter != "\t") if is_tsv else [*DELIMITERS]
    strict = data.quotes != "auto"
    trials: list[_Trial] = []
    for delimiter in [None if given == "none" else given] if given else [*order, None]:
        quoted: list[_Trial] = []
        for quotes in (data.quotes,) if strict else ("double", "backslash"):
            dialect = Dialect(delimiter, quotes, strict)
            reader = RowReader(itertools.islice(lines, int(sep is not None), None), dialect)
            rows = list(itertools.islice(reader, SAMPLE))
            mended = sum(places.count for places in reader.mended.values())
            quoted.append(_Trial(dialect, rows, mended))
        # The spaces in cells tell delimiters apart, not ways of quoting.
        trials.append(max(quoted, key=lambda trial: trial.rank[:2]))
    best = max(trials, key=lambda trial: trial.rank)
    if not given and best.rank[0] < ALIKE and best.rows:
        # No delimiter divides the rows alike: a row of names tells, or the name of the file. Where
        # lines such as a title stand above a table, its rows are no texts either.
        named = [each for each in trials if each.columns > 1 and _has_header(each.rows, data)]
        usual = [each for each in trials if each.columns > 1 and each.dialect.delimiter == order[0]]
        single = (best.rows[0].cells[0] or "").lower() in _KNOWN
        under = [] if single else [each for each in trials if each.is_table_below]
        whole = [each for each in trials if each.dialect.delimiter is None]
        best = max(named or usual or under or whole, key=lambda trial: trial.rank)
    return best.dialect, best.rows


def _has_header(rows: Sequence[Row], data: DataConfig) -> bool:
    """Return whether the first row is names: asked for by options, known, or names by look."""
    first = [(cell or "").strip() for cell in rows[0].cells]
    filled = [cell for cell in first if cell]
    asked = {data.text_column, data.prompt_column, data.completion_column}
    if asked & set(filled) or any("{" + cell + "}" in (data.template or "") for cell in filled):
        return True
    if {cell.lower() for cell in filled} & _KNOWN:
        return True
    if not filled or len(set(filled)) < len(filled) or not all(map(_NAME.fullmatch, filled)):
        return False
    rest = [row.cells for row in rows[1:]]
    for number, name in enumerate(first):
        values = [row[number] or "" for row in rest if len(row) > number and row[number]]
        if name and len(values) > 1 and not is_figure(name) and all(map(is_figure, values)):
            return True  # a word above numbers or dates
    # Names are short and do not come again below, where the texts are much longer.
    again = any(cell in (c.strip() for c in row if c) for row in rest for cell in filled)
    longest = max((sum(len(cell or "") for cell in row) for row in rest), default=0)
    return not again and longest > 4 * sum(map(len, filled)) and len(max(filled, key=len)) <= 20


def _names(place: str, first: Sequence[str], header: bool) -> list[str]:
    """Return the columns' names, or their numbers where there is no header or no name in it."""
    if not header:
        return [str(number) for number in range(1, len(first) + 1)]
    twice = next((name for name in first if name and first.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{place}: two columns have the name '{twice}'.", fix="Rename one.")
    numbers = (str(n) if str(n) not in first else f"column {n}" for n in itertools.count(1))
    return [name or number for name, number in zip(first, numbers, strict=False)]


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
    head = find_columns(path, Dialect(","), sheets[title], 0, data)
    says = f"the rows of sheet '{title}'"
    if others:
        says += f", not those of {', '.join(others)} (save a sheet as CSV to read it)"
    says = "; ".join(filter(None, (says, head.says)))

    reader: Reader | None = None

    def records(warn: Warn) -> Iterator[Record]:
        with _open_workbook(path) as book:
            rows = _rows(book[title], len(head.names))
            yield from fit_rows(path, rows, head, used_columns(reader), data.skip_bad_rows, warn)

    first = RecordsHead("xlsx", head.names, head.sample, None, head.header, says=says)
    reader = open_records(path, first, data, records)
    return reader


def _rows(sheet: Any, columns: int = 0) -> Iterator[Row]:
    """Yield the rows that are not empty, with `columns` cells at least and no empty ones beyond."""
    for number, values in enumerate(sheet.iter_rows(values_only=True), 1):
        cells: list[str | None] = [_show_cell(value) for value in values]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield Row(number, cells + [None] * (columns - len(cells)))


def _show_cell(value: object) -> str | None:
    """Return a cell as a spreadsheet shows it: whole numbers without a point, ISO 8601 dates."""
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
            raise DataError(
                f"{path} is not an Excel workbook, or a damaged one.",
                fix="Save it again as .xlsx or .csv.",
            ) from None
        try:
            yield book
        finally:
            book.close()
