"""Write texts side by side: each step gives every one of them its next token.

B rows, T tokens, V vocabulary.

All but the last token of each row's window are in the decoder's cache; a step feeds it the last
ones, all rows at once, and chooses the next, for rows with equal settings together. Rows join and
leave between steps. A finished row leaves, and one whose window is full leaves and comes back with
a new one, so every step computes living rows only. Positions count from the window's start.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from penwright.config import SamplingConfig
from penwright.errors import UsageError
from penwright.model.cache import count_common
from penwright.native import Choice, Corpus, GuessPlan, NativeDecoder
from penwright.sample import logits
from penwright.sample.choosing import RowChooser, TokenScore, score_tokens
from penwright.sample.copy_limit import TrainingCopies
from penwright.sample.decoder import Source, find_shared
from penwright.sample.drafts import Draft, Drafter
from penwright.sample.endings import TextStream
from penwright.sample.processors import Refusal
from penwright.sample.window import Window
from penwright.tokens.bpe import Tokenizer

STEP_SECONDS = 0.015
"""Time that the native decoder writes for at once: long enough to be fast, and seems immediate."""
MOST_STEPS = 64
MOST_SURPLUS = 0.05
"""Share of tokens written behind a refused one or a stop text, above which fewer are written."""
CPU_BYTES = 2**30
CPU_ROWS = 32
GPU_ROWS = 128


class Event(NamedTuple):
    """News of a row after a step."""

    row: Row
    text: str = ""
    """The text that is now sure; it may be empty."""
    tokens: tuple[int, ...] = ()
    """The tokens written, without an end-of-text token."""
    scores: tuple[TokenScore, ...] = ()
    """One for each of `tokens`, if the row asks for them."""


class Row:
    """A text being written: its tokens so far, prompt included, and its settings.

    With `scores`, events tell the log-probability of each token and of the `scores` likeliest ones.
    `healing` are the bytes that follow `prompt` in the text that was given, to be written again.
    """

    def __init__(
        self,
        index: int,
        prompt: list[int],
        window: Window,
        sampling: SamplingConfig,
        scores: int | None = None,
        healing: bytes = b"",
    ) -> None:
        self.index = index
        self.sampling = sampling
        self.settings = logits.choosing_part(sampling)
        self.scores = scores
        self.ids = list(prompt)
        self.prompt_length = len(prompt)
        self.key = logits.sample_key(sampling.seed, index)
        self.window = window
        self.start = window.begin(prompt, sampling.max_new_tokens)
        self.seams: list[tuple[int, int]] = []
        """The length of the text each time that its window moved, and the window's new start."""
        self.finish_reason = "" if sampling.max_new_tokens else "length"
        self.error: UsageError | None = None
        self.text = TextStream(sampling, healing)
        self.guards: list[Refusal] = []
        """Added when the row enters a batch."""
        self.refused: list[int] = []
        """Tokens that a guard refused as the next one after the native decoder chose them."""

    @property
    def written(self) -> int:
        """Number of tokens written, the prompt not counted."""
        return len(self.ids) - self.prompt_length

    @property
    def cached(self) -> list[int]:
        """The tokens that the cache holds: the window without the last, which is read next."""
        return self.window.read(self.ids, self.start)[:-1]

    @property
    def last(self) -> int:
        """The last token of the window."""
        return self.ids[-1] if len(self.ids) > self.start else self.window.head[-1]

    def refuses(self, token: int) -> bool:
        """Return whether a guard refuses `token` as the next one."""
        for guard in self.guards:  # noqa: SIM110 - any() takes as long as a guard
            if guard(self.ids, token):
                return True
        return False

    def choice(self, most: int, ahead: int = 0) -> Choice:
        """Return the settings for the native decoder to write at most `most` tokens.

        The first is `ahead` tokens further on.
        """
        settings = self.sampling
        refused = () if ahead else self.refused
        return Choice(
            key=self.key,
            step=self.written + ahead,
            min_new=settings.min_new_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            min_p=settings.min_p,
            top_k=settings.top_k,
            greedy=logits.is_greedy(settings),
            limit=min(most, self.text.room),
            last=self.last,
            n_refused=len(refused),
            refused=tuple(refused),
        )

    def push(self, token: int, tokenizer: Tokenizer) -> str:
        """Append a chosen token; returns the text that is now sure, and may finish the row."""
        piece = self.text.push(token, tokenizer)
        self.finish_reason = self.text.finish_reason
        if self.finish_reason != "end":
            self.ids.append(token)
        return piece


class _News:
    """The text and tokens that a step adds to a row."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.chosen: list[int] = []
        """The tokens chosen, an end-of-text token included."""
        self._before = len(row.ids)
        self._texts: list[str] = []
        self._scores: list[TokenScore] = []

    def push(self, token: int, tokenizer: Tokenizer, score: TokenScore | None = None) -> None:
        before = len(self.row.ids)
        self.chosen.append(token)
        self._texts.append(self.row.push(token, tokenizer))
        if score is not None and len(self.row.ids) > before:
            self._scores.append(score)

    def event(self) -> Event:
        tokens = tuple(self.row.ids[self._before :])
        return Event(self.row, "".join(self._texts), tokens, tuple(self._scores))


class Batch:
    """The rows being written. Each has its own settings; rows join and leave between steps.

    With a `drafter`, a row that is alone is written with drafts.
    """

    def __init__(
        self,
        source: Source,
        tokenizer: Tokenizer,
        training: TrainingCopies | None = None,
        drafter: Drafter | None = None,
    ) -> None:
        self.rows: list[Row] = []
        self._decoder = source.decoder()
        self._context = source.config.n_positions
        self._tokenizer = tokenizer
        self._chooser = RowChooser(tokenizer, self._decoder.device, training)
        self._drafter = drafter
        self._steps = 1
        self._most_steps = MOST_STEPS

    def enter(self, rows: Sequence[Row]) -> list[int]:
        """Begin to write these rows too: read all but the last token of their windows.

        Returns for each how many tokens were in the cache of a row with the same beginning. Raises
        UsageError for an option that the tokenizer rules out.
        """
        self._chooser.add(rows)
        held, windows = ([row.cached for row in some] for some in (self.rows, rows))
        shared = find_shared(held, windows)
        self._decoder.enter(windows, shared)
        self.rows += rows
        texts = held + windows
        return [
            0 if source is None else count_common(window, texts[source])
            for window, source in zip(windows, shared, strict=True)
        ]

    def cancel(self, row: Row) -> None:
        """Stop writing a row, which has its text so far and the finish reason "cancelled"."""
        row.finish_reason = "cancelled"
        self._drop([self.rows.index(row)])

    def step(self) -> list[Event]:
        """Write every row's next token; returns what is new of each row.

        The native decoder writes several tokens, for about 15 ms, where nothing in Python has to
        look at the logits; what a guard refuses is taken back, and chosen again. Finished rows
        have their `finish_reason` and are no longer in `rows`.
        """
        news = [_News(row) for row in self.rows]
        drafter = self._drafter if len(news) == 1 else None
        draft = self._propose(drafter, self.rows[0]) if drafter else None
        begin = time.perf_counter()
        if draft:
            self._check(news[0], draft.tokens)
        elif isinstance(self._decoder, NativeDecoder) and all(
            map(self._chooser.is_native, self.rows)
        ):
            self._write_natively(self._decoder, news, drafter)
        else:
            self._feed_and_choose(news)
        if drafter and news[0].chosen:
            drafter.note(draft, news[0].chosen, time.perf_counter() - begin)
        self._drop([number for number, row in enumerate(self.rows) if row.finish_reason])
        self._move_windows()
        return [one.event() for one in news]

    def _propose(self, drafter: Drafter, row: Row) -> Draft | None:
        room = min(self._context - self._decoder.lengths[0], row.text.room)
        return drafter.propose(row, row.ids, room - 1)

    def _check(self, one: _News, draft: Sequence[int]) -> None:
        """Feed a row's last token and a draft; accept the draft as far as it would be chosen."""
        row, held = one.row, self._decoder.lengths[0]
        logits_NV = self._decoder.feed([[row.last, *draft]], every=True)
        choices = self._choose_ahead(row, logits_NV[:, : self._tokenizer.vocab_size])
        for guess, (token, score) in zip([*draft, None], choices, strict=False):
            row.refused = []
            if token is not None:
                one.push(token, self._tokenizer, score)
            if token != guess or row.finish_reason:
                break
        self._decoder.truncate([held + max(1, len(one.chosen))])

    def _choose_ahead(
        self, row: Row, logits_NV: Tensor
    ) -> Iterator[tuple[int | None, TokenScore | None]]:
        """Yield the token at each place; what looks at the text sees those that were yielded."""
        decoder = self._decoder
        if not isinstance(decoder, NativeDecoder) or not self._chooser.is_native(row):
            yield from self._chooser.choose_ahead(row, logits_NV)
            return
        choices = [row.choice(1, ahead) for ahead in range(len(logits_NV))]
        ends, vocabulary = self._tokenizer.end_ids, self._tokenizer.vocab_size
        for place, token in enumerate(decoder.choose(logits_NV, choices, ends, vocabulary)):
            if row.refuses(token):
                yield from self._chooser.choose_ahead(row, logits_NV[place:])
                return
            yield token, None

    def _write_natively(
        self, decoder: NativeDecoder, news: Sequence[_News], drafter: Drafter | None
    ) -> None:
        """Let the decoder choose as many tokens as it can in a short time."""
        most = drafter.plain_steps if drafter else MOST_STEPS
        steps = min(self._steps, most)
        begin = time.perf_counter()
        if drafter and drafter.guess_corpus:
            texts = [self._guess(decoder, steps, drafter, drafter.guess_corpus)]
        else:
            choices = [
                row.choice(min(steps, self._context - length))
                for row, length in zip(self.rows, decoder.lengths, strict=True)
            ]
            texts = decoder.write(choices, self._tokenizer.end_ids, self._tokenizer.vocab_size)
        each = (time.perf_counter() - begin) / max(map(len, texts))
        for one, tokens in zip(news, texts, strict=True):
            for token in tokens:
                if one.row.finish_reason:  # what is behind a stop text is surplus
                    break
                if one.row.refuses(token):
                    one.row.refused.append(token)
                    break
                one.row.refused = []
                one.push(token, self._tokenizer)
        self._steps = max(1, min(self._find_most_steps(news, texts), int(STEP_SECONDS / each)))
        if any(row.refused for row in self.rows):
            kept = [len(row.cached) for row in self.rows]
            decoder.truncate(list(map(min, kept, decoder.lengths)))

    def _guess(
        self, decoder: NativeDecoder, steps: int, drafter: Drafter, corpus: Corpus
    ) -> list[int]:
        """Let the decoder write the only row with guesses from `corpus`, as many as pay.

        Some more than `steps` tokens, so that no pass has fewer guesses than the others.
        """
        [row], [held] = self.rows, decoder.lengths
        length = drafter.guessing.choose()
        choice = row.choice(min(steps + length, self._context - held))
        begin = time.perf_counter()
        text, went = decoder.write_guessing(
            choice,
            self._tokenizer.end_ids,
            self._tokenizer.vocab_size,
            GuessPlan(corpus, length, steps),
        )
        drafter.guessing.note(length, went, time.perf_counter() - begin)
        drafter.drafted += went.guessed
        drafter.accepted += went.right
        return text

    def _find_most_steps(self, news: Sequence[_News], texts: Sequence[Sequence[int]]) -> int:
        """Return the most steps to write at once, fewer after much of the text was surplus."""
        written = sum(map(len, texts))
        if written - sum(len(one.chosen) for one in news) > MOST_SURPLUS * written:
            self._most_steps = max(1, self._most_steps // 2)
        else:
            self._most_steps = min(self._most_steps + 1, MOST_STEPS)
        return self._most_steps

    def _feed_and_choose(self, news: Sequence[_News]) -> None:
        """Feed the rows' last tokens, and choose the next from the logits."""
        logits_BV = self._decoder.feed([[row.last] for row in self.rows])
        logits_BV = logits_BV[:, : self._tokenizer.vocab_size]
        tokens = self._chooser.choose(logits_BV, self.rows)
        scores = score_tokens(logits_BV, self.rows, tokens)
        for one, token, score in zip(news, tokens, scores, strict=True):
            one.row.refused = []
            if token is not None:
                one.push(token, self._tokenizer, score)

    def _drop(self, numbers: Sequence[int]) -> None:
        if numbers:
            self.rows = [self.rows[number] for number in self._decoder.drop(numbers)]
            self._chooser.keep(self.rows)

    def _move_windows(self) -> None:
        """Let the rows whose window is full leave, and come back with a new one."""
        full = []
        for number, row in enumerate(self.rows):
            start = row.window.follow(row.start, row.ids)
            if start != row.start:
                row.start = start
                row.seams.append((len(row.ids), start))
                full.append(number)
        if full:
            returning = [self.rows[number] for number in full]
            self._drop(full)
            self.enter(returning)


def choose_rows(source: Source, prompts: Sequence[Sequence[int]], max_new: int) -> int:
    """Return the number of texts to write at once, from the memory that their caches take.

    At most 32 on a CPU, within 1 GiB; at most 128 on a GPU, within half of its free memory.
    """
    longest = min(source.config.n_positions, max(map(len, prompts)) + max_new)
    room, most = CPU_BYTES, CPU_ROWS
    if source.device.type == "cuda":
        room, most = torch.cuda.mem_get_info(source.device)[0] // 2, GPU_ROWS
    return max(1, min(most, room // source.row_bytes(longest)))
