"""Random orders that are pure functions of their seeds, the same on every machine and version."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt


def permutation(n: int, *seeds: int | str) -> npt.NDArray[np.int64]:
    """A random order of 0 to n - 1."""
    return np.argsort(random_words(n, *seeds), kind="stable")


def random_words(n: int, *seeds: int | str) -> npt.NDArray[np.uint64]:
    """n random 64-bit numbers: SplitMix64 (Steele, Lea and Flood 2014) from a hashed seed."""
    digest = hashlib.sha256("/".join(map(str, seeds)).encode()).digest()
    start = np.uint64(int.from_bytes(digest[:8], "little"))
    state = start + np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
