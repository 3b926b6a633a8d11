"""What every format yields: documents made of spans, each learned or context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of a document's text; loss falls on it only when `learn` is true."""

    text: str
    learn: bool = True


class Source(NamedTuple):
    """Where a document came from: a path as the user gave it, and a line or row counted from 1."""

    path: str
    line: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Document:
    """An ordered tuple of spans, a few fields (`category`, `score`, ...), and its source.

    A document of many megabytes comes in pieces, so that nobody has to hold all of it: `more` is
    true when the next Document continues this one. Pieces are cut where GPT-2's tokens end.

    Documents of one `group`, such as the variants of a row, are trained on or held out together.
    Those that follow one another as each other's `alternative` are one document to training,
    which takes another of them in each pass.
    """

    spans: tuple[Span, ...]
    source: Source
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    more: bool = False
    group: str = ""
    alternative: bool = False

    @property
    def text(self) -> str:
        """The whole text, learned or not."""
        return "".join(span.text for span in self.spans)

    @property
    def learned(self) -> str:
        """The text that loss falls on."""
        return "".join(span.text for span in self.spans if span.learn)


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the same text in as few spans as there can be."""
    merged: list[Span] = []
    for span in spans:
        if merged and merged[-1].learn == span.learn:
            merged[-1] = Span(merged[-1].text + span.text, span.learn)
        else:
            merged.append(span)
    return tuple(merged)
