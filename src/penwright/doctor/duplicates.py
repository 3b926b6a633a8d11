"""Find documents that repeat or resemble others, and held-out ones that are trained on too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from penwright.doctor.survey import Int64
from penwright.document import Document
from penwright.errors import MissingExtraError
from penwright.formats.clean.choose import first_pieces
from penwright.formats.clean.near import NearIndex
from penwright.tokens import Split, Store


def count_repeats(store: Store) -> int:
    """Return the number of documents with exactly the tokens of an earlier one."""
    return store.n_documents - len(np.unique(store.digests))


def find_leaks(training: Split, held_out: Split, digests: Int64 | None = None) -> Int64:
    """Return indices of held-out documents whose exact tokens are trained on too.

    `digests` has other numbers by which the store's documents are told apart.
    """
    if digests is None:
        digests = held_out.store.digests
    trained = digests[_numbers(training)]
    return np.flatnonzero(np.isin(digests[_numbers(held_out)], trained))


def move_leaks(training: Split, held_out: Split, leaks: Int64) -> tuple[Split, Split]:
    """Move leaked documents to the training part; at least one document stays held out."""
    leaks = leaks[: max(0, len(held_out) - 1)]
    stays = np.ones(len(held_out), np.bool_)
    stays[leaks] = False
    moved = np.concatenate([training.ranges, held_out.ranges[~stays]])
    order = np.argsort(moved[:, 0], kind="stable")
    return Split(training.store, moved[order]), Split(held_out.store, held_out.ranges[stays])


def _numbers(part: Split) -> Int64:
    """Return the numbers of the documents that the ranges begin in."""
    found: Int64 = np.searchsorted(part.store.offsets, part.ranges[:, 0], side="right") - 1
    return found


def is_available() -> bool:
    """Whether rensa is installed."""
    try:
        NearIndex(1.0)
    except MissingExtraError:
        return False
    return True


def find_near(documents: Iterable[Document], threshold: float) -> Iterator[tuple[int, int]]:
    """Yield pairs (earlier, later) of documents that share `threshold` of their word n-grams.

    Each document is paired once at most, with the most alike of the earlier ones; of a long one
    the first piece is looked at. Raises MissingExtraError without rensa.
    """
    index = NearIndex(threshold)
    for number, document in enumerate(first_pieces(documents)):
        other = index.add(document.text, alike=True)
        if other is not None:
            yield other, number


def count_duplicates(digests: Int64) -> tuple[int, list[tuple[int, int]]]:
    """Return the number of documents that repeat an earlier one, and pairs (first, repeated)."""
    if len(digests) == 0:
        return 0, []
    order = np.argsort(digests, kind="stable")
    same = digests[order][1:] == digests[order][:-1]
    begins = np.flatnonzero(np.concatenate([[True], ~same]))
    group = np.cumsum(np.concatenate([[True], ~same])) - 1
    firsts = order[begins][group]
    repeated = order[1:][same]
    pairs = sorted(zip(firsts[1:][same].tolist(), repeated.tolist(), strict=True), key=_second)
    return len(pairs), pairs


def _second(pair: tuple[int, int]) -> int:
    return pair[1]
