"""Score texts against references: ROUGE, BLEU, chrF, verbatim, and answers to questions.

The reference packages count the words: rouge-score as its authors set it (Porter's stemmer, mean
F1 over documents), sacrebleu with its defaults. With several references ROUGE takes the best score,
and BLEU and chrF follow sacrebleu.

Answers get exact match and F1 by the rules of CoQA (Reddy et al., 2019): answer and reference in
lower case, without punctuation and articles, with single spaces. With several references, the
score is the mean over all subsets without one reference of the best match in the subset, so that
it compares with the scores of human answers.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from penwright.errors import MissingExtraError
from penwright.metrics.interval import (
    PLAIN,
    Figure,
    Floats,
    Resampling,
    as_references,
    make_figure,
    mean_of,
    percent,
)

References = Sequence[str | Sequence[str]]

ROUGE_NAMES = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}
BLEU_ORDER = 4
CHRF_ORDER = 6
CHRF_BETA = 2

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def score_rouge(
    texts: Sequence[str], references: References, how: Resampling = PLAIN
) -> tuple[Figure, ...]:
    """Return ROUGE-1, ROUGE-2 and ROUGE-L F1 (Lin, 2004).

    Raises MissingExtraError without rouge-score, DataError when texts and references do not pair.
    """
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError:
        raise MissingExtraError("ROUGE", "eval") from None
    scorer = RougeScorer(list(ROUGE_NAMES), use_stemmer=True)
    scores = [
        scorer.score_multi(wanted, text)
        for text, wanted in zip(texts, as_references(references, len(texts)), strict=True)
    ]
    return tuple(
        make_figure(name, mean_of([score[kind].fmeasure for score in scores]), percent, how)
        for kind, name in ROUGE_NAMES.items()
    )


def score_bleu(texts: Sequence[str], references: References, how: Resampling = PLAIN) -> Figure:
    """Return corpus BLEU (Papineni et al., 2002), as sacrebleu computes it.

    Raises MissingExtraError without sacrebleu, DataError when texts and references do not pair.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError:
        raise MissingExtraError("BLEU", "eval") from None
    # Affects the scores of single sentences only; without it sacrebleu warns.
    scorer = BLEU(max_ngram_order=BLEU_ORDER, effective_order=True)
    rows = []
    for text, wanted in zip(texts, as_references(references, len(texts)), strict=True):
        score = scorer.sentence_score(text, wanted)
        rows.append([score.sys_len, score.ref_len, *score.counts, *score.totals])
    return make_figure("BLEU", np.array(rows, dtype=np.float64), bleu_of, how)


def bleu_of(sums_RD: Floats) -> Floats:
    """Compute BLEU from lengths, reference lengths, matches and n-grams of orders 1 to 4.

    An order without a match gets half of the one before it as its precision (NIST's smoothing,
    method 3 of Chen and Cherry, 2014); an order without n-grams makes the score 0.
    """
    length, wanted = sums_RD[:, 0], sums_RD[:, 1]
    matches = sums_RD[:, 2 : 2 + BLEU_ORDER]
    ngrams = sums_RD[:, 2 + BLEU_ORDER :]
    with np.errstate(divide="ignore", invalid="ignore"):
        halvings = np.cumsum(matches == 0, axis=1)
        precisions = np.where(matches > 0, matches, 0.5**halvings) / ngrams
        brevity = np.where(length < wanted, np.exp(1 - wanted / length), 1.0)
        score = 100 * brevity * np.exp(np.log(precisions).mean(axis=1))
    exists = (matches.sum(axis=1) > 0) & (ngrams > 0).all(axis=1)
    return np.where(exists, score, 0.0)


def score_chrf(texts: Sequence[str], references: References, how: Resampling = PLAIN) -> Figure:
    """Return chrF2, the F-score of character n-grams up to 6 (Popović, 2015), as in sacrebleu.

    Needs no package. Raises DataError when texts and references do not pair.
    """
    rows = [
        max((_chrf_counts(text, one) for one in wanted), key=lambda row: chrf_of(row[None])[0])
        for text, wanted in zip(texts, as_references(references, len(texts)), strict=True)
    ]
    return make_figure("chrF", np.array(rows), chrf_of, how)


def chrf_of(sums_RD: Floats) -> Floats:
    """Compute chrF from counts of each order: the text's, the reference's and common n-grams."""
    written, wanted, common = (sums_RD[:, i::3] for i in range(3))
    both = (written > 0) & (wanted > 0)
    orders = np.maximum(both.sum(axis=1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(both, common / written, 0.0).sum(axis=1) / orders
        recall = np.where(both, common / wanted, 0.0).sum(axis=1) / orders
        weight = CHRF_BETA**2
        # In sacrebleu's order of operations, since rounding decides between equal references.
        score = (1 + weight) * precision * recall / (weight * precision + recall)
    return np.where(precision + recall > 0, 100 * score, 0.0)


def score_verbatim(texts: Sequence[str], references: References, how: Resampling = PLAIN) -> Figure:
    """Return the share of texts that begin with a reference exactly, outer white space aside.

    Raises DataError when texts and references do not pair.
    """
    same = [
        float(any(text.strip().startswith(one.strip()) for one in wanted))
        for text, wanted in zip(texts, as_references(references, len(texts)), strict=True)
    ]
    return make_figure("verbatim", mean_of(same), percent, how)


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
    texts: Sequence[str], references: References, how: Resampling = PLAIN
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


def _chrf_counts(text: str, reference: str) -> Floats:
    counts: list[float] = []
    written, wanted = "".join(text.split()), "".join(reference.split())
    for order in range(1, CHRF_ORDER + 1):
        mine, theirs = _ngrams(written, order), _ngrams(wanted, order)
        # Like sacrebleu, skip orders that the reference is too short for.
        counts += [
            mine.total() if theirs else 0,
            theirs.total(),
            (mine & theirs).total(),
        ]
    return np.array(counts, dtype=np.float64)


def _ngrams(text: str, order: int) -> Counter[str]:
    return Counter(text[i : i + order] for i in range(len(text) - order + 1))
