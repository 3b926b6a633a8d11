"""What changes the scores of the next token, as pure functions of the logits.

B batch, V vocabulary, T time. Each function takes float logits_BV and gives new ones, with -inf
where a token is ruled out, and does to each row the same whatever the other rows are. The order is
that of transformers: what looks at the text first (`process`: repetition penalty, repeated
n-grams, no early end), then what shapes the distribution (`warp`: temperature, top-k, top-p,
min-p). Greedy choice takes the likeliest token after `process` alone.

`ids_BT` is the text of each row so far, at the left, filled up with any number >= V.

These are the plain forms, each over the whole vocabulary; `draw.shortlist` gives the same
distribution as `warp` without sorting it all, and a test holds it to that.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from penwright.config import SamplingConfig
from penwright.errors import UsageError

RULED_OUT = float("-inf")


def check(sampling: SamplingConfig) -> None:
    """Raises UsageError for a setting that cannot be."""
    for name in (
        "max_new_tokens",
        "min_new_tokens",
        "temperature",
        "top_k",
        "no_repeat_ngram_size",
    ):
        if not getattr(sampling, name) >= 0:
            raise UsageError(f"{name} cannot be below 0.")
    for name in ("top_p", "min_p"):
        if not 0 <= getattr(sampling, name) <= 1:
            raise UsageError(f"{name} is a share between 0 and 1.")
    if not sampling.num_beams >= 1:
        raise UsageError("num_beams must be at least 1.")
    if not sampling.repetition_penalty > 0:
        raise UsageError("repetition_penalty must be above 0.")
    if not all(sampling.stop):
        raise UsageError("A stop text cannot be empty.")


def is_greedy(sampling: SamplingConfig) -> bool:
    """Whether the likeliest token is always taken."""
    return sampling.greedy or sampling.temperature == 0


def temperature(logits_BV: Tensor, t: float) -> Tensor:
    """Logits divided by `t` > 0."""
    return logits_BV / t


def top_k(logits_BV: Tensor, k: int) -> Tensor:
    """Keeps the k likeliest tokens, and those that are exactly as likely as the last of them.

    Fan, Lewis and Dauphin, "Hierarchical Neural Story Generation", 2018.
    """
    kth_B1 = logits_BV.topk(min(k, logits_BV.shape[-1])).values[:, -1:]
    return logits_BV.masked_fill(logits_BV < kth_B1, RULED_OUT)


def top_p(logits_BV: Tensor, p: float) -> Tensor:
    """Keeps the fewest likeliest tokens whose probabilities reach `p`, at least one.

    Tokens exactly as likely as the last one kept are kept too, so that the result does not depend
    on how a sort breaks ties.
    Holtzman et al., "The Curious Case of Neural Text Degeneration", 2019.
    """
    sorted_BV = logits_BV.sort(descending=True).values
    p_BV = sorted_BV.double().softmax(-1)
    before_BV = p_BV.cumsum(-1) - p_BV
    n_B1 = (before_BV < p).sum(-1, keepdim=True).clamp(min=1)
    return logits_BV.masked_fill(logits_BV < sorted_BV.gather(-1, n_B1 - 1), RULED_OUT)


def min_p(logits_BV: Tensor, share: float) -> Tensor:
    """Keeps the tokens at least `share` times as likely as the likeliest.

    Nguyen et al., "Turning Up the Heat: Min-p Sampling", 2024.
    """
    p_BV = logits_BV.softmax(-1)
    return logits_BV.masked_fill(p_BV < share * p_BV.amax(-1, keepdim=True), RULED_OUT)


def repetition_penalty(logits_BV: Tensor, ids_BT: Tensor, penalty: float) -> Tensor:
    """Divides the positive logits, and multiplies the negative ones, of tokens in the text.

    Keskar et al., "CTRL: A Conditional Transformer Language Model", 2019, section 4.1.
    """
    rows, vocabulary = logits_BV.shape
    seen_BV = torch.zeros(rows, vocabulary + 1, dtype=torch.bool, device=logits_BV.device)
    seen_BV.scatter_(1, ids_BT.clamp(max=vocabulary), True)
    softer_BV = torch.where(logits_BV < 0, logits_BV * penalty, logits_BV / penalty)
    return torch.where(seen_BV[:, :vocabulary], softer_BV, logits_BV)


def no_repeat_ngram(logits_BV: Tensor, ids_BT: Tensor, lengths_B: Tensor, n: int) -> Tensor:
    """Rules out tokens that would write a run of `n` tokens that stands in the text already.

    `lengths_B` says how many of `ids_BT` are text in each row.
    Paulus, Xiong and Socher, "A Deep Reinforced Model for Abstractive Summarization", 2017.
    """
    rows, vocabulary = logits_BV.shape
    if ids_BT.shape[1] < n:
        return logits_BV
    back_N = torch.arange(1 - n, 0, device=ids_BT.device)
    tail_BN = ids_BT.gather(1, (lengths_B[:, None] + back_N).clamp(min=0))
    runs_BWN = ids_BT.unfold(1, n, 1)
    same_BW = (runs_BWN[..., :-1] == tail_BN[:, None]).all(-1) & (lengths_B >= n)[:, None]
    banned_BW = torch.where(same_BW, runs_BWN[..., -1].clamp(max=vocabulary), vocabulary)
    banned_BV = torch.zeros(rows, vocabulary + 1, dtype=torch.bool, device=logits_BV.device)
    banned_BV.scatter_(1, banned_BW, True)
    return logits_BV.masked_fill(banned_BV[:, :vocabulary], RULED_OUT)


def forbid(logits_BV: Tensor, tokens: Sequence[int], where_B: Tensor) -> Tensor:
    """Rule `tokens` out in the rows where `where_B` is true."""
    every_V = torch.arange(logits_BV.shape[1], device=logits_BV.device)
    column_V = torch.isin(every_V, torch.tensor(tokens, device=logits_BV.device))
    return logits_BV.masked_fill(where_B[:, None] & column_V, RULED_OUT)


def looks_at_text(sampling: SamplingConfig) -> bool:
    """Whether `process` needs the text."""
    return sampling.repetition_penalty != 1 or sampling.no_repeat_ngram_size > 0


def process(
    logits_BV: Tensor,
    texts: tuple[Tensor, Tensor] | None,
    written_B: Tensor | None,
    end_tokens: Sequence[int],
    sampling: SamplingConfig,
) -> Tensor:
    """Everything that depends on the text so far, in transformers' order.

    `texts` are `ids_BT` and their lengths_B, needed where `looks_at_text`; `written_B`, how many
    tokens were written in each row, is needed where `min_new_tokens` is set.
    """
    if sampling.repetition_penalty != 1 and texts is not None:
        logits_BV = repetition_penalty(logits_BV, texts[0], sampling.repetition_penalty)
    if sampling.no_repeat_ngram_size and texts is not None:
        logits_BV = no_repeat_ngram(logits_BV, *texts, sampling.no_repeat_ngram_size)
    if sampling.min_new_tokens and written_B is not None:
        logits_BV = forbid(logits_BV, end_tokens, written_B < sampling.min_new_tokens)
    return logits_BV


def warp(logits_BV: Tensor, sampling: SamplingConfig) -> Tensor:
    """Temperature, top-k, top-p and min-p, in transformers' order; `temperature` must not be 0."""
    if sampling.temperature != 1:
        logits_BV = temperature(logits_BV, sampling.temperature)
    if sampling.top_k:
        logits_BV = top_k(logits_BV, sampling.top_k)
    if sampling.top_p < 1:
        logits_BV = top_p(logits_BV, sampling.top_p)
    if sampling.min_p:
        logits_BV = min_p(logits_BV, sampling.min_p)
    return logits_BV
