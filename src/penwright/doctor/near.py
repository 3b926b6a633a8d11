"""Documents that are nearly the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from penwright.document import Document
from penwright.errors import MissingExtraError
from penwright.formats.clean.choose import first_pieces
from penwright.formats.clean.near import NearIndex


def is_available() -> bool:
    """Whether rensa is installed."""
    try:
        NearIndex(1.0)
    except MissingExtraError:
        return False
    return True


def find_near(documents: Iterable[Document], threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs (earlier, later) of documents that share this part of their runs of words.

    Each document is paired once at most, with the most alike of the earlier ones; of a long one
    the first piece is looked at. Raises MissingExtraError without rensa.
    """
    index = NearIndex(threshold)
    for number, document in enumerate(first_pieces(documents)):
        other = index.add(document.text, alike=True)
        if other is not None:
            yield other, number
