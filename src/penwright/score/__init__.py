"""Log-probabilities of given tokens: held-out loss, perplexity, bits per byte."""

from __future__ import annotations

from penwright.score.average import BatchAverage, batch_average
from penwright.score.scores import Score, score_documents, score_part

__all__ = ["BatchAverage", "Score", "batch_average", "score_documents", "score_part"]
