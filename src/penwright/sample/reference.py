"""Write a text in the plainest way: the oracle that `generate` is tested against.

One sequence, no cache: every token reads the whole window again, every filter looks at the whole
vocabulary, and every step decodes the whole text and looks for stop texts in it.
"""

from __future__ import annotations

import numpy as np
import torch

from penwright.config import SamplingConfig
from penwright.model import GPT2, evaluating
from penwright.sample import logits
from penwright.sample.batch import begin_window, follow_window
from penwright.sample.engine import FinishReason, Sample
from penwright.sample.processors import Rows
from penwright.tokens.bpe import Tokenizer


def write(
    model: GPT2, tokenizer: Tokenizer, prompt: str, sampling: SamplingConfig, index: int = 0
) -> tuple[Sample, list[float]]:
    """Return the sample that `generate` should write, and the margin of each token over the next.

    A margin is a difference of two logits (noise included): below 1e-4, rounding may decide.
    """
    ids = tokenizer.encode_prompt(prompt)
    prompt_length, context = len(ids), model.config.n_positions
    start = begin_window(prompt_length, sampling.max_new_tokens, context)
    margins: list[float] = []
    text, reason = "", "length"
    while len(ids) - prompt_length < sampling.max_new_tokens:
        start = follow_window(start, len(ids), context)
        scores_V = _scores(model, tokenizer, ids, start, prompt_length, sampling)
        if not logits.is_greedy(sampling):
            every_V = np.arange(len(scores_V), dtype=np.int64)
            keys_V = np.full(len(every_V), logits.sample_key(sampling.seed, index), dtype=np.uint64)
            steps_V = np.full(len(every_V), len(ids) - prompt_length, dtype=np.int64)
            scores_V = scores_V + torch.from_numpy(logits.gumbel(keys_V, steps_V, every_V))
        best = scores_V.topk(2)
        margins.append(float(best.values[0] - best.values[1]))
        token = int(best.indices[0])
        if token in tokenizer.end_ids:
            reason = "end"
            break
        ids.append(token)
        text = _whole_characters(tokenizer, ids[prompt_length:])
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
def _scores(
    model: GPT2,
    tokenizer: Tokenizer,
    ids: list[int],
    start: int,
    prompt_length: int,
    sampling: SamplingConfig,
) -> torch.Tensor:
    device = model.head_weight_VC.device
    with evaluating(model):
        hidden_1TC = model(torch.tensor([ids[start:]], device=device))
    scores_1V = model.logits(hidden_1TC[:, -1])[:, : tokenizer.vocab_size].float().cpu()
    rows = Rows(
        ids_BT=torch.tensor([ids[1:]], dtype=torch.long),
        lengths_B=torch.tensor([len(ids) - 1]),
        written_B=torch.tensor([len(ids) - prompt_length]),
        end_ids=tokenizer.end_ids,
    )
    scores_1V = logits.Chooser(sampling, tokenizer).process(scores_1V, rows)
    if not logits.is_greedy(sampling):
        scores_1V = logits.warp(scores_1V, sampling)
    return scores_1V[0].double()


def _whole_characters(tokenizer: Tokenizer, ids: list[int]) -> str:
    """Return the text of `ids` without an unfinished last character."""
    data = b"".join(tokenizer.printed_bytes(token) for token in ids)
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
