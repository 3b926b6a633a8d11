"""Read files of texts that begin with their keywords.

<|startoftext|>~`cats~^my-soul straight~@My little Clementine always ...<|endoftext|>
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from penwright.config import DataConfig
from penwright.document import START_OF_TEXT, Document, Source, Span
from penwright.errors import DataError, UsageError
from penwright.formats.decode import find_encoding, read_blocks
from penwright.formats.plain import TextReader
from penwright.formats.reader import Choice, Input
from penwright.formats.rows import EVERYTHING
from penwright.sections import (
    BEGINS,
    MARKS,
    NAME_OF,
    NAMES,
    SECTION,
    Marks,
    parse,
)
from penwright.wording import Warn, count

_FIRST_TEXTS = 100
_TEXT = ("title", "body")
_HEAD = re.compile(
    rf"\s*{re.escape(START_OF_TEXT)}{re.escape(SECTION)}[{re.escape(''.join(MARKS.values()))}]"
)
_PLAIN = Marks()


@dataclass(frozen=True)
class KeywordReader:
    """A file of texts that begin with their keywords; each is a document, without its marks."""

    choice: Choice
    texts: TextReader

    def documents(self, warn: Warn) -> Iterator[Document]:
        """Yield a document per text; texts without a title or body are left out and counted."""
        choice = self.choice
        strange, first = 0, 0
        for source, text in whole_texts(self.texts, warn):
            sections = parse(text)
            if any(name in sections for name in _TEXT):
                fields = {n: v for n, v in sections.items() if n not in _TEXT}
                spans = _spans(text, choice.sections, choice.learn)
                # The lines of one row differ in their keywords only.
                group = "\n".join(sections.get(name, "") for name in _TEXT)
                yield Document(spans, source, fields, group=group)
            elif text.strip(" =\n"):
                strange, first = strange + 1, first or (source.line or 0)
        if strange:
            left_out = f"{count(strange, 'text', 'was')} left out"
            warn(f"{choice.path}:{first}: {left_out}, without a title or body.")


def is_keyword_text(head: bytes) -> bool:
    """Return whether a text file begins as a file of such texts does."""
    return _HEAD.match(head[:100].decode("utf-8-sig", "replace")) is not None


def open_keywords(item: Input, data: DataConfig) -> KeywordReader:
    """Open a file of keyword texts; everything is learned unless --learn names sections."""
    texts = _open_texts(item.path, data.encoding, _PLAIN)
    found: dict[str, None] = {}
    for _, text in islice(whole_texts(texts, lambda _: None), _FIRST_TEXTS):
        found |= dict.fromkeys(parse(text))
    has = tuple(name for name in NAMES if name in found)
    if not set(has) & set(_TEXT):
        raise DataError(
            f"{item.path} has no texts that begin with keywords.",
            fix="Make them from a table with: penwright keywords encode",
        )
    for name in data.learn:
        if name != EVERYTHING and name not in has:
            raise UsageError(f"{item.path} has no section '{name}'.", fix=f"It has: {_and(has)}.")
    learn = has if EVERYTHING in data.learn or not data.learn else data.learn
    verb = "is" if len(learn) == 1 else "are"
    says = f"each text has {_and(has)}, of which {_and(learn)} {verb} learned"
    choice = Choice(item.path, "keywords", texts.choice.encoding, says, learn=learn, sections=has)
    return KeywordReader(choice, texts)


def decode_file(
    path: str | Path, marks: Marks, warn: Warn, encoding: str | None = None
) -> Iterator[dict[str, str]]:
    """Yield the sections of every text in a file; texts without any are counted in a warning."""
    strange = 0
    for _, text in whole_texts(_open_texts(str(path), encoding, marks), warn):
        if sections := parse(text, marks):
            yield sections
        elif text.strip(" =\n"):
            strange += 1
    if strange:
        warn(f"{path}: {count(strange, 'text', 'was')} left out, without any section.")


def whole_texts(texts: TextReader, warn: Warn) -> Iterator[tuple[Source, str]]:
    """Yield each text in one piece, and the line where it begins."""
    pieces: list[str] = []
    source: Source | None = None
    for document in texts.documents(warn):
        source = source or document.source
        pieces.append(document.text)
        if not document.more:
            yield source, "".join(pieces)
            pieces, source = [], None


def _open_texts(path: str, encoding: str | None, marks: Marks) -> TextReader:
    choice = Choice(path, "keywords", find_encoding(path, encoding))
    return TextReader(
        choice, re.compile(marks.borders), lambda warn: read_blocks(path, encoding, warn)
    )


def _spans(text: str, has: Sequence[str], learn: Sequence[str]) -> tuple[Span, ...]:
    """Split a text before its title and its body, where `generate --keywords` begins to write.

    If all sections are learned, so are the marks; else the mark before a title or body is context.
    """
    everything = set(has) <= set(learn)
    spans: list[Span] = []
    _, *parts = BEGINS.split(text)
    for mark, content in zip(parts[::2], parts[1::2], strict=True):
        name = NAME_OF[mark]
        is_text, learned = name in _TEXT, name in learn
        _add(spans, SECTION + mark, everything or (learned and not is_text))
        _add(spans, content, learned, apart=is_text)
    return tuple(spans)


def _add(spans: list[Span], text: str, learn: bool, *, apart: bool = False) -> None:
    if spans and spans[-1].learn == learn and not apart:
        spans[-1] = Span(spans[-1].text + text, learn)
    elif text:
        spans.append(Span(text, learn))


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
