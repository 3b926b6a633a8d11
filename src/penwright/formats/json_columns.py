"""Column-oriented JSON as rows: pandas' orients `columns`, `index` and `split`, dicts of lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from penwright.errors import DataError
from penwright.formats.rows import COMPLETION_NAMES, PROMPT_NAMES, TEXT_NAMES

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
