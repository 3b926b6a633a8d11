"""From logits to the next token: the options of a row prepared for a tokenizer, and the draw.

B batch, V vocabulary, T time. What looks at the text comes first (the processors of `OPTIONS`),
then what shapes the distribution (its warpers). Greedy choice takes the likeliest token after the
processors alone.

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
from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penwright.config import SamplingConfig
from penwright.errors import ModelError, UsageError
from penwright.sample.copy_limit import TrainingCopies
from penwright.sample.phrases import phrase_pattern
from penwright.sample.processors import (
    OPTIONS,
    RULED_OUT,
    Basis,
    Guard,
    Option,
    Processor,
    Refusal,
    Rows,
    Warper,
    find_active,
)
from penwright.seeds import GAMMA, mix
from penwright.tokens.bpe import Tokenizer

U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def check(sampling: SamplingConfig) -> None:
    """Raise UsageError for a setting out of its range, or two that contradict each other."""
    for name, option in OPTIONS.items():
        if not option.rule.holds(getattr(sampling, name)):
            raise UsageError(f"{name} {option.rule.says}.")
    if not sampling.max_new_tokens >= 0:
        raise UsageError("max_new_tokens cannot be below 0.")
    for name in ("num_beams", "best_of"):
        if not getattr(sampling, name) >= 1:
            raise UsageError(f"{name} must be at least 1.")
    if not all(sampling.stop):
        raise UsageError("A stop text cannot be empty.")
    if sentence := _find_contradiction(sampling):
        raise UsageError(sentence)


def _find_contradiction(sampling: SamplingConfig) -> str | None:
    """Return a sentence about two settings of which one would have no effect, if there are any."""
    certain = "--greedy" if sampling.greedy else "--temperature 0" if is_greedy(sampling) else ""
    certain = "A beam search" if sampling.num_beams > 1 else certain
    shaping = [name for name in find_active(sampling, Warper) if _is_given(sampling, name)]
    if (sampling.greedy or sampling.num_beams > 1) and shaping:
        return f"{certain} draws no tokens, so {_flags(shaping)} would have no effect."
    retaken = ["best_of"] if sampling.best_of > 1 else []
    retaken += ["on_loop retry"] if sampling.on_loop == "retry" else []
    if certain and retaken:
        return f"{certain} writes the same text each time: {_flags(retaken)} would have no effect."
    if sampling.min_new_tokens > sampling.max_new_tokens:
        least, most = sampling.min_new_tokens, sampling.max_new_tokens
        return f"min_new_tokens is {least}, which is more than max_new_tokens, {most}."
    if sampling.ban:
        banned = phrase_pattern(sampling.ban)
        for word in sampling.require:
            if banned.search(word.casefold()):
                return f"'{word}' cannot be required and banned."
    return None


def _is_given(sampling: SamplingConfig, name: str) -> bool:
    """Return whether an option has another value than its default."""
    return bool(getattr(sampling, name) != getattr(SamplingConfig(), name))


def _flags(names: Iterable[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def is_greedy(sampling: SamplingConfig) -> bool:
    """Return whether the likeliest token is always taken."""
    return sampling.greedy or sampling.temperature == 0


def is_certain(sampling: SamplingConfig) -> bool:
    """Return whether the same text comes out whatever the random numbers are."""
    return is_greedy(sampling) or sampling.num_beams > 1


def choosing_part(sampling: SamplingConfig) -> SamplingConfig:
    """Return the options that choose tokens; rows where they are equal are chosen for together."""
    options = {name: getattr(sampling, name) for name in OPTIONS}
    return SamplingConfig(greedy=sampling.greedy, **options)


class Chooser:
    """The options of some rows, prepared for a tokenizer and a training text.

    Raises UsageError for an option that these rule out, such as an unknown token.
    """

    def __init__(
        self,
        sampling: SamplingConfig,
        tokenizer: Tokenizer,
        training: TrainingCopies | None = None,
    ) -> None:
        self.sampling = sampling
        self.greedy = is_greedy(sampling)
        self.native = all(option.native for option in find_active(sampling, Option).values())
        """Whether the native decoder applies all options, but to a row that still heals."""
        basis = Basis(tokenizer, training)
        self._processors = [
            (option, option.prepare(getattr(sampling, name), basis))
            for name, option in find_active(sampling, Processor).items()
        ]
        self._guards = [
            (option, option.prepare(getattr(sampling, name), basis))
            for name, option in find_active(sampling, Guard).items()
        ]

    @property
    def reads_text(self) -> bool:
        """Whether `process` needs `ids_BT`."""
        return any(option.reads_text for option, _ in self._processors)

    def begin(self, prompt_length: int) -> list[Refusal]:
        """Return the guards of a new text whose prompt has this many tokens."""
        return [option.begin(value, prompt_length) for option, value in self._guards]

    def process(self, logits_BV: Tensor, rows: Rows) -> Tensor:
        """Apply the active processors."""
        for option, value in self._processors:
            logits_BV = option.apply(logits_BV, value, rows)
        return logits_BV

    def choose(
        self,
        logits_BV: Tensor,
        keys_B: U64,
        steps_B: I64,
        refuses: Callable[[int, int], bool] | None = None,
    ) -> list[int]:
        """Return the next token of each row, given processed logits.

        `refuses(row, token)` asks the row's guards. Raises ModelError for logits that are not
        numbers, UsageError when every token is ruled out.
        """
        chosen = self._pick(logits_BV, keys_B, steps_B)
        if refuses is None or not self._guards:
            return chosen
        waiting = [row for row, token in enumerate(chosen) if refuses(row, token)]
        if waiting:
            logits_BV = logits_BV.clone()
        while waiting:
            logits_BV[waiting, [chosen[row] for row in waiting]] = RULED_OUT
            again = self._pick(logits_BV[waiting], keys_B[waiting], steps_B[waiting])
            for row, token in zip(waiting, again, strict=True):
                chosen[row] = token
            waiting = [row for row in waiting if refuses(row, chosen[row])]
        return chosen

    def _pick(self, logits_BV: Tensor, keys_B: U64, steps_B: I64) -> list[int]:
        if self.greedy:
            ids_B = likeliest(logits_BV, self.sampling)
        else:
            ids_B = draw(logits_BV, self.sampling, keys_B, steps_B)
        return [int(token) for token in ids_B]


def warp(logits_BV: Tensor, sampling: SamplingConfig) -> Tensor:
    """Apply the active warpers; `temperature` must not be 0."""
    for name, option in find_active(sampling, Warper).items():
        logits_BV = option.apply(logits_BV, getattr(sampling, name))
    return logits_BV


_FEW = 2048
_FAST = {"temperature", "top_k", "top_p", "min_p"}
"""Warpers that `shortlist` applies without sorting the vocabulary."""


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
    if not _FAST.issuperset(find_active(sampling, Warper)):
        warped_BV = warp(logits_BV, sampling)
        lowest_B1 = torch.full_like(warped_BV[:, :1], torch.finfo(warped_BV.dtype).min)
        return _at_least(warped_BV, lowest_B1, sampling)
    scaled_BV = logits_BV if sampling.temperature == 1 else logits_BV / sampling.temperature
    if sampling.top_k:
        k = min(sampling.top_k, scaled_BV.shape[1])
        kth_B1 = scaled_BV.topk(k).values[:, -1:]
        return _filter(*_at_least(scaled_BV, kth_B1, sampling), None, sampling)
    if sampling.top_p == 1:
        border_B1 = scaled_BV.amax(-1, keepdim=True)
        border_B1 += math.log(sampling.min_p) - 1e-3 if sampling.min_p else -math.inf
        return _filter(*_at_least(scaled_BV, border_B1, sampling), None, sampling)
    total_B1 = scaled_BV.logsumexp(-1, keepdim=True)
    total_B = _numpy(total_B1[:, 0])
    check_scores(total_B, sampling)
    # Tokens below (1 - p) / V have less than 1 - p together, so the nucleus has none of them.
    for share in (_FEW, 2 * scaled_BV.shape[1]):
        border_B1 = total_B1 + math.log((1 - sampling.top_p) / share)
        few = _at_least(scaled_BV, border_B1, sampling)
        mass_B = np.bincount(few[0], np.exp(few[2] - total_B[few[0]]), len(total_B))
        if (mass_B > sampling.top_p + 1e-6).all():
            break
    return _filter(*few, total_B, sampling)


def _at_least(
    scaled_BV: Tensor, border_B1: Tensor, sampling: SamplingConfig
) -> tuple[I64, I64, F64]:
    """Return all values from `border_B1` up: their rows_N, in order, ids_N and values_N."""
    rows_N, ids_N = (scaled_BV >= border_B1).nonzero(as_tuple=True)
    values_N = _numpy(scaled_BV[rows_N, ids_N])
    rows: I64 = rows_N.cpu().numpy()
    ids: I64 = ids_N.cpu().numpy()
    found_B = np.bincount(rows, minlength=len(scaled_BV))
    if not found_B.all():  # no value is as large as itself: the row is not of numbers
        check_scores(_numpy(scaled_BV.amax(-1)), sampling)
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
            check_scores(sorted_K[:1], sampling)
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
    """Draw a token for each row; raises as `Chooser.choose`."""
    rows_N, ids_N, scores_N = shortlist(logits_BV, sampling)
    scores_N = scores_N + gumbel(keys_B[rows_N], steps_B[rows_N], ids_N)
    starts_B = np.searchsorted(rows_N, np.arange(len(keys_B)))
    best_B = np.maximum.reduceat(scores_N, starts_B)
    check_scores(best_B, sampling)
    winners = np.flatnonzero(scores_N == best_B[rows_N])
    return ids_N[winners[np.searchsorted(rows_N[winners], np.arange(len(keys_B)))]]


def likeliest(logits_BV: Tensor, sampling: SamplingConfig) -> I64:
    """Return the likeliest token of each row; raises as `Chooser.choose`."""
    best = torch.max(logits_BV, dim=-1)
    check_scores(best.values.cpu().numpy(), sampling)
    ids_B: I64 = best.indices.cpu().numpy()
    return ids_B


def check_scores(best_B: NDArray[np.floating], sampling: SamplingConfig) -> None:
    """Raise ModelError or UsageError when a row's best score is no number."""
    if np.isneginf(best_B).any():
        active = find_active(sampling, Processor) | find_active(sampling, Guard)
        given = [name for name in active if _is_given(sampling, name)]
        raise UsageError(
            "Every token is ruled out as the next one.",
            fix=f"Loosen what rules tokens out: {_flags(given)}.",
        )
    if not np.isfinite(best_B).all():
        raise ModelError(
            "The model computes scores that are not numbers, so it cannot write.",
            fix="Try --precision fp32, or a checkpoint from before the training diverged.",
        )
