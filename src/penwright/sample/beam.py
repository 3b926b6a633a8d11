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

from dataclasses import dataclass

import torch
from torch import Tensor

from penwright.config import SamplingConfig
from penwright.sample.copy_limit import TrainingCopies
from penwright.sample.decoder import Source, find_shared
from penwright.sample.endings import TextStream
from penwright.sample.logits import Chooser, check_scores
from penwright.sample.processors import RULED_OUT, Rows
from penwright.sample.window import Window
from penwright.tokens.bpe import Tokenizer


@dataclass(frozen=True)
class _Found:
    score: float
    tokens: list[int]


class _Reader:
    """Scores what may follow each of the beams, which are all of one length."""

    def __init__(self, source: Source, window: Window, max_new: int) -> None:
        self._decoder = source.decoder()
        self._window = window
        self._max_new = max_new
        self._starts: list[int] = []

    def read(self, texts: list[list[int]], parents: list[int]) -> Tensor:
        """Return the logits_KV behind `texts`; `parents` are the indices of what they continue."""
        held = len(self._decoder.lengths)
        if self._starts:
            before = [self._starts[parent] for parent in parents]
            follow = self._window.follow
            starts = [follow(*each) for each in zip(before, texts, strict=True)]
        else:
            before, starts = [], [self._window.begin(text, self._max_new) for text in texts]
        self._starts = starts
        windows = [self._window.read(*each) for each in zip(texts, starts, strict=True)]
        if starts != before or not held:
            self._decoder.drop(range(held))
            cached = [window[:-1] for window in windows]
            self._decoder.enter(cached, find_shared([], cached))
        elif parents != list(range(held)):
            self._decoder.select(parents)
        return self._decoder.feed([window[-1:] for window in windows])


def search(
    source: Source,
    tokenizer: Tokenizer,
    prompt: list[int],
    sampling: SamplingConfig,
    training: TrainingCopies | None = None,
    healing: bytes = b"",
) -> list[list[int]]:
    """Return the tokens of the `num_beams` best texts behind `prompt`, the best first.

    They begin with the end of the prompt that is written again, `healing`. A text that ended by
    itself has an end-of-text token as its last. Raises ModelError for a model that computes no
    numbers.
    """
    beams, max_new = sampling.num_beams, sampling.max_new_tokens
    if max_new == 0:
        return [[] for _ in range(beams)]
    window = Window.of(source.config.n_positions, tokenizer, sampling)
    reader = _Reader(source, window, max_new)
    task = _Task(prompt, healing, sampling, tokenizer, Chooser(sampling, tokenizer, training))
    running, parents = [_Found(0.0, [])], [0]
    finished: list[_Found] = []
    while running:
        with torch.inference_mode():
            logits_KV = reader.read([[*prompt, *found.tokens] for found in running], parents)
            logits_KV = logits_KV[:, : tokenizer.vocab_size]
            candidates = task.best(logits_KV, running)
        over = [task.is_over(found.tokens) for _, found in candidates]
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


@dataclass(frozen=True)
class _Task:
    """The prompt and settings of a search, the same at each step."""

    prompt: list[int]
    healing: bytes
    sampling: SamplingConfig
    tokenizer: Tokenizer
    chooser: Chooser

    def best(self, logits_KV: Tensor, running: list[_Found]) -> list[tuple[int, _Found]]:
        """Return the likeliest continuations by one token, two for each beam, with their beams."""
        logp_KV = self.chooser.process(
            logits_KV.log_softmax(-1), self._describe(running, logits_KV.device)
        )
        scores_K1 = torch.tensor([[found.score] for found in running], device=logits_KV.device)
        total = (logp_KV + scores_K1).flatten()
        guards = [self.chooser.begin(len(self.prompt)) for _ in running]
        texts = [[*self.prompt, *found.tokens] for found in running]
        while True:
            best = total.topk(min(2 * self.sampling.num_beams, len(total)))
            check_scores(best.values[:1].cpu().numpy(), self.sampling)
            places = [divmod(place, logits_KV.shape[1]) for place in best.indices.tolist()]
            refused = [
                number
                for number, (beam, token) in enumerate(places)
                if best.values[number] > RULED_OUT
                and any(refuses(texts[beam], token) for refuses in guards[beam])
            ]
            if not refused:
                break
            total[best.indices[refused]] = RULED_OUT
        return [
            (beam, _Found(score, [*running[beam].tokens, token]))
            for score, (beam, token) in zip(best.values.tolist(), places, strict=True)
            if score > RULED_OUT
        ]

    def _describe(self, running: list[_Found], device: torch.device) -> Rows:
        texts = [[*self.prompt[1:], *found.tokens] for found in running]
        ids_KT = torch.tensor(texts, dtype=torch.long, device=device)
        lengths_K = torch.full((len(texts),), len(texts[0]), device=device)
        written_K = torch.full_like(lengths_K, len(running[0].tokens))
        left_K = self.sampling.max_new_tokens - written_K
        healing = [
            self.healing[len(b"".join(map(self.tokenizer.printed_bytes, found.tokens))) :]
            if self.healing
            else b""
            for found in running
        ]
        return Rows(ids_KT, lengths_K, written_K, self.tokenizer.end_ids, left_K, healing)

    def is_over(self, tokens: list[int]) -> bool:
        """Return whether the text ends here: by itself, by its length, or with a stop text."""
        if tokens[-1] in self.tokenizer.end_ids:
            return True
        sampling = self.sampling
        if not (sampling.stop or sampling.finish_sentence or sampling.on_loop != "allow"):
            return len(tokens) == sampling.max_new_tokens
        text = TextStream(sampling, self.healing)
        for token in tokens:
            text.push(token, self.tokenizer)
        return bool(text.finish_reason)
