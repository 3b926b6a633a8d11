"""Plain text: where its documents end, streamed however long they are."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from penwright.config import DataConfig
from penwright.document import Document, Source, Span
from penwright.errors import UsageError
from penwright.formats.decode import find_encoding, read_blocks, read_lines
from penwright.formats.reader import Choice, Input
from penwright.markers import END_OF_TEXT, WORD_END
from penwright.wording import Warn

PIECE = 1 << 22
"""A document longer than this many characters comes in pieces."""

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
"""Lines of a plain text that are looked at to see whether it is a table."""


@dataclass(frozen=True)
class TextReader:
    """A text to be cut into documents, from whatever kind of file it was taken.

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
