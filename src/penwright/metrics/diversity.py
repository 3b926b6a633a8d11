"""Score the variety of texts, within each and between them.

distinct-n     the share of a text's n-grams that are different from each other (Li et al., 2016),
               the mean over texts; of each text by itself, since the share falls with length
repetition     the share of a text's 4-grams that stood in it before (Welleck et al., 2020)
shared         the share of a text's 4-grams that another of the texts has too

Words are runs of letters and digits in lower case. A text too short for an n-gram is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from penwright.metrics.interval import PLAIN, Figure, Resampling, make_figure, mean_of, percent

Ngram = tuple[str, ...]

_WORD = re.compile(r"\w+")
_LONG = 4


def score_diversity(texts: Sequence[str], how: Resampling = PLAIN) -> tuple[Figure, ...]:
    """Return distinct-1, -2 and -3, repetition, and shared; raises DataError without texts."""
    words = [_WORD.findall(text.casefold()) for text in texts]
    figures = [
        make_figure(f"distinct-{n}", mean_of([distinct(ngrams(w, n)) for w in words]), percent, how)
        for n in (1, 2, 3)
    ]
    long = [ngrams(w, _LONG) for w in words]
    repeated = [None if (share := distinct(found)) is None else 1 - share for found in long]
    return (
        *figures,
        make_figure("repetition", mean_of(repeated), percent, how),
        make_figure("shared", mean_of(shared(long)), percent, how),
    )


def ngrams(words: Sequence[str], n: int) -> list[Ngram]:
    """Return all n-grams of `n` words."""
    return list(zip(*(words[i:] for i in range(n)), strict=False))


def distinct(found: Sequence[Ngram]) -> float | None:
    """Return the share of distinct n-grams; None without n-grams."""
    return len(set(found)) / len(found) if found else None


def shared(texts: Sequence[Sequence[Ngram]]) -> list[float | None]:
    """Return for each text the share of its n-grams that another text has; None without n-grams."""
    holders = Counter(ngram for found in texts for ngram in set(found))
    return [
        sum(holders[ngram] > 1 for ngram in found) / len(found) if found else None
        for found in texts
    ]
