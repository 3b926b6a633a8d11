"""Documents that are nearly the same: MinHash over runs of words (Broder 1997), with rensa."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from penwright.errors import MissingExtraError
from penwright.formats import Document

WORDS = 3
"""Words in a run."""
SHORTEST = 8
"""Documents of fewer words are alike by chance, so they are not compared."""
_HASHES = 128
_BANDS = 16


def is_available() -> bool:
    """Whether rensa is installed."""
    try:
        import rensa  # type: ignore[import-untyped]  # noqa: F401
    except ImportError:
        return False
    return True


def find_near(documents: Iterable[Document], threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs (earlier, later) of documents that share this part of their runs of words.

    Each document is paired once at most, with the most alike of the earlier ones. Raises
    MissingExtraError without rensa.
    """
    try:
        from rensa import RMinHash, RMinHashLSH
    except ImportError:
        raise MissingExtraError("Looking for near duplicates", "dedup") from None
    index = RMinHashLSH(threshold=threshold, num_perm=_HASHES, num_bands=_BANDS)
    hashes: dict[int, RMinHash] = {}
    for number, text in enumerate(_texts(documents)):
        words = text.lower().split()
        if len(words) < SHORTEST:
            continue
        sketch = RMinHash(num_perm=_HASHES, seed=0)
        sketch.update([" ".join(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)])
        alike = [(sketch.jaccard(hashes[other]), -other) for other in index.query(sketch)]
        best = max(alike, default=(0.0, 0))
        if best[0] >= threshold:
            yield -best[1], number
        index.insert(number, sketch)
        hashes[number] = sketch


def _texts(documents: Iterable[Document]) -> Iterator[str]:
    """The texts, of a long document its first piece."""
    begins = True
    for document in documents:
        if begins:
            yield document.text
        begins = not document.more
