"""Parquet, read a row group at a time (needs pyarrow)."""

from __future__ import annotations

from collections.abc import Iterator

from penwright.config import DataConfig
from penwright.errors import DataError, MissingExtraError
from penwright.formats.reader import Input
from penwright.formats.records import SAMPLE, Look, Record, RecordReader, open_records
from penwright.formats.streams import open_bytes
from penwright.wording import Warn

BATCH = 1024
"""Rows held at a time."""


def open_parquet(item: Input, data: DataConfig) -> RecordReader:
    """Looks at the columns and the first rows; raises DataError when there are none."""
    sample: list[dict[str, str]] = []
    for record in _records(item.path):
        sample.append(dict(record.values))
        if len(sample) == SAMPLE:
            break
    if not sample:
        raise DataError(f"{item.path} has no rows in it.")

    def records(_: Warn) -> Iterator[Record]:
        return _records(item.path)

    return open_records(item.path, Look("parquet", tuple(sample[0]), sample), data, records)


def _records(path: str) -> Iterator[Record]:
    try:
        from pyarrow import ArrowInvalid, parquet
    except ImportError:
        raise MissingExtraError(f"Reading {path}", "parquet") from None
    with open_bytes(path) as stream:
        try:
            number = 0
            for batch in parquet.ParquetFile(stream).iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(number, {name: _as_text(value) for name, value in row.items()})
        except (ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise DataError(f"{path} is not a Parquet file, or a damaged one: {reason}.") from None


def _as_text(value: object) -> str:
    return "" if value is None else str(value)
