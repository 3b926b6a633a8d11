"""Parquet, read some rows at a time (needs pyarrow)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from penwright.config import DataConfig
from penwright.errors import DataError, MissingExtraError
from penwright.formats.reader import Input, Reader
from penwright.formats.records import Record, open_rows
from penwright.formats.streams import open_bytes

if TYPE_CHECKING:
    import pyarrow

BATCH = 1024
"""Rows held at a time."""

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
            raise DataError(f"{path} is not a Parquet file, or a damaged one: {reason}.") from None


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
        return [None if value is None else float(str(narrow(value))) for value in found]
    if types.is_duration(kind):
        return list(column.cast(duration("us"), safe=False).to_pylist())
    try:
        return list(column.to_pylist())
    except ValueError:
        # A time within a list or a struct that Python cannot hold: no text either way.
        return [{}] * len(column)
