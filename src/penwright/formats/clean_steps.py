"""Change texts by the steps of `--clean`, one function per step."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from penwright.document import END_OF_TEXT, START_OF_TEXT
from penwright.errors import MissingExtraError

Step = Callable[[str], str]

_TREEBANK_QUOTES = (
    (re.compile(r"``[ ]?"), '"'),
    (re.compile(r"[ ]?''"), '"'),
)
_BRACKETS = tuple(
    (re.compile(rf"-{name}-"), mark)
    for name, mark in zip(("LRB", "RRB", "LSB", "RSB", "LCB", "RCB"), "()[]{}", strict=True)
)
# A space before these goes, but not before a number (.5), three dots with a word, or a smiley.
_PUNCTUATION = re.compile(
    r"(?<=\S)[ ](?=[!,.:;?](?![\w()\[\]\\/DPpO3*|]|-[()DP]))|(?<=\S)[ ](?=\.{2,})"
)
_NOT = re.compile(r"(?<=\w)[ ]n[ ]?(['’])[ ]?t\b", re.IGNORECASE)
_CLITIC = re.compile(r"(?<=\w)[ ](['’])[ ]?(s|re|ve|ll|d|m|am)\b(?!['’])", re.IGNORECASE)
_SPLIT = re.compile(
    r"(?<=\w) (n't|'(?:s|re|ve|ll|am|m))\b(?!')|(?<=\w) ' (m|ve|s)\b(?!')| ([!,.:;?])"
)
_JOINED = re.compile(r"\b(gon|wan)[ ](na)\b|\b(got)[ ](ta)\b|\b(can)[ ](not)\b", re.IGNORECASE)

_STAMP = r"(?:PUBLISHED|UPDATED|CREATED|LAST UPDATED)\s*:?[\s.]*\d{1,2}:\d{2}"
_NEWS = (
    # "LONDON, England (CNN) -- "
    (re.compile(r"\A[^\n()]{0,80}\(CNN[^)\n]{0,40}\)\s*(?:--?|–|—)?\s*"), ""),
    # "By . Daily Mail Reporter . PUBLISHED: ...", the name on the same line or the next
    (
        re.compile(rf"\A\s*By\b[\s.:]+\S.{{0,160}}?[\s.|]*(?={_STAMP})", re.DOTALL | re.IGNORECASE),
        "",
    ),
    (re.compile(r"\A\s*By[ \t.]*\n\s*[^\n]{1,80}\n+"), ""),
    (
        re.compile(
            rf"[\s.|]*{_STAMP}\s*(?:AM|PM)?\s*(?:EST|EDT|GMT|BST|UTC)?[\s,.]*(?:on\s+)?"
            r"(?:\d{1,2}(?:st|nd|rd|th)?\s+\w+\s+\d{4})?[\s.|]*",
            re.IGNORECASE,
        ),
        "\n",
    ),
    (re.compile(r"^[ \t]*scroll down for video[s .]*\n*", re.IGNORECASE | re.MULTILINE), ""),
)


def detokenize(text: str) -> str:
    """Undo the spaces that the Penn Treebank's tokenizer puts: `ca n't`, `word .`, quotes."""
    for pattern, mark in (*_TREEBANK_QUOTES, *_BRACKETS):
        text = pattern.sub(mark, text)
    text = re.sub(r"(?<![^\s\"])([(\[{])[ ](?=\S)", r"\1", text)
    text = re.sub(r"(?<=\S)[ ]([)\]}])", r"\1", text)
    text = _NOT.sub(r"n\1t", text)
    text = _CLITIC.sub(r"\1\2", text)
    text = _JOINED.sub(lambda found: "".join(part for part in found.groups() if part), text)
    return _PUNCTUATION.sub("", text)


def join_spaces(text: str) -> str:
    """Join punctuation and split clitics to the word before them, and nothing else.

    Notebooks on WritingPrompts do exactly this, and their figures are for such text.
    """
    return _SPLIT.sub(lambda m: m[1] or (f"'{m[2]}" if m[2] else m[3]), text)


def strip_news(text: str) -> str:
    """Take out what newspapers put around an article: datelines, bylines and time stamps."""
    for pattern, instead in _NEWS:
        text = pattern.sub(instead, text)
    return text.lstrip("\n")


def squeeze(text: str) -> str:
    """Squeeze spaces and tabs to one space, none before a line end, and blank lines to one."""
    text = re.sub(r"[ \t\u00a0]+", " ", text)
    text = re.sub(r" \n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text)


def undo_entities(text: str) -> str:
    """Decode HTML entities such as `&amp;`, also doubly encoded ones such as `&amp;quot;`."""
    once = html.unescape(text)
    return html.unescape(once) if once != text else text


TAGS = re.compile(r"</?(?:p|div|span|br|b|i|em|strong|a|li|ul|td|tr|table|h[1-6])\b[^<>]{0,200}>")
NEWLINES = re.compile(r"\\n|<newline>|<br\s*/?>")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffc]")
"""Control characters, and the character that notes apps write in place of a picture."""
_BREAKING = re.compile(r"<br\b|</(?:p|div|li|tr|h[1-6])\b")


def strip_tags(text: str) -> str:
    """Take HTML tags out; where one ends a line, a line ends."""
    return TAGS.sub(lambda tag: "\n" if _BREAKING.match(tag[0]) else "", text)


def break_lines(text: str) -> str:
    """Replace line breaks that are spelled out (`\\n`, `<newline>`, `<br>`) by line breaks."""
    return NEWLINES.sub("\n", text)


def strip_control(text: str) -> str:
    """Take out control characters and placeholders of pictures; tabs and line breaks stay."""
    return CONTROL.sub("", text)


def mend_mojibake(text: str) -> str:
    """Mend text that was read in a wrong encoding once, `cafÃ©` (ftfy)."""
    try:
        import ftfy
    except ImportError:
        raise MissingExtraError("--clean mojibake", "clean") from None
    return ftfy.fix_encoding(text)


def strip_markers(text: str) -> str:
    """Take `<|startoftext|>` and `<|endoftext|>` out."""
    return text.replace(START_OF_TEXT, "").replace(END_OF_TEXT, "")


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


STEPS: Mapping[str, Step] = {
    "markers": strip_markers,
    "mojibake": mend_mojibake,
    "entities": undo_entities,
    "newlines": break_lines,
    "tags": strip_tags,
    "control": strip_control,
    "gutenberg": strip_gutenberg,
    "news": strip_news,
    "spaces": join_spaces,
    "detokenize": detokenize,
    "quotes": straighten_quotes,
    "unwrap": unwrap,
    "whitespace": squeeze,
}
"""The steps by name, in the order in which they are applied."""
