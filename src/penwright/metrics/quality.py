"""Score free writing, to be set beside people's text of the same kind and length.

self-BLEU    BLEU of each text against all others (Zhu et al., 2018); high where texts are alike
loops        share of texts that repeat one passage three times in a row or more
words        words in a text, as the mean
vocabulary   distinct words in a text, as the mean

Legend: N texts, T words. Words are those of `reference_free`. A text too short for a figure is
left out of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from penwright.metrics.interval import (
    PLAIN,
    Figure,
    Floats,
    Resampling,
    make_figure,
    mean,
    mean_of,
    percent,
)
from penwright.metrics.reference_based import BLEU_ORDER, bleu_of
from penwright.metrics.reference_free import Ngram, ngrams, score_diversity, split_words

_REPEATS = 3
_LOOP_WORDS = 8  # so that `very, very, very` is no loop


def score_quality(texts: Sequence[str], how: Resampling = PLAIN) -> tuple[Figure, ...]:
    """Return the figures of `score_diversity`, self-BLEU, loops, words and vocabulary.

    Raises DataError without texts.
    """
    words = [split_words(text) for text in texts]
    lengths = [float(len(found)) for found in words]
    return (
        *score_diversity(texts, how),
        make_figure("self-BLEU", mean_of([_share(b) for b in self_bleu(words)]), percent, how),
        make_figure("loops", mean_of([float(has_loop(found)) for found in words]), percent, how),
        make_figure("words", mean_of(lengths), mean, how),
        make_figure("vocabulary", mean_of([float(len(set(w))) for w in words]), mean, how),
    )


def self_bleu(texts: Sequence[Sequence[str]]) -> list[float | None]:
    """Return the BLEU, 0 to 100, of each text with all others as its references.

    As sacrebleu computes BLEU of a sentence; None for a text of fewer than four words, or the
    only one.
    """
    if len(texts) < 2:
        return [None] * len(texts)
    counts = [[Counter(ngrams(t, n)) for n in range(1, BLEU_ORDER + 1)] for t in texts]
    best = [_two_highest([one[order] for one in counts]) for order in range(BLEU_ORDER)]
    lengths = sorted(map(len, texts))
    found: list[float | None] = []
    for text, orders in zip(texts, counts, strict=True):
        if len(text) < BLEU_ORDER:
            found.append(None)
            continue
        matches = [_clipped(mine, best[order]) for order, mine in enumerate(orders)]
        totals = [mine.total() for mine in orders]
        row = [len(text), _nearest(lengths, len(text)), *matches, *totals]
        found.append(float(bleu_of(np.array([row], dtype=np.float64))[0]))
    return found


def _two_highest(texts: Sequence[Counter[Ngram]]) -> dict[Ngram, tuple[int, int]]:
    """Return the highest count of each n-gram in a text, and the highest in any other text."""
    found: dict[Ngram, tuple[int, int]] = {}
    for counts in texts:
        for ngram, count in counts.items():
            first, second = found.get(ngram, (0, 0))
            found[ngram] = (max(first, count), max(second, min(first, count)))
    return found


def _clipped(mine: Counter[Ngram], best: dict[Ngram, tuple[int, int]]) -> int:
    """Count the n-grams that another text has too, each as often as there at most."""
    total = 0
    for ngram, count in mine.items():
        first, second = best[ngram]
        # Where this text holds the record, the second highest count is that of the others.
        total += min(count, second if count == first else first)
    return total


def _nearest(lengths: Sequence[int], length: int) -> int:
    """Return the nearest of the other texts' lengths, the shorter of two; `lengths` is sorted."""
    others = list(lengths)
    others.remove(length)
    return min(others, key=lambda other: (abs(other - length), other))


def has_loop(words: Sequence[str]) -> bool:
    """Return whether a passage stands three times in a row, or eight words long if it is short."""
    numbers: dict[str, int] = {}
    ids_T = np.array([numbers.setdefault(word, len(numbers)) for word in words])
    for period in range(1, len(ids_T) // _REPEATS + 1):
        needed = max(_REPEATS * period, _LOOP_WORDS) - period
        if _longest_run(ids_T[period:] == ids_T[:-period]) >= needed:
            return True
    return False


def _longest_run(same_T: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> int:
    breaks = np.flatnonzero(~np.concatenate([[False], same_T, [False]]))
    return int(np.diff(breaks).max()) - 1


def _share(score: float | None) -> float | None:
    return None if score is None else score / 100


def score_shares(name: str, counts_N2: Floats, how: Resampling = PLAIN) -> Figure:
    """Return a share in percent from two counts of each text: the part, and the whole."""
    return make_figure(name, counts_N2, percent, how)
