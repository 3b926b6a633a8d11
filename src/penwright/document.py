"""Define documents, made of spans that are learned or context, and the markers in texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

END_OF_TEXT = "<|endoftext|>"
"""Ends a document in a text file; the name of GPT-2's end-of-text token."""
START_OF_TEXT = "<|startoftext|>"
"""Begins a document in files made for gpt-2-simple; ordinary text to GPT-2's tokenizer."""

MACHINE_WRITTEN = "machine_written"
"""A key of JSON records about generated text; its value is true."""

IGNORED = -100
"""The target of a token that is not learned (torch's default `ignore_index`)."""

WORD_END = re.compile(r"\S(?=[ \t\n\r\f\v])")
"""A character before ASCII white space: no GPT-2 token reaches across the end of this match."""


class Span(NamedTuple):
    """A stretch of a document's text; only with `learn` are its tokens targets of the loss."""

    text: str
    learn: bool = True


class Source(NamedTuple):
    """The origin of a document: a path as the user gave it, and a line or row counted from 1."""

    path: str
    line: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True)
class Document:
    """An ordered tuple of spans, a few fields (`category`, `score`, ...), and its source.

    A document of many megabytes comes in pieces, to bound memory: `more` is true if the next
    Document continues this one. Pieces end where tokens of GPT-2 end.

    Documents of one `group`, such as the variants of a row, are trained on or held out together.
    Consecutive documents with `alternative` count as one in training, which takes another of
    them in each epoch.
    """

    spans: tuple[Span, ...]
    source: Source
    fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    more: bool = False
    group: str = ""
    alternative: bool = False

    @property
    def text(self) -> str:
        """Return the text of all spans."""
        return "".join(span.text for span in self.spans)

    @property
    def learned(self) -> str:
        """Return the text of the learned spans."""
        return "".join(span.text for span in self.spans if span.learn)


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Join neighbouring spans that are both learned, or both not."""
    merged: list[Span] = []
    for span in spans:
        if merged and merged[-1].learn == span.learn:
            merged[-1] = Span(merged[-1].text + span.text, span.learn)
        else:
            merged.append(span)
    return tuple(merged)
