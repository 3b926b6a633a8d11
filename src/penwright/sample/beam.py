"""Beam search: the likeliest text among those found along several paths.

K beams, V vocabulary.

As transformers does it (with its `early_stopping=False`), so that the texts are the same: each
step takes the 2 K likeliest continuations of all beams; those that end are finished if they are
among the first K, the likeliest K others go on. A finished text's score is its log-probability
over `length ** length_penalty`. The search ends when K texts are finished and the best beam, were
it finished now, would be no better than the worst of them. Temperature, top-k, top-p and min-p
have no say.

Freitag and Al-Onaizan, "Beam Search Strategies for Neural Machine Translation", 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from penwright.config import SamplingConfig
from penwright.sample.batch import CharacterStream, begin_window, follow_window
from penwright.sample.decoder import Source, find_shared
from penwright.sample.logits import Chooser, check_scores
from penwright.sample.processors import RULED_OUT, Rows
from penwright.tokens.bpe import Tokenizer


@dataclass(frozen=True)
class _Found:
    score: float
    tokens: list[int]


class _Reader:
    """Scores what may follow each of the beams, which are all of one length."""

    def __init__(self, source: Source, prompt: int, max_new: int) -> None:
        self._decoder = source.decoder()
        self._context = source.config.n_positions
        self._start = begin_window(prompt, max_new, self._context)

    def read(self, texts: list[list[int]], parents: list[int]) -> Tensor:
        """Return the logits_KV behind `texts`; `parents` are the indices of what they continue."""
        held = len(self._decoder.lengths)
        start = follow_window(self._start, len(texts[0]), self._context)
        if start != self._start or not held:
            self._start = start
            self._decoder.drop(range(held))
            windows = [text[start:-1] for text in texts]
            self._decoder.enter(windows, find_shared([], windows))
        elif parents != list(range(held)):
            self._decoder.select(parents)
        return self._decoder.feed([text[-1:] for text in texts])


def search(
    source: Source, tokenizer: Tokenizer, prompt: list[int], sampling: SamplingConfig
) -> list[list[int]]:
    """Return the tokens of the `num_beams` best texts behind `prompt`, the best first.

    A text that ended by itself has an end-of-text token as its last. Raises ModelError for a model
    that computes no numbers.
    """
    beams, max_new = sampling.num_beams, sampling.max_new_tokens
    if max_new == 0:
        return [[] for _ in range(beams)]
    reader = _Reader(source, len(prompt), max_new)
    chooser = Chooser(sampling, tokenizer)
    running, parents = [_Found(0.0, [])], [0]
    finished: list[_Found] = []
    while running:
        with torch.inference_mode():
            logits_KV = reader.read([[*prompt, *found.tokens] for found in running], parents)
            logits_KV = logits_KV[:, : tokenizer.vocab_size]
            candidates = _best(logits_KV, prompt, running, tokenizer.end_ids, chooser)
        over = [_is_over(found.tokens, tokenizer, sampling) for _, found in candidates]
        going = [one for one, is_over in zip(candidates, over, strict=True) if not is_over][:beams]
        # A text that ends behind the first K places is worse than those that go on, if any do.
        ended = [
            _Found(found.score / len(found.tokens) ** sampling.length_penalty, found.tokens)
            for place, (_, found) in enumerate(candidates)
            if over[place] and (place < beams or not going)
        ]
        finished = sorted(finished + ended, key=lambda found: -found.score)[:beams]
        running, parents = [found for _, found in going], [parent for parent, _ in going]
        if len(finished) == beams and running:
            length = len(running[0].tokens)
            if running[0].score / length**sampling.length_penalty <= finished[-1].score:
                break
    return [found.tokens for found in finished]


def _best(
    logits_KV: Tensor,
    prompt: list[int],
    running: list[_Found],
    end_tokens: Sequence[int],
    chooser: Chooser,
) -> list[tuple[int, _Found]]:
    """Return the likeliest continuations by one token, two for each beam, with their beams."""
    texts = [[*prompt[1:], *found.tokens] for found in running]
    ids_KT = torch.tensor(texts, dtype=torch.long, device=logits_KV.device)
    lengths_K = torch.full((len(texts),), len(texts[0]), device=logits_KV.device)
    written_K = torch.full_like(lengths_K, len(running[0].tokens))
    rows = Rows(ids_KT, lengths_K, written_K, end_tokens)
    logp_KV = chooser.process(logits_KV.log_softmax(-1), rows)
    scores_K1 = torch.tensor([[found.score] for found in running], device=logits_KV.device)
    total = (logp_KV + scores_K1).flatten()
    best = total.topk(min(2 * chooser.sampling.num_beams, len(total)))
    check_scores(best.values[:1].cpu().numpy(), chooser.sampling)
    return [
        (place // logits_KV.shape[1], _append(running, place, logits_KV.shape[1], score))
        for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        if score > RULED_OUT
    ]


def _append(running: list[_Found], place: int, vocabulary: int, score: float) -> _Found:
    beam, token = divmod(place, vocabulary)
    return _Found(score, [*running[beam].tokens, token])


def _is_over(tokens: list[int], tokenizer: Tokenizer, sampling: SamplingConfig) -> bool:
    """Whether the text ends here: by itself, at its greatest length, or with a stop text."""
    if tokens[-1] in tokenizer.end_ids or len(tokens) == sampling.max_new_tokens:
        return True
    if not sampling.stop:
        return False
    if tokens[-1] in tokenizer.hidden and tokenizer.decode(tokens[-1:]) in sampling.stop:
        return True
    text = CharacterStream().feed(b"".join(map(tokenizer.printed_bytes, tokens)))
    return any(stop in text for stop in sampling.stop)
