"""Random numbers as pure functions of their seeds: the same on every machine and version. No torch.

All come from SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
2014): output n of a seed is `mix(seed + n * GAMMA)` and needs none of the outputs before it.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

GAMMA = np.uint64(0x9E3779B97F4A7C15)
"""The step between two states of a generator."""


def mix(states: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's 64-bit output for each state."""
    z = (states ^ (states >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def combine(*numbers: int) -> int:
    """Return one 63-bit seed that depends on each of `numbers` and on their order."""
    state = np.zeros(1, dtype=np.uint64)
    for number in numbers:
        state = mix(state + np.uint64(number % 2**64) + GAMMA)
    return int(state[0]) >> 1


def random_words(n: int, *seeds: int | str) -> NDArray[np.uint64]:
    """Return n random 64-bit numbers."""
    digest = hashlib.sha256("/".join(map(str, seeds)).encode()).digest()
    start = np.uint64(int.from_bytes(digest[:8], "little"))
    return mix(start + np.arange(1, n + 1, dtype=np.uint64) * GAMMA)


def permutation(n: int, *seeds: int | str) -> NDArray[np.int64]:
    """Return 0 to n - 1 in random order."""
    return np.argsort(random_words(n, *seeds), kind="stable")
