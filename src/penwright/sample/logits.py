"""From logits to the next token: penalties and filters in one table, and the draw.

A sampling option is a field of SamplingConfig, a function here, and an entry in `PROCESSORS`
(applied to greedy choice, sampling and beams) or `WARPERS` (sampling only).

B batch, V vocabulary, T time. Each function takes float logits_BV and gives new ones, with -inf
where a token is ruled out, and does to each row the same whatever the other rows are. The order is
that of transformers: what looks at the text first (`process`: repetition penalty, repeated
n-grams, no early end), then what shapes the distribution (`warp`: temperature, top-k, top-p,
min-p). Greedy choice takes the likeliest token after `process` alone.

`ids_BT` is the text of each row so far, at the left, filled up with any number >= V.

These are the plain forms, each over the whole vocabulary; `shortlist` gives the same
distribution as `warp` without sorting it all, and a test holds it to that.

A token is drawn by the Gumbel-max trick: the largest of logit + noise has exactly the softmax's
distribution. The noise of a token is a pure function of (seed, index of the sample, how many
tokens the sample has, token), so each sample has its own random numbers: the same in any batch, at
any batch size, on any device. And as the noise belongs to the token, not to its rank or its place
in a cumulative sum, a rounding difference in the logits changes the choice only where two sums are
as close as that difference.

N shortlisted tokens of all rows, one row after the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penwright.config import SamplingConfig
from penwright.errors import ModelError, UsageError
from penwright.seeds import GAMMA, mix

RULED_OUT = float("-inf")
_NO_TEXT = torch.empty(0, dtype=torch.long)


def check(sampling: SamplingConfig) -> None:
    """Raise UsageError for a setting out of its range."""
    for name, option in (PROCESSORS | WARPERS).items():
        if not option.rule.holds(getattr(sampling, name)):
            raise UsageError(f"{name} {option.rule.says}.")
    if not sampling.max_new_tokens >= 0:
        raise UsageError("max_new_tokens cannot be below 0.")
    if not sampling.num_beams >= 1:
        raise UsageError("num_beams must be at least 1.")
    if not all(sampling.stop):
        raise UsageError("A stop text cannot be empty.")


def is_greedy(sampling: SamplingConfig) -> bool:
    """Whether the likeliest token is always taken."""
    return sampling.greedy or sampling.temperature == 0


def temperature(logits_BV: Tensor, t: float) -> Tensor:
    """Divide the logits by `t` > 0."""
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


class Rows(NamedTuple):
    """The rows that logits are for."""

    ids_BT: Tensor
    """The text of each row; empty where no active option reads it."""
    lengths_B: Tensor
    written_B: Tensor
    """Tokens written so far, the prompt not counted."""
    end_ids: Sequence[int]


class Rule(NamedTuple):
    """The values that an option takes, and how its error message ends."""

    holds: Callable[[Any], bool]
    says: str


NOT_NEGATIVE = Rule(lambda value: value >= 0, "cannot be below 0")
POSITIVE = Rule(lambda value: value > 0, "must be above 0")
SHARE = Rule(lambda value: 0 <= value <= 1, "is a share between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class Option:
    """A field of SamplingConfig that changes logits."""

    off: float
    """The value that changes nothing."""
    rule: Rule
    apply: Callable[[Tensor, Any, Rows], Tensor]
    """(logits_BV, value, rows) -> new logits_BV."""
    reads_text: bool = False


PROCESSORS: dict[str, Option] = {
    "repetition_penalty": Option(
        off=1,
        rule=POSITIVE,
        apply=lambda x_BV, penalty, rows: repetition_penalty(x_BV, rows.ids_BT, penalty),
        reads_text=True,
    ),
    "no_repeat_ngram_size": Option(
        off=0,
        rule=NOT_NEGATIVE,
        apply=lambda x_BV, n, rows: no_repeat_ngram(x_BV, rows.ids_BT, rows.lengths_B, n),
        reads_text=True,
    ),
    "min_new_tokens": Option(
        off=0,
        rule=NOT_NEGATIVE,
        apply=lambda x_BV, n, rows: forbid(x_BV, rows.end_ids, rows.written_B < n),
    ),
}
"""Options that look at the text, in transformers' order. Greedy choice and beams apply them too."""

WARPERS: dict[str, Option] = {
    "temperature": Option(off=1, rule=NOT_NEGATIVE, apply=lambda x_BV, t, _: temperature(x_BV, t)),
    "top_k": Option(off=0, rule=NOT_NEGATIVE, apply=lambda x_BV, k, _: top_k(x_BV, k)),
    "top_p": Option(off=1, rule=SHARE, apply=lambda x_BV, p, _: top_p(x_BV, p)),
    "min_p": Option(off=0, rule=SHARE, apply=lambda x_BV, share, _: min_p(x_BV, share)),
}
"""Options that shape the distribution that is sampled from, in transformers' order."""


def find_active(options: Mapping[str, Option], sampling: SamplingConfig) -> list[str]:
    """Return the names of the options that are on."""
    return [name for name, option in options.items() if getattr(sampling, name) != option.off]


def looks_at_text(sampling: SamplingConfig) -> bool:
    """Whether `process` needs the text."""
    return any(PROCESSORS[name].reads_text for name in find_active(PROCESSORS, sampling))


def process(
    logits_BV: Tensor,
    texts: tuple[Tensor, Tensor] | None,
    written_B: Tensor,
    end_ids: Sequence[int],
    sampling: SamplingConfig,
) -> Tensor:
    """Apply the active `PROCESSORS`.

    `texts` are `ids_BT` and their lengths_B, needed where `looks_at_text`; `written_B` counts the
    tokens written in each row, the prompt not counted.
    """
    ids_BT, lengths_B = texts or (_NO_TEXT, _NO_TEXT)
    rows = Rows(ids_BT, lengths_B, written_B, end_ids)
    for name in find_active(PROCESSORS, sampling):
        logits_BV = PROCESSORS[name].apply(logits_BV, getattr(sampling, name), rows)
    return logits_BV


def warp(logits_BV: Tensor, sampling: SamplingConfig) -> Tensor:
    """Apply the active `WARPERS`; `temperature` must not be 0."""
    rows = Rows(_NO_TEXT, _NO_TEXT, _NO_TEXT, ())
    for name in find_active(WARPERS, sampling):
        logits_BV = WARPERS[name].apply(logits_BV, getattr(sampling, name), rows)
    return logits_BV


_FEW = 2048
_FAST = {"temperature", "top_k", "top_p", "min_p"}
"""Warpers that `shortlist` applies without sorting the vocabulary."""

U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def sample_key(seed: int, index: int) -> int:
    """Return the 64 bits that all random numbers of sample `index` come from."""
    words = np.array([seed % 2**64, index % 2**64], dtype=np.uint64)
    seeded = mix(mix(words[:1] + GAMMA) + words[1:] * GAMMA + GAMMA)
    return int(seeded[0])


def gumbel(keys_N: U64, steps_N: I64, ids_N: I64) -> F64:
    """Return standard Gumbel noise of tokens `ids_N`, each for its sample's key and step."""
    step_keys_N = mix(keys_N + (steps_N.astype(np.uint64) + np.uint64(1)) * GAMMA)
    bits_N = mix(step_keys_N + (ids_N.astype(np.uint64) + np.uint64(1)) * GAMMA)
    uniform_N = ((bits_N >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    noise_N: F64 = -np.log(-np.log(uniform_N))
    return noise_N


def shortlist(logits_BV: Tensor, sampling: SamplingConfig) -> tuple[I64, I64, F64]:
    """Return the tokens that `warp` leaves, row by row: rows_N, ids_N and warped logits_N.

    Never sorts the vocabulary: a first look leaves the few hundred tokens that could matter, and
    only those are sorted, row by row. Raises as `draw` does.
    """
    if not _FAST.issuperset(find_active(WARPERS, sampling)):
        warped_BV = warp(logits_BV, sampling)
        lowest_B1 = torch.full_like(warped_BV[:, :1], torch.finfo(warped_BV.dtype).min)
        return _at_least(warped_BV, lowest_B1)
    scaled_BV = logits_BV if sampling.temperature == 1 else logits_BV / sampling.temperature
    if sampling.top_k:
        k = min(sampling.top_k, scaled_BV.shape[1])
        kth_B1 = scaled_BV.topk(k).values[:, -1:]
        return _filter(*_at_least(scaled_BV, kth_B1), None, sampling)
    if sampling.top_p == 1:
        border_B1 = scaled_BV.amax(-1, keepdim=True)
        border_B1 += math.log(sampling.min_p) - 1e-3 if sampling.min_p else -math.inf
        return _filter(*_at_least(scaled_BV, border_B1), None, sampling)
    total_B1 = scaled_BV.logsumexp(-1, keepdim=True)
    total_B = _numpy(total_B1[:, 0])
    check_scores(total_B)
    # Tokens below (1 - p) / V have less than 1 - p together, so the nucleus has none of them.
    for share in (_FEW, 2 * scaled_BV.shape[1]):
        border_B1 = total_B1 + math.log((1 - sampling.top_p) / share)
        few = _at_least(scaled_BV, border_B1)
        mass_B = np.bincount(few[0], np.exp(few[2] - total_B[few[0]]), len(total_B))
        if (mass_B > sampling.top_p + 1e-6).all():
            break
    return _filter(*few, total_B, sampling)


def _at_least(scaled_BV: Tensor, border_B1: Tensor) -> tuple[I64, I64, F64]:
    """Return all values from `border_B1` up: their rows_N, in order, ids_N and values_N."""
    rows_N, ids_N = (scaled_BV >= border_B1).nonzero(as_tuple=True)
    values_N = _numpy(scaled_BV[rows_N, ids_N])
    rows: I64 = rows_N.cpu().numpy()
    ids: I64 = ids_N.cpu().numpy()
    found_B = np.bincount(rows, minlength=len(scaled_BV))
    if not found_B.all():  # no value is as large as itself: the row is not of numbers
        check_scores(_numpy(scaled_BV.amax(-1)))
    return rows, ids, values_N


def _filter(
    rows_N: I64, ids_N: I64, values_N: F64, total_B: F64 | None, sampling: SamplingConfig
) -> tuple[I64, I64, F64]:
    """Apply top-p, with `total_B` the log-sum-exp of each row's logits, and min-p."""
    ends_B = np.bincount(rows_N).cumsum()
    borders_B = np.full(len(ends_B), -np.inf)
    for row, values in enumerate(np.split(values_N, ends_B[:-1])):
        if sampling.top_p < 1:
            sorted_K = np.sort(values)[::-1]
            check_scores(sorted_K[:1])
            p_K = np.exp(sorted_K - (sorted_K[0] if total_B is None else total_B[row]))
            before_K = np.cumsum(p_K) - p_K
            whole = p_K.sum() if total_B is None else 1.0
            n = int(np.count_nonzero(before_K < sampling.top_p * whole))
            borders_B[row] = sorted_K[max(n, 1) - 1]
        if sampling.min_p:
            borders_B[row] = max(borders_B[row], values.max() + math.log(sampling.min_p))
    kept_N = values_N >= borders_B[rows_N]
    return rows_N[kept_N], ids_N[kept_N], values_N[kept_N]


def _numpy(x: Tensor) -> F64:
    return x.cpu().numpy().astype(np.float64)


def draw(logits_BV: Tensor, sampling: SamplingConfig, keys_B: U64, steps_B: I64) -> I64:
    """Draw a token for each row. Raises ModelError for logits that are not numbers,
    UsageError when every token is ruled out.
    """
    rows_N, ids_N, scores_N = shortlist(logits_BV, sampling)
    scores_N = scores_N + gumbel(keys_B[rows_N], steps_B[rows_N], ids_N)
    starts_B = np.searchsorted(rows_N, np.arange(len(keys_B)))
    best_B = np.maximum.reduceat(scores_N, starts_B)
    check_scores(best_B)
    winners = np.flatnonzero(scores_N == best_B[rows_N])
    return ids_N[winners[np.searchsorted(rows_N[winners], np.arange(len(keys_B)))]]


def likeliest(logits_BV: Tensor) -> I64:
    """Return the likeliest token of each row. Raises ModelError for logits that are not numbers,
    UsageError when every token is ruled out.
    """
    best = torch.max(logits_BV, dim=-1)
    check_scores(best.values.cpu().numpy())
    ids_B: I64 = best.indices.cpu().numpy()
    return ids_B


def check_scores(best_B: NDArray[np.floating]) -> None:
    """Raises ModelError or UsageError when a row's best score is no number."""
    if np.isneginf(best_B).any():
        raise UsageError(
            "Every token is ruled out as the next one.", fix="Give a larger --no-repeat-ngram-size."
        )
    if not np.isfinite(best_B).all():
        raise ModelError(
            "The model computes scores that are not numbers, so it cannot write.",
            fix="Try --precision fp32, or a checkpoint from before the training diverged.",
        )
