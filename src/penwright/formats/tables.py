"""CSV and its kin: rows with or without a row of names, streamed."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penwright.config import DataConfig
from penwright.errors import DataError
from penwright.formats.decode import Warn, find_encoding, read_lines
from penwright.formats.reader import Input
from penwright.formats.records import SAMPLE, Look, Record, RecordReader, open_records, quiet
from penwright.formats.rows import COMPLETION_NAMES, PROMPT_NAMES, TEXT_NAMES
from penwright.formats.streams import kind_suffix

LONGEST_CELL = 1 << 28

_NAME = re.compile(r"[^\W\d][\w .-]{0,39}")


@dataclass(frozen=True)
class CsvHead:
    """What a CSV file begins with: its first rows, the names of their columns, or numbers."""

    delimiter: str
    names: tuple[str, ...]
    header: bool
    rows: tuple[list[str], ...]


def look_at_csv(path: str, data: DataConfig) -> CsvHead:
    """A CSV file's delimiter, header and columns; raises DataError for an empty file."""
    delimiter = _find_delimiter(path, data)
    raw = _csv_rows(path, data.encoding, delimiter, quiet)
    rows = tuple(row for _, row in itertools.islice(raw, SAMPLE))
    if not rows:
        raise DataError(f"{path} is empty.", fix="Give a file with text in it.")
    header = _has_header(rows, data) if data.header is None else data.header
    return CsvHead(delimiter, tuple(_names(path, rows[0], header)), header, rows)


def open_csv(item: Input, data: DataConfig) -> RecordReader:
    """Looks for the delimiter, the header and the columns."""
    encoding = find_encoding(item.path, data.encoding)
    head = look_at_csv(item.path, data)
    sample = [dict(zip(head.names, row, strict=False)) for row in head.rows[head.header :]]
    look = Look("csv", head.names, sample, encoding, head.header, head.delimiter)
    return open_records(
        item.path, look, data, lambda warn: _records(item.path, look, data.encoding, warn)
    )


def _records(path: str, look: Look, encoding: str | None, warn: Warn) -> Iterator[Record]:
    names = look.columns
    rows = _csv_rows(path, encoding, look.delimiter or ",", warn)
    for line, row in itertools.islice(rows, 1 if look.header else 0, None):
        if len(row) != len(names):
            few = len(row) < len(names)
            raise DataError(
                f"{path}:{line}: this row has {_count(len(row))}, but the first row has "
                f"{len(names)}.",
                fix="Add what is missing."
                if few
                else "Put quotes around texts that hold a comma; or read a text a line with "
                "--format text --documents line.",
            )
        yield Record(line, dict(zip(names, row, strict=True)))


def _csv_rows(
    path: str, encoding: str | None, delimiter: str, warn: Warn
) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with the line it starts on."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
    lines = read_lines(path, encoding, warn)
    over = False

    def feed() -> Iterator[str]:
        nonlocal over
        for line in lines:
            yield line + "\n"
        over = True

    reader = csv.reader(feed(), delimiter=delimiter)
    while True:
        start = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path}:{start}: this row cannot be read: {error}.") from None
        if over:
            raise DataError(
                f"{path}:{start}: a quote that opens in this row is never closed.",
                fix="Close it, or write a quote inside a quoted text twice.",
            )
        if any(row):
            yield start, row


def _find_delimiter(path: str, data: DataConfig) -> str:
    """Tab for .tsv; else the first of comma, semicolon and tab that splits every row alike."""
    if kind_suffix(path) in (".tsv", ".tab"):
        return "\t"
    for delimiter in (",", ";", "\t"):
        rows = itertools.islice(_csv_rows(path, data.encoding, delimiter, quiet), SAMPLE)
        try:
            counts = {len(row) for _, row in rows}
        except DataError:
            continue  # a quote is out of place, if this is the delimiter
        if len(counts) == 1 and counts.pop() > 1:
            return delimiter
    return ","


def _has_header(rows: Sequence[Sequence[str]], data: DataConfig) -> bool:
    """Whether the first row is names: asked for by the options, known names, or names by look."""
    first = [cell.strip() for cell in rows[0]]
    asked = {data.text_column, data.prompt_column, data.completion_column}
    if asked & set(first) or any("{" + cell + "}" in (data.template or "") for cell in first):
        return True
    if {cell.lower() for cell in first} & {*TEXT_NAMES, *PROMPT_NAMES, *COMPLETION_NAMES}:
        return True
    if len(set(first)) < len(first) or not all(_NAME.fullmatch(cell) for cell in first):
        return False
    # Names are short and do not come again below, where the texts are much longer.
    rest = rows[1:]
    again = any(cell in (c.strip() for c in row) for row in rest for cell in first)
    longest = max((sum(len(cell) for cell in row) for row in rest), default=0)
    return not again and longest > 4 * sum(map(len, first)) and len(max(first, key=len)) <= 20


def _names(path: str, first: Sequence[str], header: bool) -> list[str]:
    if not header:
        return [str(number) for number in range(1, len(first) + 1)]
    names = [cell.strip() for cell in first]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}:1: two columns have the name '{twice}'.", fix="Rename one.")
    return names


def _count(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"
