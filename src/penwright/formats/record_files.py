"""Read files of records: JSON in its usual shapes, JSON Lines, Parquet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penwright.config import DataConfig
from penwright.errors import DataError, MissingExtraError
from penwright.formats.chat_records import is_turn
from penwright.formats.decode import find_encoding, read_lines
from penwright.formats.json_text import ASSIGNMENT, JsonText, decode_line
from penwright.formats.reader import Input, Reader, place
from penwright.formats.records import Record, open_rows, quiet
from penwright.formats.rows import COMPLETION_NAMES, PROMPT_NAMES, TEXT_NAMES, WHOLE
from penwright.formats.streams import open_bytes
from penwright.wording import Warn

if TYPE_CHECKING:
    import pyarrow

LIST_NAMES = ("data", "records", "rows", "items", "examples", "train")
"""Names of a list in an object that always holds the file's records."""

HELD = 1 << 24
"""Characters of an object that are held to find its list of records."""


@dataclass(frozen=True)
class Shape:
    """The place of a JSON file's records: under a name of its only object, or at the top.

    `rows` are the records of an object that holds columns.
    """

    name: str | None = None
    rows: list[dict[str, object]] | None = None
    says: str = ""


def open_jsonl(item: Input, data: DataConfig) -> Reader:
    """Look at the first lines' names; records that take several lines each are read as JSON."""
    encoding = find_encoding(item.path, data.encoding)
    if not _begins_with_a_line(item.path, data.encoding):
        return open_json(item, data)
    return open_rows(
        item.path, "jsonl", lambda warn: _by_line(item.path, data, warn), data, encoding, unit=""
    )


def open_json(item: Input, data: DataConfig) -> Reader:
    """Look at where the records are, and at the first records' names."""
    encoding = find_encoding(item.path, data.encoding)
    shape = find_shape(item.path, data.encoding)

    def records(warn: Warn) -> Iterator[Record]:
        for number, value in enumerate(_items(item.path, data.encoding, shape, warn), 1):
            yield Record(number, _columns(place(item.path, number, "record"), value))

    return open_rows(item.path, "json", records, data, encoding, shape.says, "record")


def is_archive(head: bytes) -> bool:
    """Return whether a script is a file of an archive of X, such as tweets.js."""
    return ASSIGNMENT.match(head.decode("utf-8", "replace")) is not None


def read_items(path: str, encoding: str | None, warn: Warn) -> Iterator[object]:
    """Yield the records of a JSON file, one at a time.

    They are the file's values one after another, lists of them, the only list of records in its
    only object, or the rows of columns. Raises DataError for malformed JSON, with the line, and
    for an object that may be read in several ways.
    """
    yield from _items(path, encoding, find_shape(path, encoding), warn)


def find_shape(path: str, encoding: str | None) -> Shape:
    """Return the place of the records in a JSON file, by its first object if it begins with one."""
    text = JsonText(path, encoding, quiet)
    if text.peek() != "{":
        return Shape()
    found: dict[str, object] = {}
    for name in text.members():
        if name in found:
            raise text.error(f"an object has the name '{name}' twice")
        if text.peek() != "[":
            found[name] = text.value()
            continue
        items: list[object] = []
        found[name] = items
        for _ in text.items():
            items.append(text.value())
            if text.passed > HELD and _is_list_of_records(name, items, found):
                return Shape(name, says=f"the records are the list '{name}'")
            text.check_length()
    if text.peek():
        return Shape()
    rows, says = find_rows(path, found)
    if rows is not None:
        return Shape(rows=rows, says=says)
    lists = [name for name in found if _is_list_of_records(name, found[name], found)]
    if len(lists) > 1:
        raise DataError(
            f"{path} has several lists of records: {', '.join(lists)}.",
            fix=f"Write each to a file of its own. {WRITE_ROWS}",
        )
    return Shape(lists[0], says=f"the records are the list '{lists[0]}'") if lists else Shape()


def _is_list_of_records(name: str, items: object, found: dict[str, object]) -> bool:
    """Return whether a list in an object holds the file's records, not a value of the object."""
    if not isinstance(items, list) or not items or is_turn(items[0]):
        return False
    if name in LIST_NAMES and not any(isinstance(item, list) for item in items[:1]):
        return True
    text = sum(len(value) for value in found.values() if isinstance(value, str))
    return isinstance(items[0], dict) and text < 200 and "qas" not in items[0]


def _items(path: str, encoding: str | None, shape: Shape, warn: Warn) -> Iterator[object]:
    if shape.rows is not None:
        yield from shape.rows
        return
    text = JsonText(path, encoding, warn)
    if shape.name is None:
        while text.peek():
            if text.peek() == "[":
                yield from _list(text)
            else:
                yield text.value()
        return
    for name in text.members():
        if name == shape.name:
            for _ in text.items():
                yield text.value()
        else:
            text.value()
    if text.peek():
        raise text.error("something follows the object that holds the records")


def _list(text: JsonText) -> Iterator[object]:
    """Yield the items of a list; a list of turns is one conversation."""
    turns: list[object] = []
    for number, _ in enumerate(text.items()):
        item = text.value()
        if isinstance(item, dict) and {"role", "content"} <= item.keys() and len(turns) == number:
            turns.append(item)
            text.check_length()
        else:
            yield from turns
            turns = []
            yield item
    if turns:
        yield {"messages": turns}


def _begins_with_a_line(path: str, encoding: str | None) -> bool:
    """Return whether the first line that is not blank is a JSON value."""
    for line in read_lines(path, encoding, quiet):
        if line.strip():
            try:
                json.loads(line)
            except (ValueError, RecursionError):
                return False
            return True
    return True


def _by_line(path: str, data: DataConfig, warn: Warn) -> Iterator[Record]:
    for number, line in enumerate(read_lines(path, data.encoding, warn), 1):
        if line.strip():
            value = decode_line(line, f"{path}:{number}")
            yield Record(number, _columns(f"{path}:{number}", value))


def _columns(where: str, value: object) -> dict[str, object]:
    """Return a record's columns; a bare text is the column `text`, a list of turns `messages`.

    Each tweet of an archive of X is the only member of an object.
    """
    if type(value) is str:
        return {"text": value}
    if isinstance(value, list) and value and is_turn(value[0]):
        return {"messages": value}
    if isinstance(value, dict):
        inner = value.get("tweet") if len(value) == 1 else None
        return inner if isinstance(inner, dict) else value
    raise DataError(
        f'{where}: a record must be an object such as {{"text": "..."}}, but this is '
        f"{_NAMES.get(type(value), 'a number')}.",
        fix=WRITE_ROWS,
    )


_NAMES: dict[type, str] = {list: "a list", bool: "true or false", type(None): "null"}


WRITE_ROWS = (
    'Write the file as a list of records, [{"text": "..."}, ...] (in pandas: '
    "to_json(..., orient='records'))."
)

Rows = list[dict[str, object]]

_KNOWN = {"messages", "conversations", *TEXT_NAMES, *PROMPT_NAMES, *COMPLETION_NAMES}


def find_rows(path: str, found: dict[str, Any]) -> tuple[Rows | None, str]:
    """Return the rows of an object that holds columns, and a clause that says so; else None.

    Raises DataError where columns differ in length, or columns and rows cannot be told apart.
    """
    if {"columns", "data"} <= found.keys() and found.keys() <= {"columns", "data", "index"}:
        return _split(path, found["columns"], found["data"]), "it is in pandas' orient 'split'"
    if not found:
        return None, ""
    if all(isinstance(value, dict) and value for value in found.values()):
        return _nested(path, found)
    if all(isinstance(value, list) for value in found.values()):
        values = [value for column in found.values() for value in column]
        lengths = {len(column) for column in found.values()}
        if any(isinstance(value, dict) for value in values) or lengths == {0}:
            return None, ""
        if len(lengths) > 1:
            counts = ", ".join(f"{name} {len(column):,}" for name, column in found.items())
            raise DataError(f"{path} has lists of different lengths: {counts}.", fix=WRITE_ROWS)
        rows = [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
        return rows, "each name holds a column"
    return None, ""


def _split(path: str, columns: Any, data: Any) -> Rows:
    names = [".".join(name) if isinstance(name, list) else str(name) for name in columns]
    for number, row in enumerate(data, 1):
        if not isinstance(row, list) or len(row) != len(names):
            raise DataError(
                f"{path}: row {number:,} of 'data' is not a list of {len(names):,} values.",
                fix=WRITE_ROWS,
            )
    return [dict(zip(names, row, strict=True)) for row in data]


def _nested(path: str, found: dict[str, dict[str, object]]) -> tuple[Rows | None, str]:
    """Return the rows of an object of objects, whose outer names are columns' or rows'."""
    inner = list(dict.fromkeys(name for value in found.values() for name in value))
    by_column = _are_columns(found, inner)
    by_row = _are_columns(inner, found)
    if by_column == by_row:
        if len(found) == 1 or any(
            isinstance(v, dict | list) for value in found.values() for v in value.values()
        ):
            return None, ""
        raise DataError(
            f"{path} is an object of objects, and it is not clear whether its outer names "
            f"({', '.join(list(found)[:3])}) or its inner ones ({', '.join(inner[:3])}) are the "
            "columns.",
            fix=WRITE_ROWS,
        )
    if by_row:
        return [dict(value) for value in found.values()], "each name holds a row"
    rows = [{name: column.get(label) for name, column in found.items()} for label in inner]
    return rows, "each name holds a column"


def _are_columns(outer: Iterable[str], inner: Iterable[str]) -> bool:
    """Return whether the outer names look like columns': known ones, or the inner are numbers."""
    if all(name.isdecimal() for name in inner):
        return not all(name.isdecimal() for name in outer)
    return not _KNOWN.isdisjoint(name.lower() for name in outer)


BATCH = 1024
"""Rows per read."""

_ZEROS = re.compile(r"(?:(\.\d*[1-9])|\.)0+(?!\d)")


def open_parquet(item: Input, data: DataConfig) -> Reader:
    """Look at the columns and the first rows; raise DataError when there are none."""
    return open_rows(item.path, "parquet", lambda _: _records(item.path), data)


def _records(path: str) -> Iterator[Record]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError:
        raise MissingExtraError(f"Reading {path}", "parquet") from None
    with open_bytes(path) as stream:
        try:
            file = parquet.ParquetFile(stream)
            number = 0
            for batch in file.iter_batches(batch_size=BATCH):
                columns = [_values(column) for column in batch.columns]
                for row in zip(*columns, strict=True):
                    number += 1
                    yield Record(number, dict(zip(batch.schema.names, row, strict=True)))
            if number != file.metadata.num_rows:
                raise DataError(f"{path} has {file.metadata.num_rows:,} rows, but {number:,} read.")
        except (ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise DataError(
                f"{path} is not a Parquet file, or a damaged one: {reason}.",
                fix="Download or write it again.",
            ) from None


def _values(column: pyarrow.Array) -> list[object]:
    """Return a column's values as Python's; times as text, float32 as short as it is exact."""
    from pyarrow import duration, string, types

    kind = column.type
    if types.is_timestamp(kind) or types.is_time(kind) or types.is_date(kind):
        # Python has no nanoseconds, and no year 10000.
        return [text and _ZEROS.sub(r"\1", text) for text in column.cast(string()).to_pylist()]
    if types.is_float16(kind) or types.is_float32(kind):
        narrow = np.float16 if types.is_float16(kind) else np.float32
        found = column.to_pylist()
        return [
            value
            if value is None or (value.is_integer() and abs(value) < WHOLE)
            else float(str(narrow(value)))
            for value in found
        ]
    if types.is_duration(kind):
        return list(column.cast(duration("us"), safe=False).to_pylist())
    try:
        return list(column.to_pylist())
    except ValueError:
        # A time within a list or a struct that Python cannot hold: no text either way.
        return [{}] * len(column)
