"""Score whether texts hold the keywords that they were asked for.

A keyword is one or several words; dashes, spaces and underscores in it are alike. It is there when
its words stand in the text one after another, whatever the case. A word may be inflected: keywords
are often dictionary forms, so `stare` is found in "staring" and `city` in "cities".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from penwright.errors import DataError
from penwright.metrics.interval import PLAIN, Figure, Resampling, make_figure, mean_of, percent

_WORDS = re.compile(r"\w+(?:['’]\w+)*")
_PARTS = re.compile(r"[\W_]+")
_ENDINGS = r"(?:s|es|ed|d|er|ers|est|ing|ly|ies|ied|ier|iest|ily|['’]s)?"
_LONG_ENOUGH = 4  # letters of a word that may lose its last one, so that `us` does not match `use`


def find_keywords(text: str, keywords: Sequence[str]) -> list[bool]:
    """Whether each keyword is in `text`; one without any letter always is."""
    line = " " + " ".join(_WORDS.findall(text.casefold().replace("-", " "))) + " "
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
    """Return a pattern of the word's regular English forms, such as running for run."""
    forms = [re.escape(word) + _ENDINGS]
    if len(word) >= _LONG_ENOUGH and word[-1] in "ey":
        forms.append(re.escape(word[:-1]) + _ENDINGS)
    if len(word) > 2 and word[-1] in "bdgklmnprt":
        forms.append(re.escape(word) + word[-1] + "(?:ed|er|ers|est|ing)")
    return f"(?:{'|'.join(forms)})"
