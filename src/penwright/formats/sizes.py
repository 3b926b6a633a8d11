"""Documents that are too long for what they are meant for, counted in tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from penwright.config import DataConfig
from penwright.document import Document, Source
from penwright.wording import Warn

Size = Callable[[str], int]
"""The tokens of a text."""

AROUND = 2
"""The end-of-text tokens before and after a document."""


def short_enough(
    documents: Iterable[Document], most: int, size: Size, warn: Warn
) -> Iterator[Document]:
    """Yield documents of at most `most` tokens, end-of-text tokens included; count the others."""
    begins, keeps = True, True
    left_out: list[Source] = []
    for document in documents:
        if begins:
            # One that comes in pieces is longer than any limit.
            keeps = not document.more and (
                AROUND + sum(size(span.text) for span in document.spans) <= most
            )
            left_out += [] if keeps else [document.source]
        begins = not document.more
        if keeps:
            yield document
    tell_of_long(left_out, most, warn)


def tell_of_long(left_out: list[Source], most: int, warn: Warn) -> None:
    """Warn how many documents were left out, and where the first is."""
    if len(left_out) == 1:
        warn(f"{left_out[0]}: 1 document of more than {most:,} tokens was left out.")
    elif left_out:
        warn(
            f"{left_out[0]}: {len(left_out):,} documents of more than {most:,} tokens were left "
            "out, this one first."
        )


class Room:
    """How much of a dialogue fits --max-words and --max-tokens, turn after turn."""

    def __init__(self, data: DataConfig, size: Size | None) -> None:
        self._words = data.max_words
        self._tokens = None if data.max_tokens is None else data.max_tokens - AROUND
        self._size = size

    def takes(self, text: str) -> bool:
        """Take up the room of a text; return whether there was enough."""
        if self._words is not None:
            self._words -= len(text.split())
        if self._tokens is not None and self._size is not None:
            self._tokens -= self._size(text)
        return min(self._words or 0, self._tokens or 0) >= 0
