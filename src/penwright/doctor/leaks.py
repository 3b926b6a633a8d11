"""Documents that are there twice; held-out ones whose text is trained on only measure memory."""

from __future__ import annotations

import numpy as np

from penwright.doctor.survey import Int64
from penwright.tokens import Part, Store


def count_repeats(store: Store) -> int:
    """How many documents have the very tokens of an earlier one."""
    return store.n_documents - len(np.unique(store.digests))


def find_leaks(training: Part, held_out: Part, digests: Int64 | None = None) -> Int64:
    """Indices into the held-out ranges of documents whose very tokens are trained on too.

    `digests` has other numbers by which the store's documents are told apart.
    """
    if digests is None:
        digests = held_out.store.digests
    trained = digests[_numbers(training)]
    return np.flatnonzero(np.isin(digests[_numbers(held_out)], trained))


def move_leaks(training: Part, held_out: Part, leaks: Int64) -> tuple[Part, Part]:
    """Both parts with the leaked documents in training; one document stays held out at least."""
    leaks = leaks[: max(0, len(held_out) - 1)]
    stays = np.ones(len(held_out), np.bool_)
    stays[leaks] = False
    moved = np.concatenate([training.ranges, held_out.ranges[~stays]])
    order = np.argsort(moved[:, 0], kind="stable")
    return Part(training.store, moved[order]), Part(held_out.store, held_out.ranges[stays])


def _numbers(part: Part) -> Int64:
    """The numbers of the documents that the ranges begin in."""
    found: Int64 = np.searchsorted(part.store.offsets, part.ranges[:, 0], side="right") - 1
    return found
