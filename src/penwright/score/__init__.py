"""Held-out loss, perplexity and bits per byte, by document or token; notebooks' perplexity."""

from penwright.score.average import BatchAverage, batch_average
from penwright.score.document_scores import DocumentScores, score_tokens
from penwright.score.losses import (
    Losses,
    Score,
    batches,
    cut,
    score_windows,
    token_losses,
)

__all__ = [
    "BatchAverage",
    "DocumentScores",
    "Losses",
    "Score",
    "batch_average",
    "batches",
    "cut",
    "score_tokens",
    "score_windows",
    "token_losses",
]
