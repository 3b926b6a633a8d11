"""Held-out documents whose text is trained on: what they measure is memory."""

from __future__ import annotations

import hashlib

import numpy as np

from penwright.doctor.survey import Int64
from penwright.tokens.part import Part

_PIECE = 1 << 22


def find_leaked_tokens(training: Part, held_out: Part) -> Int64:
    """Indices into the held-out ranges of documents whose very tokens are trained on too.

    Only documents with the length, the learned tokens and the bytes of one on the other side are
    read, so that it takes no time where nothing is repeated.
    """
    ours, theirs = _marks(held_out), _marks(training)
    _, both = np.unique(np.concatenate([theirs, ours]), axis=0, return_inverse=True)
    mark_of, trained = both[len(theirs) :], both[: len(theirs)]
    in_doubt = np.flatnonzero(np.isin(mark_of, trained))
    if not len(in_doubt):
        return in_doubt
    seen = {_digest(training, i) for i in np.flatnonzero(np.isin(trained, mark_of)).tolist()}
    leaked = [i for i in in_doubt.tolist() if _digest(held_out, i) in seen]
    return np.array(leaked, dtype=np.int64)


def find_leaks(digests: Int64, training: Part, held_out: Part) -> Int64:
    """Indices into the held-out ranges of documents whose text is in training too.

    `digests` has a hash of each of the store's documents, in order.
    """
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


def _marks(part: Part) -> Int64:
    """[n, 3] what tells most documents apart without reading them."""
    lengths = part.ranges[:, 1] - part.ranges[:, 0]
    numbers = _numbers(part)
    return np.stack([lengths, part.learned, part.store.bytes[numbers]], axis=1)


def _digest(part: Part, index: int) -> bytes:
    start, end = part.ranges[index].tolist()
    digest = hashlib.blake2b(digest_size=12)
    for first in range(start, end, _PIECE):
        digest.update(part.store.tokens(first, min(first + _PIECE, end)).tobytes())
    return digest.digest()
