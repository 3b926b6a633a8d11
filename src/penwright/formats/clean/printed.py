"""Cleaning steps for transcribed books: line wrapping, curly quotes, Project Gutenberg's notes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_WIDEST = 100  # characters in a hard-wrapped line
_NARROWEST = 30
_USUAL = 0.85  # of the lines are at most as long as the text's line width
_FULL = 0.85  # of that width, which a wrapped line reaches with the next line's first word
_FULL_AT_STOP = 0.97  # the same for a line that ends with a sentence
_LONGEST_BLOCK = 40  # lines in a paragraph on average; longer blocks hold several paragraphs
_ENDS = 3000  # characters at either end of a text in which a transcriber's note is looked for

_STOP = re.compile(r"[.!?][\"'”’)]*$")
_CURLY = str.maketrans({**dict.fromkeys("“”„‟", '"'), **dict.fromkeys("‘’‚‛", "'")})

_BEFORE = re.compile(
    r"\A.*?^[ \t]*\*{3} ?START OF (?:THE|THIS) PROJECT GUTENBERG[^\n]*\n", re.S | re.M | re.I
)
_AFTER = re.compile(
    r"^[ \t]*(?:\*{3} ?END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|\*?(?:The )?(?:End of )?(?:the )?Project Gutenberg(?:'s|’s)? (?:E-?(?:book|text)\b)?).*\Z",
    re.S | re.M | re.I,
)
_NOTE = r"[ \t|\[*]*transcriber(?:['’]?s?['’]?) notes?\b"
_NOTE_IN_BRACKETS = re.compile(rf"^[ \t]*\[\s*{_NOTE}[^\]]{{0,3000}}\]?", re.I | re.M)
_NOTE_AT_THE_END = re.compile(rf"^(?:[ \t]*[-+*=_ ]{{10,}}\n\s*)?{_NOTE}.*\Z", re.S | re.I | re.M)
_NOTE_AT_THE_START = re.compile(
    rf"^{_NOTE}[^\n]*(?:\n+[^\n]*(?:etext|e-text|published)[^\n]*)?(?:\n[^\n]+)*", re.I | re.M
)
_CREDIT = re.compile(
    r"^[ \t]*(?:Produced by|E-?text prepared by|Illustrated by|Illustration by)\b[^\n]*"
    r"(?:\n[^\n]+){0,4}?(?=\n[ \t]*\n|\Z)",
    re.I | re.M,
)
_ASIDE = re.compile(r"\[\s*(?:Illustration|Footnote|Sidenote|Blank Page)\b[^\]]{0,1500}\]", re.I)
_REFERENCE = re.compile(r"(?<=\S)\[(?:\d{1,3}|[A-Z])\]")
_EMPHASIS = re.compile(r"(?<![\w_])_([^_\n]+(?:\n[^_\n]+){0,6})_(?![\w_])")


def straighten_quotes(text: str) -> str:
    """Replace curly quotation marks and apostrophes by straight ones."""
    return text.translate(_CURLY)


def strip_gutenberg(text: str) -> str:
    """Remove what Project Gutenberg and its transcribers add to a book.

    That is licence, credits, transcriber's notes, [Illustration] and [Footnote] with their text,
    references to footnotes, and the underscores of _emphasis_.
    """
    if "GUTENBERG" in text[: 4 * _ENDS].upper() or "GUTENBERG" in text[-8 * _ENDS :].upper():
        text = _AFTER.sub("", _BEFORE.sub("", text, count=1), count=1)
    text = _NOTE_IN_BRACKETS.sub("", text)
    head, body, tail = text[:_ENDS], text[_ENDS:-_ENDS], text[max(_ENDS, len(text) - _ENDS) :]
    if not body:
        head, tail = text[: len(text) // 2], text[len(text) // 2 :]
    head = _CREDIT.sub("", _NOTE_AT_THE_START.sub("", head))
    text = head + body + _NOTE_AT_THE_END.sub("", tail)
    return _EMPHASIS.sub(r"\1", _REFERENCE.sub("", _ASIDE.sub("", text)))


def unwrap(text: str) -> str:
    """Join the lines of hard-wrapped paragraphs; a blank line separates paragraphs.

    A text counts as hard-wrapped where most lines are so full that the next line's first word
    does not fit. Leading blanks go with the line ends. Verse, lists and headings, whose lines are
    short and begin with capitals, keep their lines. A text with a paragraph in each line gets
    blank lines between them.
    """
    lines = [line.rstrip() for line in text.split("\n")]
    blocks = list(_blocks(lines))
    sizes = sorted(len(line.lstrip()) for line in lines if line)
    if len(sizes) < 2:
        return text
    width = sizes[int(_USUAL * (len(sizes) - 1))]
    has_blank_lines = len(blocks) * _LONGEST_BLOCK > len(sizes)
    if width > 2 * _WIDEST and not has_blank_lines:
        return "\n\n".join(line for line in lines if line)
    if not _NARROWEST <= width <= _WIDEST or not _is_wrapped(blocks, width):
        return text
    paragraphs: list[str] = []
    for block in blocks:
        if not has_blank_lines:
            paragraphs += _divide(block, width)
        else:
            paragraphs.append(_join(block) if _is_prose(block, width) else "\n".join(block))
    return "\n\n".join(paragraphs)


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Yield runs of lines without a blank one between them, without their leading blanks."""
    block: list[str] = []
    for line in (*lines, ""):
        if line:
            block.append(line.lstrip())
        elif block:
            yield block
            block = []


def _is_wrapped(blocks: list[list[str]], width: int) -> bool:
    """Return whether most lines that another follows go on in it."""
    going_on = [_goes_on(a, b, width) for block in blocks for a, b in pairwise(block)]
    return bool(going_on) and sum(going_on) > 0.5 * len(going_on)


def _is_prose(block: list[str], width: int) -> bool:
    """Return whether a block is a paragraph: as wide as the text, or going on in small letters."""
    small = sum(line[0].islower() for line in block[1:])
    return max(map(len, block)) >= _FULL * width or 3 * small >= len(block) - 1 > 0


def _goes_on(line: str, following: str, width: int) -> bool:
    """Return whether a paragraph goes on in the following line.

    Where the line had no room for its first word, or there is no capital or full stop between.
    """
    full = _FULL_AT_STOP if _STOP.search(line) else _FULL
    is_full = len(line) + 1 + len(following.split(maxsplit=1)[0]) > full * width
    return is_full or line.endswith(",") or following[0].islower()


def _divide(block: list[str], width: int) -> Iterator[str]:
    """Yield the paragraphs of a block without blank lines between them."""
    begin = 0
    for end in range(1, len(block)):
        if not _goes_on(block[end - 1], block[end], width):
            yield _join(block[begin:end])
            begin = end
    yield _join(block[begin:])


def _join(lines: list[str]) -> str:
    """Return lines as one; no space follows a hyphen or dash between letters."""
    text = re.sub(r"(?<=\w)(--?|—)\n(?=\w)", r"\1", "\n".join(lines))
    return text.replace("\n", " ")
