"""Parse JSON text in bounded memory: values, items and members one at a time (RFC 8259)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache

from penwright.errors import DataError
from penwright.formats.decode import read_blocks
from penwright.wording import Warn

LONGEST_VALUE = 1 << 29
"""The largest number of characters in one value, which is held in memory."""

ASSIGNMENT = re.compile(r"\s*window\.YTD\.[\w.]+ = (?=[\[{])")
"""The script before the JSON in the files of an archive of X (Twitter)."""

_MEND = "Mend it there, or leave the record out."
_SPACE = re.compile(r"[ \t\n\r]*")
# An error this near to the end of the buffer may only mean that the value is cut off there.
_NEAR_END = 32
_AFTER_VALUE = frozenset(':,]}{[" \t\n\r')


class Spelled(str):
    """A number with a fraction or an exponent, as the file spells it."""

    __slots__ = ()


class JsonText:
    """A cursor in a JSON file that reads on when needed and forgets the text behind it."""

    def __init__(self, path: str, encoding: str | None, warn: Warn) -> None:
        self._path = path
        self._blocks = read_blocks(path, encoding, warn)
        self._buffer = ASSIGNMENT.sub("", next(self._blocks, ""))
        self._at = 0
        self._before = 0
        self._lines = 1
        self._ended = False

    @property
    def passed(self) -> int:
        """The number of characters before the cursor."""
        return self._before + self._at

    def peek(self) -> str:
        """Return the next character that is no white space; "" at the end of the file."""
        while True:
            space = _SPACE.match(self._buffer, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._buffer):
                return self._buffer[self._at]
            if self._ended:
                return ""
            self._read_on()

    def skip(self, character: str) -> bool:
        """Step over white space and `character`; return false when something else is there."""
        found = self.peek() == character
        self._at += found
        return found

    def value(self) -> object:
        """Return the value that begins here; a number with a fraction is `Spelled`, NaN is None.

        Raises DataError for malformed JSON, with the line, and where an object has a name twice.
        """
        self.peek()
        while True:
            try:
                value, end = _decoder().raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                cut_off = error.msg.startswith("Unterminated") or (
                    error.pos > len(self._buffer) - _NEAR_END
                )
                if self._ended or not cut_off:
                    raise self.error(error.msg, error.pos) from None
            except RecursionError:
                raise self.error("it is nested too deeply") from None
            except ValueError as error:
                raise self.error(str(error)) from None
            else:
                # A number may go on in the next block.
                if self._buffer[end : end + 1] in _AFTER_VALUE or self._ended:
                    self._at = end
                    return value
            self._read_on()

    def items(self) -> Iterator[None]:
        """Move before each item of the list that begins here; the caller reads it."""
        self._need("[", "a list is expected here")
        if self.skip("]"):
            return
        while True:
            yield
            if self.skip("]"):
                return
            self._need(",", "there is no comma between two items")

    def members(self) -> Iterator[str]:
        """Yield each name of the object that begins here; the caller reads its value."""
        self._need("{", "an object is expected here")
        if self.skip("}"):
            return
        while True:
            name = self.value() if self.peek() == '"' else None
            if not isinstance(name, str):
                raise self.error("a name in quotes is expected here")
            self._need(":", "there is no colon after a name")
            yield name
            if self.skip("}"):
                return
            self._need(",", "there is no comma between two members")

    def check_length(self) -> None:
        """Raise DataError when what was read up to here is too much to be held in memory."""
        _check_length(self._path, self.passed)

    def error(self, what: str, at: int | None = None) -> DataError:
        """Return an error for this place, or for a place of the buffer, with the line."""
        line = self._lines + self._buffer.count("\n", 0, self._at if at is None else at)
        return DataError(f"{self._path}:{line}: this is not valid JSON: {what}.", fix=_MEND)

    def _need(self, character: str, otherwise: str) -> None:
        if not self.skip(character):
            raise self.error(otherwise)

    def _read_on(self) -> None:
        """Read at least as much again as is held, so that a long value is parsed few times."""
        self._lines += self._buffer.count("\n", 0, self._at)
        self._before += self._at
        blocks = [self._buffer[self._at :]]
        held = wanted = len(blocks[0])
        _check_length(self._path, held)
        while held < 2 * wanted + 1:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
                break
            blocks.append(block)
            held += len(block)
        self._buffer, self._at = "".join(blocks), 0


def decode_line(line: str, place: str) -> object:
    """Return the only value of a line, as `JsonText.value` does."""
    try:
        return _decoder().decode(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{place}: this line is not valid JSON: {error.msg} at column {error.colno}.", fix=_MEND
        ) from None
    except RecursionError:
        raise DataError(f"{place}: this line's JSON is nested too deeply.") from None
    except ValueError as error:
        raise DataError(f"{place}: this line's JSON cannot be read: {error}.") from None


@cache
def _decoder() -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_without_repeats,
        parse_float=Spelled,
        parse_constant=lambda name: None if name == "NaN" else Spelled(name),
    )


def _check_length(path: str, length: int) -> None:
    if length > LONGEST_VALUE:
        raise DataError(
            f"{path} holds a value of more than {LONGEST_VALUE:,} characters, too long to be held "
            "in memory.",
            fix="Write it as JSON Lines, a record a line (in pandas: "
            "to_json(..., orient='records', lines=True)).",
        )


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the name '{twice}' twice")
    return found
