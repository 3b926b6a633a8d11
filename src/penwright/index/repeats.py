"""Find passages that occur in a data set more than once, and spans of a text copied from it.

Lengths count only tokens that hold a letter or a digit, so that indentation and rules made of
dashes are no passages.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penwright.index.suffix_index import SuffixIndex
from penwright.tokens import Tokenizer
from penwright.tokens.store import Bool, Int64, Store

_GROUP_TOKENS = 1 << 22  # tokens whose passages are hashed at once
_PASS_TOKENS = 1 << 25  # tokens whose hashes are held in memory at once
_BASE = 0x9E3779B97F4A7C15  # odd, so it has an inverse modulo 2**64


class Span(NamedTuple):
    """A stretch of a text's tokens [start, end) that also occurs in the training text."""

    start: int
    end: int
    length: int
    """Its tokens that hold a letter or a digit."""
    position: int
    """Position in the store where such a passage begins."""


class CopiedText(NamedTuple):
    """The copied spans of one text."""

    spans: tuple[Span, ...]
    counted: int
    """Tokens of the text that hold a letter or a digit."""
    copied: int
    """Those of them that are in the spans."""

    @property
    def longest(self) -> int:
        """Return the length of the longest span, 0 if nothing is copied."""
        return max((span.length for span in self.spans), default=0)


class Repeats(NamedTuple):
    """Passages that repeat an earlier one, in order: int64 [n, 3] of start, end, earlier start."""

    copies: Int64
    n_tokens: int
    """Tokens of the data."""

    @property
    def share(self) -> float:
        """Return the share of the data's tokens that repeat earlier ones."""
        return float((self.copies[:, 1] - self.copies[:, 0]).sum()) / max(1, self.n_tokens)


def counted_tokens(tokenizer: Tokenizer) -> Bool:
    """Return for each token of the vocabulary whether it has a letter or digit, bool [V].

    A token that is a part of a character counts: it can only belong to one outside of ASCII.
    """
    texts = (tokenizer.decode([token]) for token in range(tokenizer.vocab_size))
    words = (any(c.isalnum() or c == "\N{REPLACEMENT CHARACTER}" for c in text) for text in texts)
    counted = np.fromiter(words, np.bool_, tokenizer.vocab_size)
    counted[tokenizer.eot_id] = False
    return counted


def find_copied(
    index: SuffixIndex,
    texts: Sequence[npt.ArrayLike],
    counted: Bool,
    min_tokens: int,
    begins: Sequence[int] | None = None,
) -> list[CopiedText]:
    """Find the longest spans of each text (token ids) that occur verbatim in the index.

    A span has at least `min_tokens` counted tokens and is part of no longer one; two may overlap.
    With `begins`, the tokens of a text before that place are a prompt: a span may begin there,
    but what stands there is not counted.
    """
    nothing = index.store.vocab_size
    ids = [np.append(np.asarray(text, np.int64), nothing) for text in texts]
    line = np.concatenate([np.empty(0, np.int64), *ids])
    lengths, positions = index.longest_matches(line, at_least=min_tokens)
    padded = np.append(counted, False)
    found, start = [], 0
    for text, begin in zip(ids, begins or [0] * len(ids), strict=True):
        end = start + len(text)
        counts = padded[np.minimum(text, len(counted))]
        counts[:begin] = False
        found.append(_spans(counts, lengths[start:end], positions[start:end], min_tokens))
        start = end
    return found


def _spans(counted: Bool, lengths: Int64, positions: Int64, min_tokens: int) -> CopiedText:
    """Return the spans of one text, given which tokens count and their longest matches."""
    counts = np.append(0, np.cumsum(counted))
    spans: list[Span] = []
    covered = np.zeros(len(counted), np.bool_)
    last_end = 0
    for start in np.flatnonzero(lengths).tolist():
        end = start + int(lengths[start])
        length = int(counts[end] - counts[start])
        if end > last_end and length >= min_tokens:
            last_end = end
            spans.append(Span(start, end, length, int(positions[start])))
            covered[start:end] = True
    return CopiedText(tuple(spans), int(counts[-1]), int(counted[covered].sum()))


def find_repeats(store: Store, ranges: Int64, counted: Bool, min_tokens: int) -> Repeats:
    """Find all passages of `min_tokens` counted tokens or more that stand earlier as well.

    `ranges` (int64 [n, 2], in order) are positions of the store; no passage crosses one. Passages
    are compared by 64-bit hashes: among 20 million, two differ and look alike with a probability
    of 1e-5. Takes 24 bytes a token, for at most 32 million tokens at once.
    """
    total = int((ranges[:, 1] - ranges[:, 0]).sum())
    passes = -(-total // _PASS_TOKENS)
    found = [np.empty((0, 3), np.int64)]
    for number in range(passes):
        grams = list(_hash_grams(store, ranges, counted, min_tokens, number, passes))
        hashes, starts, ends = (np.concatenate(column) for column in zip(*grams, strict=True))
        found.append(_later(hashes, starts, ends))
    grams_G3 = np.concatenate(found)
    return Repeats(_merge(grams_G3[np.argsort(grams_G3[:, 0])]), total)


def _hash_grams(
    store: Store, ranges: Int64, counted: Bool, length: int, number: int, passes: int
) -> Iterator[tuple[npt.NDArray[np.uint64], Int64, Int64]]:
    """Yield hash, start and end of each passage of `length` counted tokens, for one pass."""
    values = np.random.default_rng(0).integers(0, 1 << 64, len(counted), np.uint64)
    inverse = np.uint64(pow(_BASE, -1, 1 << 64))
    sizes = np.cumsum(ranges[:, 1] - ranges[:, 0])
    for group in np.split(ranges, np.flatnonzero(np.diff(sizes // _GROUP_TOKENS)) + 1):
        tokens = np.concatenate([store.tokens(start, end) for start, end in group.tolist()])
        lengths = group[:, 1] - group[:, 0]
        owner = np.repeat(np.arange(len(group)), lengths)
        places = np.flatnonzero(counted[tokens])
        last = places[length - 1 :]
        first = places[: len(last)]
        within = owner[first] == owner[last]
        first, last = first[within], last[within] + 1
        powers = np.cumprod(np.full(len(tokens), np.uint64(_BASE)))
        unpowers = np.cumprod(np.full(len(tokens), inverse))
        sums = np.append(np.uint64(0), np.cumsum(values[tokens] * powers))
        hashes = (sums[last] - sums[first]) * unpowers[first]
        mine = np.flatnonzero(hashes % np.uint64(passes) == number)
        shift = (group[:, 0] - (np.cumsum(lengths) - lengths))[owner[first[mine]]]
        yield hashes[mine], first[mine] + shift, last[mine] + shift


def _later(hashes: npt.NDArray[np.uint64], starts: Int64, ends: Int64) -> Int64:
    """Return start, end and first start of each passage with an earlier hash, int64 [n, 3]."""
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    first = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)])
    leaders = np.repeat(order[first], np.diff(np.append(first, len(hashes))))
    later = leaders != order
    return np.stack([starts[order[later]], ends[order[later]], starts[leaders[later]]], axis=1)


def _merge(grams: Int64) -> Int64:
    """Join passages that overlap, and whose earlier ones lie alike, into longer ones."""
    if not len(grams):
        return grams
    ends = np.maximum.accumulate(grams[:, 1])
    distance = grams[:, 0] - grams[:, 2]
    begins = np.append(True, (grams[1:, 0] >= ends[:-1]) | (distance[1:] != distance[:-1]))
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(grams)) - 1
    starts, earlier = grams[first, 0], grams[first, 2]
    overlap = np.maximum(0, np.append(0, ends[last][:-1] - starts[1:]))
    merged = np.stack([starts + overlap, ends[last], earlier + overlap], axis=1)
    return merged[merged[:, 0] < merged[:, 1]]
