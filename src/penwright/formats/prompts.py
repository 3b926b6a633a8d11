"""Read a file of prompts row by row: lines of text, CSV, JSON Lines, other files of records.

A row that cannot be read does not end the file: it is told apart by its `problem`.
"""

from __future__ import annotations

import itertools
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from penwright.config import DataConfig
from penwright.errors import DataError, suggest
from penwright.formats.catalog import FORMATS, detect
from penwright.formats.decode import read_lines
from penwright.formats.delimited import RowReader
from penwright.formats.json_text import decode_line
from penwright.formats.reader import Input, place
from penwright.formats.records import SAMPLE, Record, RecordReader, text_of
from penwright.formats.rows import PROMPT_NAMES, TEXT_NAMES
from penwright.formats.streams import kind_suffix
from penwright.formats.tables import look_at_csv
from penwright.wording import Warn, count, name_list

_KINDS = {
    ".csv": "csv", ".tsv": "csv", ".tab": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".json": "records", ".parquet": "records", ".xlsx": "records", ".xlsm": "records",
}  # fmt: skip
"""How rows are read, by the suffix of the file; any other file is lines of text."""

_TEXT = "prompt"
"""The column of a row that is nothing but a text."""

Found = tuple[int, Mapping[str, object] | DataError]
"""A row's line or record, and its values by column or why there are none."""


@dataclass(frozen=True)
class PromptRow:
    """A prompt, and its line or record in a file, from 1 on."""

    line: int | None
    prompt: str = ""
    problem: str = ""
    """Why there is no prompt, as a sentence that names the place."""


@dataclass(frozen=True)
class PromptFile:
    """A file of prompts that can be read several times."""

    name: str
    """The file as the user named it."""
    path: str
    column: str | None = None
    """The column with the prompts, by name; None for lines of text."""

    @property
    def kind(self) -> str:
        """The way that rows are read: text, csv, jsonl or records."""
        return _KINDS.get(kind_suffix(self.path), "text")

    def rows(self, warn: Warn) -> Iterator[PromptRow]:
        """Yield the rows in order, without empty lines."""
        column = self.column or _TEXT
        for line, found in _READERS[self.kind](self, warn):
            where = place(self.name, line, "record" if self.kind == "records" else "")
            try:
                if isinstance(found, DataError):
                    raise found
                if found.get(column, "") is None:
                    raise DataError(f"{where}: '{column}' is empty.")
                yield PromptRow(line, text_of(where, Record(line, found), column))
            except DataError as error:
                yield PromptRow(line, problem=error.message)


@contextmanager
def open_prompts(name: str, column: str | None, warn: Warn) -> Iterator[PromptFile]:
    """Open a file of prompts; a pipe or, for -, standard input is copied to disk first.

    `column` names the column with the prompts; by default it is found by its name. Raises
    DataError for a file that cannot be read at all, or without such a column.
    """
    if name != "-" and not (Path(name).exists() and stat.S_ISFIFO(Path(name).stat().st_mode)):
        yield _with_column(PromptFile(name, name), column, warn)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "prompts"
        with copy.open("wb") as file:
            if name == "-":
                shutil.copyfileobj(sys.stdin.buffer, file)
            else:
                with Path(name).open("rb") as pipe:
                    shutil.copyfileobj(pipe, file)
        if not copy.stat().st_size:
            raise _no_prompts(name)
        if detect(copy) == "jsonl":
            copy = copy.rename(copy.with_suffix(".jsonl"))
        yield _with_column(PromptFile(name, str(copy)), column, warn)


def _with_column(file: PromptFile, wanted: str | None, warn: Warn) -> PromptFile:
    """Return the file with its column; raises DataError when there is none that can be meant."""
    if file.kind == "text":
        if wanted is not None:
            raise DataError(
                f"{file.name} is read as lines of text, so it has no column '{wanted}'.",
                fix="Leave --prompt-column out, or give a CSV or JSON Lines file.",
            )
        return file
    columns = _columns(file, wanted, warn)
    if not columns:
        raise _no_prompts(file.name)
    known = [each for each in (*PROMPT_NAMES, *TEXT_NAMES) if each in columns]
    if wanted is None and (known or len(columns) == 1):
        return replace(file, column=(known or [*columns])[0])
    if wanted in columns:
        return replace(file, column=wanted)
    missing = "no column is called prompt" if wanted is None else f"there is no column '{wanted}'"
    raise DataError(
        f"{file.name}: {missing}. It has {name_list(columns)}.",
        fix=suggest(wanted or "", columns) or "Name the column with --prompt-column.",
    )


def _columns(file: PromptFile, wanted: str | None, warn: Warn) -> Sequence[str]:
    if file.kind == "csv":
        return look_at_csv(file.path, DataConfig(prompt_column=wanted)).names
    if file.kind == "records":
        return _open_records(file.path, wanted).choice.columns
    first = itertools.islice(_json_lines(file, warn), SAMPLE)
    return list(dict.fromkeys(name for _, row in first if isinstance(row, Mapping) for name in row))


def _lines(file: PromptFile, warn: Warn) -> Iterator[Found]:
    for line, text in enumerate(read_lines(file.path, None, warn), 1):
        if text.strip():
            yield line, {_TEXT: text}


def _json_lines(file: PromptFile, warn: Warn) -> Iterator[Found]:
    for line, text in enumerate(read_lines(file.path, None, warn), 1):
        if not text.strip():
            continue
        try:
            value = decode_line(text, place(file.name, line))
        except DataError as error:
            yield line, error
            continue
        if isinstance(value, str):
            value = {file.column or _TEXT: value}
        if isinstance(value, Mapping):
            yield line, value
        else:
            yield line, DataError(f"{place(file.name, line)}: this line is no JSON object.")


def _csv_rows(file: PromptFile, warn: Warn) -> Iterator[Found]:
    head = look_at_csv(file.path, DataConfig(prompt_column=file.column))
    lines = itertools.islice(read_lines(file.path, None, warn), head.before, None)
    rows = RowReader(lines, head.dialect, head.before, len(head.names))
    for line, cells in itertools.islice(rows, int(head.header), None):
        while len(cells) > len(head.names) and not (cells[-1] or "").strip():
            cells.pop()
        if len(cells) == len(head.names):
            yield line, dict(zip(head.names, cells, strict=True))
        else:
            where = place(file.name, line)
            says = f"this row has {count(len(cells), 'cell')}, not {len(head.names)}"
            yield line, DataError(f"{where}: {says}.")
    for kind, places in rows.mended.items():
        places.tell(file.name, "cell", kind, warn)


def _records(file: PromptFile, warn: Warn) -> Iterator[Found]:
    for record in _open_records(file.path, file.column).records(warn):
        yield record.line, record.values


def _open_records(path: str, column: str | None) -> RecordReader:
    reader = FORMATS[detect(path)].open(Input(path), DataConfig(text_column=column))
    if not isinstance(reader, RecordReader):
        raise DataError(
            f"{path} has no rows with prompts.", fix="Give lines of text, CSV or JSON Lines."
        )
    return reader


_READERS: Mapping[str, Callable[[PromptFile, Warn], Iterator[Found]]] = {
    "text": _lines, "csv": _csv_rows, "jsonl": _json_lines, "records": _records,
}  # fmt: skip


def _no_prompts(name: str) -> DataError:
    return DataError(
        f"{name} has no prompts.", fix="Write one on each line, or in a column called prompt."
    )
