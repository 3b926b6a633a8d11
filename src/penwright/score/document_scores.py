"""Log-probability, rank and entropy of each token, with the likeliest tokens at its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from penwright.document import IGNORED
from penwright.model import GPT2, evaluating, token_scores
from penwright.score.losses import batches, check_stride, learned, load, tokens_a_batch
from penwright.tokens import Split


@dataclass(frozen=True)
class DocumentScores:
    """The scores of a document's T tokens, in nats; K is the number of likeliest tokens.

    Tokens that are not `scored`, as they are context or the first one, have zeros.
    """

    ids_T: np.ndarray[Any, Any]
    scored_T: np.ndarray[Any, Any]
    logprobs_T: np.ndarray[Any, Any]
    ranks_T: np.ndarray[Any, Any]
    entropies_T: np.ndarray[Any, Any]
    best_TK: np.ndarray[Any, Any]
    best_logprobs_TK: np.ndarray[Any, Any]

    @classmethod
    def zeros(cls, ids_T: np.ndarray[Any, Any], best: int) -> DocumentScores:
        """Return scores to be filled in."""
        n = len(ids_T)
        return cls(
            ids_T,
            np.zeros(n, dtype=bool),
            np.zeros(n),
            np.zeros(n, dtype=np.int64),
            np.zeros(n),
            np.zeros((n, best), dtype=np.int64),
            np.zeros((n, best)),
        )


def score_tokens(
    model: GPT2,
    split: Split,
    *,
    best: int = 5,
    stride: int | None = None,
    autocast: AbstractContextManager[object] | None = None,
) -> Iterator[DocumentScores]:
    """Yield the scores of each document's tokens, with the `best` tokens at each place.

    The tokens and their windows are those of `score_windows`, so the sums are equal.
    """
    context = model.config.n_positions
    stride = check_stride(stride, context)
    best = min(best, len(model.head_weight_VC))
    waiting: list[int] = []
    held = 0
    for document, (a, b) in enumerate(split.ranges.tolist()):
        waiting.append(document)
        held += b - a
        if held >= tokens_a_batch(model) or document == len(split) - 1:
            with autocast or nullcontext():
                found = _score_some(model, split, waiting, best, stride)
            yield from found
            waiting, held = [], 0


def _score_some(
    model: GPT2, split: Split, documents: Sequence[int], best: int, stride: int
) -> list[DocumentScores]:
    some = Split(split.store, split.ranges[documents[0] : documents[-1] + 1])
    found = [
        DocumentScores.zeros(split.store.tokens(a, b).astype(np.int64), best)
        for a, b in some.ranges.tolist()
    ]
    device = model.head_weight_VC.device
    windows = list(learned(some, model.config.n_positions, stride))
    for batch in batches(windows, tokens_a_batch(model)):
        tokens_BT, targets_BT = load(split.store, batch)
        with evaluating(model), torch.no_grad():
            hidden_BTC = model(tokens_BT.to(device))
            for row, window in enumerate(batch):
                wanted_T = targets_BT[row] != IGNORED
                scores = token_scores(
                    hidden_BTC[row][wanted_T.to(device)],
                    model.head_weight_VC,
                    targets_BT[row][wanted_T].to(device),
                    best,
                )
                first = window.start + 1 - int(some.ranges[window.document][0])
                places = first + np.flatnonzero(wanted_T.numpy())
                document = found[window.document]
                document.scored_T[places] = True
                document.logprobs_T[places] = scores.logprobs_N.cpu().double().numpy()
                document.ranks_T[places] = scores.ranks_N.cpu().numpy()
                document.entropies_T[places] = scores.entropies_N.cpu().double().numpy()
                document.best_TK[places] = scores.best_NK.cpu().numpy()
                document.best_logprobs_TK[places] = scores.best_logprobs_NK.cpu().double().numpy()
    return found
