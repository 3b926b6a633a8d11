"""A store that is an array, and lines of few different tokens, which repeat a lot."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st


class ArrayStore:
    """The part of a token store that an index reads, over a list of documents."""

    def __init__(self, documents, vocab_size: int) -> None:
        sizes = [len(document) for document in documents]
        self.line = np.array([token for d in documents for token in d], np.uint32)
        self.vocab_size = vocab_size
        self.n_tokens = len(self.line)
        self.header = {"fingerprint": self.line.tobytes().hex()}
        ends = np.cumsum(sizes)
        self.ranges = np.stack([ends - sizes, ends], axis=1).astype(np.int64)

    def tokens(self, start: int, end: int):
        return self.line[start:end]


def documents_of(most: int) -> st.SearchStrategy:
    """Documents of tokens below `most`."""
    return st.lists(st.lists(st.integers(0, most - 1), min_size=1, max_size=60), max_size=6)


VOCABULARIES = st.sampled_from([2, 3, 300, 65_535, 65_536, 200_000])
