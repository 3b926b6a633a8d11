"""Documents told apart by a number each: equal tokens, equal number.

A document of tokens t has the number sum(r(t_i) * P^i) modulo 2^64, where r gives each token a
random number and P is odd (Rabin and Karp 1987). The numbers of two stretches make that of both,
so a document may be read in pieces; and whole arrays of documents are summed at once.

Legend: N tokens, D stretches, which are documents or pieces of one.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from penwright.seeds import random_words

UInt64 = npt.NDArray[np.uint64]

_P = 0x9E3779B97F4A7C15
_INVERSE = pow(_P, -1, 1 << 64)
_MASK = (1 << 64) - 1


def digest_stretches(tokens_N: npt.NDArray[Any], borders: npt.NDArray[np.int64]) -> UInt64:
    """The number of each stretch, which goes from its border to the next, the last to the end."""
    weighed = _randoms(1 << max(int(tokens_N.max(initial=0)).bit_length(), 8))[tokens_N]
    size = 1 << len(tokens_N).bit_length()
    weighed *= _powers(_P, size)[: len(tokens_N)]
    sums = np.zeros(len(borders), dtype=np.uint64)
    begun = borders < len(tokens_N)  # all but an empty rest
    if begun.any():
        sums[begun] = np.add.reduceat(weighed, borders[begun], dtype=np.uint64)
    return sums * _powers(_INVERSE, size)[borders]


def join(first: int, length: int, second: int) -> int:
    """The number of a stretch of `length` tokens and the one after it."""
    return (first + pow(_P, length, 1 << 64) * second) & _MASK


@cache
def _randoms(count: int) -> UInt64:
    return random_words(count, "document digest")


@cache
def _powers(base: int, count: int) -> UInt64:
    powers = np.full(count, base, dtype=np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers, dtype=np.uint64)
