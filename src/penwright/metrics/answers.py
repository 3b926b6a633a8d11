"""Score answers to questions: exact match and F1 by the rules of CoQA (Reddy et al., 2019).

Answer and reference are normalised: lower case, no punctuation, no articles, single spaces. With
several references, the score is the mean over all subsets without one reference of the best match
in the subset, so that it compares with the scores of the people who answered.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from penwright.metrics.interval import (
    PLAIN,
    Figure,
    Resampling,
    as_references,
    make_figure,
    mean_of,
    percent,
)

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(answer: str) -> str:
    """Return an answer in lower case, without punctuation and articles."""
    plain = answer.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def exact_match(answer: str, reference: str) -> float:
    """Return 1 if both are equal after `normalise`, else 0."""
    return float(normalise(answer) == normalise(reference))


def word_f1(answer: str, reference: str) -> float:
    """Return the F1 of the common words, 0 to 1; two empty answers agree."""
    given, wanted = normalise(answer).split(), normalise(reference).split()
    if not given or not wanted:
        return float(given == wanted)
    common = (Counter(given) & Counter(wanted)).total()
    if common == 0:
        return 0.0
    precision, recall = common / len(given), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def score_answer(answer: str, references: Sequence[str]) -> tuple[float, float]:
    """Return exact match and F1 of one answer, each from 0 to 1."""
    exact = [exact_match(answer, reference) for reference in references]
    f1 = [word_f1(answer, reference) for reference in references]
    return _leave_one_out(exact), _leave_one_out(f1)


def score_answers(
    texts: Sequence[str],
    references: Sequence[str | Sequence[str]],
    how: Resampling = PLAIN,
) -> tuple[Figure, Figure]:
    """Return exact match and F1 over all answers; `how.documents` names their passages.

    Raises DataError when answers and references do not pair.
    """
    scores = [
        score_answer(text, wanted)
        for text, wanted in zip(texts, as_references(references, len(texts)), strict=True)
    ]
    return (
        make_figure("exact match", mean_of([exact for exact, _ in scores]), percent, how),
        make_figure("F1", mean_of([f1 for _, f1 in scores]), percent, how),
    )


def _leave_one_out(scores: Sequence[float]) -> float:
    if len(scores) == 1:
        return scores[0]
    best = [max([*scores[:left], *scores[left + 1 :]]) for left in range(len(scores))]
    return sum(best) / len(best)
