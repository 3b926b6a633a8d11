"""How good texts are, in figures with their intervals. No torch.

    from penwright.metrics import measure

    print(measure(summaries, highlights, metrics=["rouge", "bleu"]))

rouge, bleu, chrf   how near texts come to their references
answers             exact match and F1, by the rules of CoQA
verbatim            the share of texts that begin with the very words of their references
keywords            the share of texts that hold what they were asked for
diversity           repetition within texts and between them
"""

from __future__ import annotations

from penwright.metrics.answers import exact_match, normalise, score_answer, score_answers, word_f1
from penwright.metrics.diversity import score_diversity
from penwright.metrics.interval import Figure, Resampling, exp_mean, make_figure, mean_of
from penwright.metrics.keywords import find_keywords, score_keywords
from penwright.metrics.overlap import score_bleu, score_chrf, score_rouge, score_verbatim
from penwright.metrics.table import METRICS, Measurements, measure, side_by_side

__all__ = [
    "METRICS",
    "Figure",
    "Measurements",
    "Resampling",
    "exact_match",
    "exp_mean",
    "find_keywords",
    "make_figure",
    "mean_of",
    "measure",
    "normalise",
    "score_answer",
    "score_answers",
    "score_bleu",
    "score_chrf",
    "score_diversity",
    "score_keywords",
    "score_rouge",
    "score_verbatim",
    "side_by_side",
    "word_f1",
]
