"""JSON: an object a line, or a list of objects, read one at a time."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator

from penwright.config import DataConfig
from penwright.errors import DataError
from penwright.formats.decode import find_encoding, read_blocks, read_lines
from penwright.formats.reader import Input
from penwright.formats.records import SAMPLE, Look, Record, RecordReader, open_records, quiet
from penwright.wording import Warn

LIST_NAMES = ("data", "records", "rows", "items", "examples", "train")
"""Names under which a file that is one object may keep its list of records."""

_SPACE = re.compile(r"[ \t\n\r]*")
_LIST = re.compile(rf'"(?:{"|".join(LIST_NAMES)})"\s*:\s*\[')
_SURROGATE = re.compile("[\ud800-\udfff]")
# An error this near to the end of what was read may be only that: the end of what was read.
_NEAR_END = 32
_AFTER_VALUE = frozenset(",]} \t\n\r")
_HEAD = 1 << 16


def open_jsonl(item: Input, data: DataConfig) -> RecordReader:
    """Looks at the first lines' names."""
    encoding = find_encoding(item.path, data.encoding)
    return _open("jsonl", item, data, encoding, lambda warn: _by_line(item.path, data, warn))


def open_json(item: Input, data: DataConfig) -> RecordReader:
    """Looks at the first records' names."""
    encoding = find_encoding(item.path, data.encoding)

    def records(warn: Warn) -> Iterator[Record]:
        for number, value in enumerate(read_items(item.path, data.encoding, warn), 1):
            yield Record(number, _values(f"{item.path}: record {number}", value))

    return _open("json", item, data, encoding, records)


def read_items(path: str, encoding: str | None, warn: Warn) -> Iterator[object]:
    """The items of a JSON file's list, one at a time.

    The file is a list, or an object that holds one under a name of `LIST_NAMES`; any other
    object is the only item. Raises DataError for malformed JSON, with the line.
    """
    text = _Growing(path, read_blocks(path, encoding, warn))
    opening = text.skip_to_list()
    if not opening:
        yield text.value()
        return
    while not text.skip("]"):
        yield text.value()
        if not text.skip(","):
            if text.skip("]"):
                return
            raise text.error("there is no comma between two items")


class _Growing:
    """A text that is read on when more of it is needed, and forgotten once it was used."""

    def __init__(self, path: str, blocks: Iterator[str]) -> None:
        self._path = path
        self._blocks = blocks
        self._buffer = ""
        self._at = 0
        self._lines = 1
        self._ended = False
        self._decoder = json.JSONDecoder()
        self._grow()

    def skip(self, character: str) -> bool:
        """Step over white space and then `character`; false when something else is there."""
        self._skip_space()
        if self._buffer.startswith(character, self._at):
            self._at += len(character)
            return True
        return False

    def skip_to_list(self) -> bool:
        """Step to the first item of the list of records; false when there is none."""
        if self.skip("["):
            return True
        while not (found := _LIST.search(self._buffer)) and not self._ended:
            if len(self._buffer) > _HEAD:
                break
            self._grow()
        if found:
            self._at = found.end()
        return found is not None

    def value(self) -> object:
        """The JSON value that begins here."""
        self._skip_space()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                cut_off = error.msg.startswith("Unterminated") or (
                    error.pos > len(self._buffer) - _NEAR_END
                )
                if self._ended or not cut_off:
                    raise self.error(error.msg, error.pos) from None
            except RecursionError:
                raise self.error("it is nested too deeply") from None
            else:
                # A number may go on in the next block.
                if self._buffer[end : end + 1] in _AFTER_VALUE or self._ended:
                    self._at = end
                    return value
            self._grow()

    def error(self, what: str, at: int | None = None) -> DataError:
        """What is wrong, with the line."""
        line = self._lines + self._buffer.count("\n", 0, self._at if at is None else at)
        return DataError(f"{self._path}:{line}: this is not valid JSON: {what}.")

    def _skip_space(self) -> None:
        while True:
            space = _SPACE.match(self._buffer, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._buffer) or self._ended:
                return
            self._grow()

    def _grow(self) -> None:
        self._lines += self._buffer.count("\n", 0, self._at)
        self._buffer, self._at = self._buffer[self._at :], 0
        block = next(self._blocks, None)
        self._ended = block is None
        self._buffer += block or ""


def _open(
    name: str,
    item: Input,
    data: DataConfig,
    encoding: str,
    records: Callable[[Warn], Iterator[Record]],
) -> RecordReader:
    sample = [record.values for record in itertools.islice(records(quiet), SAMPLE)]
    if not sample:
        raise DataError(f"{item.path} has no records in it.")
    names = tuple(dict.fromkeys(name for values in sample for name in values))
    return open_records(item.path, Look(name, names, sample, encoding), data, records)


def _by_line(path: str, data: DataConfig, warn: Warn) -> Iterator[Record]:
    for number, line in enumerate(read_lines(path, data.encoding, warn), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}:{number}: this line is not valid JSON: {error.msg} at column "
                f"{error.colno}."
            ) from None
        except RecursionError:
            raise DataError(f"{path}:{number}: this line's JSON is nested too deeply.") from None
        yield Record(number, _values(f"{path}:{number}", value))


def _values(place: str, value: object) -> dict[str, str]:
    """A JSON record's columns as text; a bare string is the column `text`."""
    if isinstance(value, str):
        value = {"text": value}
    if not isinstance(value, dict):
        raise DataError(
            f'{place}: a record must be an object such as {{"text": "..."}}, but this is a '
            f"{type(value).__name__}."
        )
    values = {str(name): _as_text(item) for name, item in value.items()}
    for name, text in values.items():
        if not text.isascii() and _SURROGATE.search(text):
            raise DataError(
                f"{place}: '{name}' holds half of a character (a lone surrogate).",
                fix="Write the whole character, or take it out.",
            )
    return values


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
