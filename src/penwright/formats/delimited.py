"""Parse lines of delimited text (CSV, TSV and similar) into rows of cells.

Quoting follows RFC 4180, read as spreadsheets, R, pandas, SQLite and MySQL write it: a quoted cell
may hold delimiters, line ends and doubled quotes, and in some files quotes after a backslash. A
cell that is quoted in no valid way is read as its writer most likely meant it, and counted.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from penwright.wording import Warn, count

LONGEST_CELL = 1 << 28
"""Characters of a cell after which its opening quote counts as never closed."""

MISSING = frozenset(("\\N", "NULL", "NA", "NaN"))
"""Unquoted cells that mean a missing value, as MySQL, SQLite, R and numpy write it."""

# The kinds of invalid cells, as the end of the sentence "3 cells ..."
STRAY = "began with a quote that closes nowhere; it is read as part of the text"
INNER = "held quotes that are not doubled; they are read as part of the text"
ESCAPED = "had backslashes before quotes; they are not part of the text"
FINAL = "ended with a backslash before the closing quote; it is read as part of the text"
SWALLOWED = (
    "spread over lines that look like rows of their own; if quotes are part of the text, say "
    "--quotes none"
)


@dataclass(frozen=True)
class Dialect:
    """A delimiter and a way of quoting. Without a delimiter, a row is one cell."""

    delimiter: str | None
    quotes: str = "double"
    """double, backslash (quotes may also follow a backslash), or none (quotes are text)."""
    strict: bool = False
    """Whether a cell that is invalid under `quotes` is read as unquoted."""


class Row(NamedTuple):
    """A row's first line, counted from 1, and its cells; None is a missing value."""

    line: int
    cells: list[str | None]


class Places:
    """A count of lines, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first = 0

    def add(self, line: int) -> None:
        """Count one more."""
        self.count += 1
        self.first = self.first or line

    def tell(self, path: str, noun: str, what: str, warn: Warn) -> None:
        """Warn with one sentence if there were any: `file:3: 2 rows had fewer cells.`"""
        if self.count:
            others = "" if self.count == 1 else ", the first one here,"
            warn(f"{path}:{self.first}: {count(self.count, noun)}{others} {what}.")


class RowReader:
    """An iterator over the rows of `lines`, blank lines left out.

    `before` is the number of lines of the file before these, `columns` that of the columns, if
    known.
    """

    def __init__(
        self, lines: Iterator[str], dialect: Dialect, before: int = 0, columns: int = 0
    ) -> None:
        self.mended: defaultdict[str, Places] = defaultdict(Places)
        """The places of invalid cells, by the kind of their mending."""
        self._lines = lines
        self._ahead: deque[str] = deque()
        self._number = before
        self._start = before
        self._dialect = dialect
        self._columns = columns
        delimiter = dialect.delimiter
        end = rf"(?={re.escape(delimiter)}|\Z)" if delimiter else r"\Z"
        self._opening = re.compile(r' *"')
        self._closing = re.compile(rf'" *{end}')
        self._wrapped = re.compile(rf'(?:[^"]|"(?! *{end}))*')
        self._bodies = {
            "double": re.compile(r'[^"]*(?:""[^"]*)*'),
            "backslash": re.compile(r'[^"\\]*(?:(?:""|\\(?:.|\Z))[^"\\]*)*'),
        }
        special = re.escape(delimiter or "")
        self._bare = re.compile(rf"[^\\{special}]*(?:\\(?:.|\Z)[^\\{special}]*)*")
        self._escape = re.compile(rf'\\(["\\\n{special}])')
        self._escape_or_double = re.compile(rf'""|{self._escape.pattern}')

    def __iter__(self) -> Iterator[Row]:
        delimiter, backslash = self._dialect.delimiter, self._dialect.quotes == "backslash"
        while (line := self._next()) is not None:
            self._start = self._number
            if not line:
                continue
            if ('"' in line and self._dialect.quotes != "none") or (backslash and "\\" in line):
                cells = self._cells(line)
            else:
                cells = [*line.split(delimiter)] if delimiter else [line]
                if not MISSING.isdisjoint(cells):
                    cells = [None if cell in MISSING else cell for cell in cells]
            yield Row(self._start, cells)

    def _cells(self, line: str) -> list[str | None]:
        cells: list[str | None] = []
        at = 0
        while True:
            cell, line, at = self._cell(line, at)
            cells.append(cell)
            if at >= len(line):
                return cells
            at += len(self._dialect.delimiter or "")

    def _cell(self, line: str, at: int) -> tuple[str | None, str, int]:
        """Return the cell at `at`, the line that it ends on, and the place where it ends."""
        opening = self._opening.match(line, at)
        if opening and self._dialect.quotes != "none":
            found = self._quoted(line, opening.end())
            if found is not None:
                return found
            self._mend(STRAY)
        return self._unquoted(line, at)

    def _unquoted(self, line: str, at: int) -> tuple[str | None, str, int]:
        delimiter = self._dialect.delimiter
        if self._dialect.quotes != "backslash":
            end = line.find(delimiter, at) if delimiter else -1
            end = len(line) if end < 0 else end
            cell = line[at:end]
            return None if cell in MISSING else cell, line, end
        text = ""
        while True:
            match = self._bare.match(line, at)
            assert match is not None  # it matches no characters as well
            text += match.group()
            ending = len(text) - len(text.rstrip("\\"))
            following = self._next() if match.end() == len(line) and ending % 2 else None
            if following is None:
                cell = self._escape.sub(r"\1", text)
                return None if text in MISSING else cell, line, match.end()
            text, line, at = text + "\n", following, 0

    def _quoted(self, line: str, at: int) -> tuple[str, str, int] | None:
        """Return a cell whose quote opened before `at`, or None if it is not quoted after all."""
        quotes, strict = self._dialect.quotes, self._dialect.strict
        for style in (quotes,) if strict else (quotes, *(self._bodies.keys() - {quotes})):
            found = self._closed(line, at, self._bodies[style])
            if found is not None:
                text, line, end = found
                if style != quotes:
                    self._mend(ESCAPED if style == "backslash" else FINAL)
                if style == "backslash":
                    plain = self._escape_or_double.sub(lambda match: match[1] or '"', text)
                else:
                    plain = text.replace('""', '"')
                return plain, line, end
        inner = None if strict else self._wrapped.match(line, at)
        if inner is None or inner.end() == len(line):
            return None
        # "He said "hi" to me" is quoted, "Hi" he said "to me" is not.
        first = line.find('"', at)
        closing = self._closing.match(line, inner.end())
        if closing is None or (first != inner.end() and not line[first - 1].isspace()):
            return None
        self._mend(INNER)
        return inner.group().replace('""', '"'), line, closing.end()

    def _closed(self, line: str, at: int, body: re.Pattern[str]) -> tuple[str, str, int] | None:
        """Return the raw text up to the closing quote, over as many lines as it takes, or None."""
        parts: list[str] = []
        taken: list[str] = []
        size = 0
        while True:
            match = body.match(line, at)
            assert match is not None  # it matches no characters as well
            parts.append(match.group())
            size += len(parts[-1])
            if match.end() < len(line):
                closing = self._closing.match(line, match.end())
                if closing is None:
                    break
                if taken and self._look_like_rows(taken):
                    self._mend(SWALLOWED)
                return "\n".join(parts), line, closing.end()
            following = self._next() if size <= LONGEST_CELL else None
            if following is None:
                break
            taken.append(following)
            line, at = following, 0
        self._ahead.extendleft(reversed(taken))
        self._number -= len(taken)
        return None

    def _look_like_rows(self, lines: list[str]) -> bool:
        delimiter, columns = self._dialect.delimiter, self._columns
        if not delimiter or columns < 2:
            return False
        numbered = columns > 2 or all(line.partition(delimiter)[0].isdigit() for line in lines)
        return numbered and all(line.count(delimiter) == columns - 1 for line in lines)

    def _next(self) -> str | None:
        line = self._ahead.popleft() if self._ahead else next(self._lines, None)
        self._number += line is not None
        return line

    def _mend(self, kind: str) -> None:
        self.mended[kind].add(self._start)
