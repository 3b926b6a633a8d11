"""Cleaning steps that change text: a function of a text each, named as `--clean` names them."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping

from penwright.errors import MissingExtraError
from penwright.formats.clean.printed import straighten_quotes, strip_gutenberg, unwrap
from penwright.markers import END_OF_TEXT, START_OF_TEXT

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

    What notebooks on WritingPrompts do, to whose text their figures belong.
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
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BREAKING = re.compile(r"<br\b|</(?:p|div|li|tr|h[1-6])\b")


def strip_tags(text: str) -> str:
    """Take HTML tags out; where one ends a line, a line ends."""
    return TAGS.sub(lambda tag: "\n" if _BREAKING.match(tag[0]) else "", text)


def break_lines(text: str) -> str:
    """Replace line breaks that are spelled out (`\\n`, `<newline>`, `<br>`) by line breaks."""
    return NEWLINES.sub("\n", text)


def strip_control(text: str) -> str:
    """Take out control characters, all but tabs and line breaks."""
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
"""In the order in which they are taken, whatever the order in which they are asked for."""
