"""Score texts without references: their variety, and the keywords that they were asked for.

distinct-n     share of a text's n-grams that are distinct (Li et al., 2016), as the mean over
               texts, each by itself, since the share falls with length
repetition     share of a text's 4-grams that occurred in it before (Welleck et al., 2020)
shared         share of a text's 4-grams that another of the texts has too

Words are runs of letters and digits in lower case. A text too short for an n-gram is left out.

A keyword is one or several words; dashes, spaces and underscores in it are alike. It is found when
its words follow one another in the text, whatever the case. A word may be inflected: keywords are
often dictionary forms, so `stare` is found in "staring" and `city` in "cities".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from penwright.errors import DataError
from penwright.metrics.interval import PLAIN, Figure, Resampling, make_figure, mean_of, percent

Ngram = tuple[str, ...]

_NGRAM = 4
_WORD = re.compile(r"\w+")
_TOKENS = re.compile(r"\w+(?:['’]\w+)*")
_PARTS = re.compile(r"[\W_]+")
_ENDINGS = r"(?:s|es|ed|d|er|ers|est|ing|ly|ies|ied|ier|iest|ily|['’]s)?"
_SHORTENED = 4  # letters of a word that may lose its last one, so that `us` does not match `use`


def score_diversity(texts: Sequence[str], how: Resampling = PLAIN) -> tuple[Figure, ...]:
    """Return distinct-1, -2 and -3, repetition, and shared; raises DataError without texts."""
    words = [split_words(text) for text in texts]
    figures = [
        make_figure(f"distinct-{n}", mean_of([distinct(ngrams(w, n)) for w in words]), percent, how)
        for n in (1, 2, 3)
    ]
    long = [ngrams(w, _NGRAM) for w in words]
    repeated = [None if (share := distinct(found)) is None else 1 - share for found in long]
    return (
        *figures,
        make_figure("repetition", mean_of(repeated), percent, how),
        make_figure("shared", mean_of(shared(long)), percent, how),
    )


def split_words(text: str) -> list[str]:
    """Return the words of a text: runs of letters and digits, in lower case."""
    return _WORD.findall(text.casefold())


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


def find_keywords(text: str, keywords: Sequence[str]) -> list[bool]:
    """Return for each keyword whether `text` contains it; one without letters always counts."""
    line = " " + " ".join(_TOKENS.findall(text.casefold().replace("-", " "))) + " "
    return [_pattern(keyword).search(line) is not None for keyword in keywords]


def score_keywords(
    texts: Sequence[str], wanted: Sequence[Sequence[str]], how: Resampling = PLAIN
) -> tuple[Figure, Figure]:
    """Return the shares of texts with all their keywords and of keywords that are found.

    Texts that were asked for none count in neither. Raises DataError when texts and lists of
    keywords do not pair.
    """
    if len(wanted) != len(texts):
        raise DataError(f"There are {len(texts):,} texts but keywords for {len(wanted):,}.")
    found = [find_keywords(text, words) for text, words in zip(texts, wanted, strict=True)]
    every = [float(all(hits)) if hits else None for hits in found]
    share = [sum(hits) / len(hits) if hits else None for hits in found]
    return (
        make_figure("texts with all keywords", mean_of(every), percent, how),
        make_figure("keywords found", mean_of(share), percent, how),
    )


def _pattern(keyword: str) -> re.Pattern[str]:
    words = [word for word in _PARTS.split(keyword.casefold()) if word]
    return re.compile(" " + " ".join(map(_inflected, words)) + " " if words else "")


def _inflected(word: str) -> str:
    """Return a pattern that matches a word and its regular English forms: run, running."""
    forms = [re.escape(word) + _ENDINGS]
    if len(word) >= _SHORTENED and word[-1] in "ey":
        forms.append(re.escape(word[:-1]) + _ENDINGS)
    if len(word) > 2 and word[-1] in "bdgklmnprt":
        forms.append(re.escape(word) + word[-1] + "(?:ed|er|ers|est|ing)")
    return f"(?:{'|'.join(forms)})"
