"""Write a text in the plainest way: the oracle that `generate` is tested against.

One sequence, no cache: every token reads the whole window again, every filter looks at the whole
vocabulary, and every step decodes the whole text and looks for stop texts in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from penwright.config import SamplingConfig
from penwright.model import GPT2, evaluating
from penwright.sample import logits
from penwright.sample.engine import FinishReason, Sample
from penwright.sample.healing import heal
from penwright.sample.processors import RULED_OUT, Rows
from penwright.sample.window import Window
from penwright.tokens.bpe import Tokenizer

_NARROW = 1e-4


def write(
    model: GPT2, tokenizer: Tokenizer, prompt: str, sampling: SamplingConfig, index: int = 0
) -> tuple[Sample, list[float]]:
    """Return the sample that `generate` should write, and the margin of each token over the next.

    A margin is a difference of two logits (noise included): below 1e-4, rounding may decide. It is
    at most 0 where the choice hangs on a token that a filter keeps or drops as narrowly.
    """
    ids, healing = tokenizer.encode_prompt(prompt), b""
    if sampling.heal:
        ids, healing = heal(prompt, ids, tokenizer)
    prompt_length = len(ids)
    window = Window.of(model.config.n_positions, tokenizer, sampling)
    start = window.begin(ids, sampling.max_new_tokens)
    chooser = logits.Chooser(sampling, tokenizer)
    guards = chooser.begin(prompt_length)
    margins: list[float] = []
    text, reason = "", "length"
    while len(ids) - prompt_length < sampling.max_new_tokens:
        start = window.follow(start, ids)
        spelled = b"".join(map(tokenizer.printed_bytes, ids[prompt_length:]))
        rows = Rows(
            ids_BT=torch.tensor([ids[1:]], dtype=torch.long),
            lengths_B=torch.tensor([len(ids) - 1]),
            written_B=torch.tensor([len(ids) - prompt_length]),
            end_ids=tokenizer.end_ids,
            left_B=torch.tensor([sampling.max_new_tokens - len(ids) + prompt_length]),
            healing=[healing[len(spelled) :]],
        )
        scores_1V = chooser.process(_read(model, tokenizer, window.read(ids, start)), rows)
        while True:
            token, margin = _choose(scores_1V, sampling, index, len(ids) - prompt_length)
            margins.append(margin)
            if not any(refuses(ids, token) for refuses in guards):
                break
            scores_1V[0, token] = RULED_OUT
        if token in tokenizer.end_ids:
            reason = "end"
            break
        ids.append(token)
        text = _whole_characters(tokenizer, ids[prompt_length:], len(healing))
        if token in tokenizer.hidden and tokenizer.decode([token]) in sampling.stop:
            reason = "stop"
            break
        if any(stop in text for stop in sampling.stop):
            text, reason = _cut(text, sampling.stop), "stop"
            break
    written = len(ids) - prompt_length
    finish: FinishReason = "end" if reason == "end" else "stop" if reason == "stop" else "length"
    return Sample(prompt, text, finish, written, sampling.seed, index), margins


@torch.no_grad()
def _read(model: GPT2, tokenizer: Tokenizer, window: list[int]) -> torch.Tensor:
    """Return the logits_1V behind a window of tokens."""
    with evaluating(model):
        hidden_1TC = model(torch.tensor([window], device=model.head_weight_VC.device))
        logits_1V = model.logits(hidden_1TC[:, -1])[:, : tokenizer.vocab_size]
    return logits_1V.float().cpu()


def _choose(
    logits_1V: torch.Tensor, sampling: SamplingConfig, index: int, step: int
) -> tuple[int, float]:
    """Return the best token and its margin."""
    scores_V = _score(logits_1V, sampling, index, step)
    best = scores_V.topk(2)
    token, margin = int(best.indices[0]), float(best.values[0] - best.values[1])
    kept_V = scores_V > RULED_OUT
    kept, dropped = logits_1V[0][kept_V], logits_1V[0][~kept_V & (logits_1V[0] > RULED_OUT)]
    if len(dropped) and 0 <= kept.min() - dropped.max() < _NARROW:
        free = replace(sampling, top_k=0, top_p=1.0, min_p=0.0, typical_p=1.0)
        near_V = ~kept_V & (logits_1V[0] > kept.min() - _NARROW)
        rival = _score(logits_1V, free, index, step)[near_V].max()
        border = logits_1V[0, token] < dropped.max() + _NARROW
        margin = 0.0 if border else min(margin, float(best.values[0] - rival))
    return token, margin


def _score(
    logits_1V: torch.Tensor, sampling: SamplingConfig, index: int, step: int
) -> torch.Tensor:
    """Return the scores_V whose largest is chosen: the logits, or those that are drawn from."""
    if logits.is_greedy(sampling):
        return logits_1V[0].double()
    every_V = np.arange(logits_1V.shape[1], dtype=np.int64)
    keys_V = np.full(len(every_V), logits.sample_key(sampling.seed, index), dtype=np.uint64)
    noise_V = logits.gumbel(keys_V, np.full(len(every_V), step), every_V)
    return logits.warp(logits_1V, sampling)[0].double() + torch.from_numpy(noise_V)


def _whole_characters(tokenizer: Tokenizer, ids: list[int], skip: int = 0) -> str:
    """Return the text of `ids`, but the first `skip` bytes and an unfinished last character."""
    data = b"".join(tokenizer.printed_bytes(token) for token in ids)[skip:]
    for unfinished in (3, 2, 1):
        try:
            data[-unfinished:].decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start == 0 and error.reason == "unexpected end of data":
                data = data[:-unfinished]
                break
    return data.decode("utf-8", errors="replace")


def _cut(text: str, stops: tuple[str, ...]) -> str:
    """Return `text` up to the stop text that is complete first, the longest of those."""
    for end in range(1, len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return text[: min(starts)]
    return text
