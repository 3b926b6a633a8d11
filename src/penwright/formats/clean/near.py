"""Texts that are nearly the same: MinHash over runs of words (Broder 1997), with rensa."""

from __future__ import annotations

from typing import Any

from penwright.errors import MissingExtraError

_RUN = 3
"""Words in a run."""
_FEWEST_WORDS = 8
"""Texts of fewer words are alike by chance, so they are not compared."""
_HASHES = 128
_BANDS = 16


class NearIndex:
    """An index of texts that finds near duplicates; raises MissingExtraError without rensa.

    `threshold` is the share of their runs of words that two texts have in common at least.
    """

    def __init__(self, threshold: float) -> None:
        try:
            import rensa  # type: ignore[import-untyped]
        except ImportError:
            raise MissingExtraError("Looking for near duplicates", "dedup") from None
        self._rensa = rensa
        self._threshold = threshold
        self._index = rensa.RMinHashLSH(threshold, _HASHES, _BANDS)
        self._sketches: dict[int, Any] = {}
        self._count = 0

    def add(self, text: str, *, alike: bool) -> int | None:
        """Add a text; return the number (from 0) of the earlier text most like it, or None.

        Whether or not it is like one it counts; with `alike` it is also kept if it is like one.
        """
        number = self._count
        self._count += 1
        words = text.lower().split()
        if len(words) < _FEWEST_WORDS:
            return None
        sketch = self._rensa.RMinHash(num_perm=_HASHES, seed=0)
        sketch.update([" ".join(words[i : i + _RUN]) for i in range(len(words) - _RUN + 1)])
        found = [
            (sketch.jaccard(self._sketches[other]), -other) for other in self._index.query(sketch)
        ]
        likeness, other = max(found, default=(0.0, 0))
        is_like = likeness >= self._threshold
        if alike or not is_like:
            self._index.insert(number, sketch)
            self._sketches[number] = sketch
        return -other if is_like else None
