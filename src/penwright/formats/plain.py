"""Split plain text into documents, streamed; decode .npz archives of GPT-2's ids into it."""

from __future__ import annotations

import codecs
import gzip
import itertools
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from penwright.config import DataConfig
from penwright.document import END_OF_TEXT, WORD_END, Document, Source, Span
from penwright.errors import DataError, UsageError
from penwright.formats.decode import find_encoding, read_blocks, read_lines
from penwright.formats.reader import Choice, Input
from penwright.formats.streams import open_bytes
from penwright.wording import Warn

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PIECE = 1 << 22
"""The longest document or conversation, in characters, that comes in one piece."""

_MARKERS = r"<\|(?:start|end)oftext\|>"

RULES = {
    "auto": _MARKERS,
    "marker": _MARKERS,
    "file": r"\x00(?!)",  # never matches; a literal first makes looking for it fast
    "line": r"\n",
    "paragraph": r"\n(?:[ \t]*\n)+",
}
_SAYS = {
    "auto": f"a document ends at {END_OF_TEXT}, or else with its file",
    "marker": f"a document ends at {END_OF_TEXT}, or else with its file",
    "file": "each file is a document",
    "line": "each line is a document",
    "paragraph": "a document ends at a blank line",
}


_LOOKED_AT = 50
"""Lines of a plain text that are checked for the tabs of a table."""


@dataclass(frozen=True)
class TextReader:
    """A text that is cut into documents, from a file of any kind.

    Line ends around a document, and documents of white space, are left out.
    """

    choice: Choice
    pattern: re.Pattern[str]
    blocks: Callable[[Warn], Iterator[str]]

    def documents(self, warn: Warn) -> Iterator[Document]:
        """Yield the documents, long ones in pieces."""
        path = self.choice.path
        line, begun = 1, False
        for part, ends in split(self.blocks(warn), self.pattern):
            body = part.content if begun else part.content.lstrip("\n")
            start = line + len(part.content) - len(body)
            line += part.lines
            body = body.rstrip("\n") if ends else body
            if begun or (body and not body.isspace()):
                spans = (Span(body),) if body else ()
                yield Document(spans, Source(path, start), more=not ends)
                begun = not ends


def open_plain(item: Input, data: DataConfig) -> TextReader:
    """Open a text file; raises DataError when it is empty or binary."""
    encoding = find_encoding(item.path, data.encoding)
    pattern, says = find_rule(data)
    lines = itertools.islice(read_lines(item.path, data.encoding, lambda _: None), _LOOKED_AT)
    tabs = [line.count("\t") for line in lines]
    if len(tabs) > 3 and min(tabs) == max(tabs) > 0:
        says += "; its lines look like rows of a table (--format csv reads them as rows)"
    choice = Choice(item.path, "text", encoding, says=says)
    return TextReader(choice, pattern, lambda warn: read_blocks(item.path, data.encoding, warn))


def find_rule(data: DataConfig) -> tuple[re.Pattern[str], str]:
    """Return the pattern that ends documents and a clause about it; raises UsageError."""
    if data.split_at is None:
        return re.compile(RULES[data.documents]), _SAYS[data.documents]
    try:
        return re.compile(data.split_at), f"a document ends at {data.split_at!r}"
    except re.error as error:
        raise UsageError(
            f"--split-at {data.split_at!r} is not a regular expression: {error}."
        ) from None


@dataclass(frozen=True)
class Part:
    """Text up to a document's end or a cut, and the number of line ends in it and its separator."""

    content: str
    lines: int


def split(blocks: Iterator[str], pattern: re.Pattern[str]) -> Iterator[tuple[Part, bool]]:
    """Split a text into parts, each with whether a document ends there.

    A match that touches the end of what was read may go on in the next block, so it waits.
    """
    buffer = ""
    for block in blocks:
        buffer += block
        last = 0
        for match in pattern.finditer(buffer):
            if match.end() == len(buffer):
                break
            if match.end() > 0:  # an empty match here was seen before
                yield _part(buffer, last, match), True
            last = match.end()
        buffer = buffer[last:]
        while len(buffer) > PIECE:
            cut = last_boundary(buffer, PIECE)
            yield Part(buffer[:cut], buffer.count("\n", 0, cut)), False
            buffer = buffer[cut:]
    last = 0
    for match in pattern.finditer(buffer):
        if match.end() > 0:
            yield _part(buffer, last, match), True
        last = match.end()
    yield Part(buffer[last:], 0), True


def last_boundary(text: str, limit: int) -> int:
    """Return the last place up to `limit` that no GPT-2 token reaches across.

    That is between a character and the white space after it, else between a letter and what is
    no letter, else, in a run of one kind, simply `limit`.
    """
    for size in (1 << 10, 1 << 16, limit):
        start = max(0, limit - size)
        matches = [match.end() for match in WORD_END.finditer(text, start, limit)]
        if matches:
            return matches[-1]
    # Nothing to go by: keep clear of a marker that may have begun at the end of what was read.
    limit -= len(END_OF_TEXT)
    for place in range(limit, max(0, limit - (1 << 16)), -1):
        if text[place - 1].isalpha() and not text[place].isalpha():
            return place
    return limit


def _part(buffer: str, last: int, match: re.Match[str]) -> Part:
    return Part(buffer[last : match.start()], buffer.count("\n", last, match.end()))


STRETCH = 1 << 20
"""Ids per decoded block."""


def open_npz(item: Input, data: DataConfig) -> TextReader:
    """Open an archive of arrays of GPT-2's token ids, as the text that they spell."""
    for _ in _arrays(item.path):
        break
    pattern, says = find_rule(data)
    choice = Choice(item.path, "npz", says=f"GPT-2's ids are turned back into text; {says}")
    return TextReader(choice, pattern, lambda _: _blocks(item.path))


def _blocks(path: str) -> Iterator[str]:
    spell = gpt2_bytes()
    for name, ids in _arrays(path):
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < len(spell):
            raise DataError(f"{path}: array {name} holds ids that GPT-2 does not have.")
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for start in range(0, len(ids), STRETCH):
            part = ids[start : start + STRETCH].tolist()
            yield decoder.decode(b"".join([spell[i] for i in part]))
        yield decoder.decode(b"", final=True) + f"\n{END_OF_TEXT}\n"


def _arrays(path: str) -> Iterator[tuple[str, npt.NDArray[np.integer]]]:
    import numpy as np

    try:
        # Pickled arrays can run anything, so they are refused.
        with open_bytes(path) as stream, np.load(stream, allow_pickle=False) as archive:
            for name in archive.files:
                ids = archive[name]
                if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
                    raise DataError(f"{path}: array {name} is not a row of token ids.")
                yield name, ids
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile):
        raise DataError(
            f"{path} is not an .npz of token ids, or a damaged one.",
            fix="Encode its text again, or give the text itself.",
        ) from None


@cache
def gpt2_bytes() -> list[bytes]:
    """Return the bytes of each of GPT-2's token ids: single bytes, merges in order, end of text."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(printable))
    value = {chr(byte): byte for byte in printable}
    value |= {chr(256 + i): byte for i, byte in enumerate(others)}
    packed = (resources.files("penwright") / "assets/gpt2/merges.txt.gz").read_bytes()
    merges = gzip.decompress(packed).decode().splitlines()[1:]
    spelled = [*value, *(merge.replace(" ", "") for merge in merges)]
    return [*(bytes(value[letter] for letter in token) for token in spelled), END_OF_TEXT.encode()]
