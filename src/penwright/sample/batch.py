"""Write texts side by side: each step gives every one of them its next token.

B rows, T tokens, V vocabulary.

All but the last token of each row's window are in the decoder's cache; a step feeds it the last
ones, all rows at once, and chooses the next, for rows with equal settings together. Rows join and
leave between steps. A finished row leaves, and one whose window is full leaves and comes back with
a new one, so every step computes living rows only. Positions count from the window's start.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from penwright.config import SamplingConfig
from penwright.errors import UsageError
from penwright.native import Choice, NativeDecoder
from penwright.sample import logits
from penwright.sample.copy_limit import TrainingCopies
from penwright.sample.decoder import Source, find_shared
from penwright.sample.endings import TextStream
from penwright.sample.processors import NO_TEXT, Refusal, Rows
from penwright.sample.window import Window
from penwright.tokens.bpe import Tokenizer

NO_TOKEN = torch.iinfo(torch.long).max
TEXT_GROWTH = 256
STEP_SECONDS = 0.015
"""Time that the native decoder writes for at once: long enough to be fast, and seems immediate."""
MOST_STEPS = 64
CPU_BYTES = 2**30
CPU_ROWS = 32
GPU_ROWS = 128


class TokenScore(NamedTuple):
    """A written token and its log-probability in the model's own distribution.

    No setting has a say in that: no temperature, filter or penalty.
    """

    token: int
    logprob: float
    best: tuple[tuple[int, float], ...]
    """The likeliest tokens with theirs, as many as the row asks for."""


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
        self.refused = False
        """Whether a guard refused the token that the native decoder chose: Python chooses it."""

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
        return any(guard(self.ids, token) for guard in self.guards)

    def choice(self, most: int) -> Choice:
        """Return the settings for the native decoder to write at most `most` tokens."""
        settings = self.sampling
        return Choice(
            key=self.key,
            step=self.written,
            min_new=settings.min_new_tokens,
            temperature=settings.temperature,
            top_p=settings.top_p,
            min_p=settings.min_p,
            top_k=settings.top_k,
            greedy=logits.is_greedy(settings),
            limit=min(most, self.text.room),
            last=self.last,
        )

    def push(self, token: int, tokenizer: Tokenizer) -> str:
        """Append a chosen token; returns the text that is now sure, and may finish the row."""
        piece = self.text.push(token, tokenizer)
        self.finish_reason = self.text.finish_reason
        if self.finish_reason != "end":
            self.ids.append(token)
        return piece


class _News:
    """What a step adds to a row."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self._before = len(row.ids)
        self._texts: list[str] = []
        self._scores: list[TokenScore] = []

    def push(self, token: int, tokenizer: Tokenizer, score: TokenScore | None = None) -> None:
        before = len(self.row.ids)
        self._texts.append(self.row.push(token, tokenizer))
        if score is not None and len(self.row.ids) > before:
            self._scores.append(score)

    def event(self) -> Event:
        tokens = tuple(self.row.ids[self._before :])
        return Event(self.row, "".join(self._texts), tokens, tuple(self._scores))


class Batch:
    """The rows being written. Each has its own settings; rows join and leave between steps."""

    def __init__(
        self, source: Source, tokenizer: Tokenizer, training: TrainingCopies | None = None
    ) -> None:
        self.rows: list[Row] = []
        self._decoder = source.decoder()
        self._context = source.config.n_positions
        self._tokenizer = tokenizer
        self._training = training
        self._groups: dict[SamplingConfig, Group] = {}
        self._steps = 1

    def enter(self, rows: Sequence[Row]) -> None:
        """Begin to write these rows too: read all but the last token of their windows.

        Raises UsageError for an option that the tokenizer rules out.
        """
        for row in rows:
            if row.settings not in self._groups:
                chooser = logits.Chooser(row.settings, self._tokenizer, self._training)
                self._groups[row.settings] = Group(chooser, Texts(self._decoder.device))
            row.guards = row.guards or self._groups[row.settings].chooser.begin(row.prompt_length)
        windows = [row.cached for row in rows]
        self._decoder.enter(windows, find_shared([row.cached for row in self.rows], windows))
        self.rows += rows

    def cancel(self, row: Row) -> None:
        """Stop writing a row, which has its text so far and the finish reason "cancelled"."""
        row.finish_reason = "cancelled"
        self._drop([self.rows.index(row)])

    def step(self) -> list[Event]:
        """Write every row's next token; returns what is new of each row.

        The native decoder writes several tokens, for about 15 ms, where nothing in Python has to
        look at the logits; what a guard refuses is taken back, and chosen in Python. Finished rows
        have their `finish_reason` and are no longer in `rows`.
        """
        news = [_News(row) for row in self.rows]
        if isinstance(self._decoder, NativeDecoder) and all(map(self._is_native, self.rows)):
            self._write_natively(self._decoder, news)
        else:
            self._feed_and_choose(news)
        self._drop([number for number, row in enumerate(self.rows) if row.finish_reason])
        self._move_windows()
        return [one.event() for one in news]

    def _is_native(self, row: Row) -> bool:
        chooser = self._groups[row.settings].chooser
        return chooser.native and row.scores is None and not (row.text.healing or row.refused)

    def _write_natively(self, decoder: NativeDecoder, news: Sequence[_News]) -> None:
        """Let the decoder choose as many tokens as it can in a short time."""
        rooms = [self._context - length for length in decoder.lengths]
        choices = [
            row.choice(min(self._steps, room)) for row, room in zip(self.rows, rooms, strict=True)
        ]
        begin = time.perf_counter()
        texts = decoder.write(choices, self._tokenizer.end_ids, self._tokenizer.vocab_size)
        each = (time.perf_counter() - begin) / max(map(len, texts))
        self._steps = max(1, min(MOST_STEPS, int(STEP_SECONDS / each)))
        for one, tokens in zip(news, texts, strict=True):
            for token in tokens:
                if one.row.finish_reason:  # what is behind a stop text is surplus
                    break
                if one.row.refuses(token):
                    one.row.refused = True
                    break
                one.push(token, self._tokenizer)
        if any(row.refused for row in self.rows):
            kept = [len(row.cached) for row in self.rows]
            decoder.truncate(list(map(min, kept, decoder.lengths)))

    def _feed_and_choose(self, news: Sequence[_News]) -> None:
        """Feed the rows' last tokens, and choose the next from the logits."""
        logits_BV = self._decoder.feed([[row.last] for row in self.rows])
        logits_BV = logits_BV[:, : self._tokenizer.vocab_size]
        tokens = self._choose(logits_BV, self.rows)
        scores = score_tokens(logits_BV, self.rows, tokens)
        for one, token, score in zip(news, tokens, scores, strict=True):
            one.row.refused = False
            if token is not None:
                one.push(token, self._tokenizer, score)

    def _drop(self, numbers: Sequence[int]) -> None:
        if numbers:
            self.rows = [self.rows[number] for number in self._decoder.drop(numbers)]
            self._groups = {row.settings: self._groups[row.settings] for row in self.rows}

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

    def _choose(self, logits_BV: Tensor, rows: Sequence[Row]) -> list[int | None]:
        """Return each row's next token; None, and its `error`, for a row that has none."""
        groups: dict[SamplingConfig, list[int]] = {}
        for number, row in enumerate(rows):
            groups.setdefault(row.settings, []).append(number)
        tokens: list[int | None] = [None] * len(rows)
        for settings, numbers in groups.items():
            mine = [rows[number] for number in numbers]
            mine_BV = logits_BV if len(groups) == 1 else logits_BV[numbers]
            chosen = self._choose_alike(mine_BV, mine, self._groups[settings])
            for number, token in zip(numbers, chosen, strict=True):
                tokens[number] = token
        return tokens

    def _choose_alike(
        self, logits_BV: Tensor, rows: Sequence[Row], group: Group
    ) -> Sequence[int | None]:
        """Return the next tokens of rows with the same settings."""
        try:
            with torch.inference_mode():
                return self._choose_all(logits_BV, rows, group)
        except UsageError as error:
            if len(rows) == 1:
                rows[0].error, rows[0].finish_reason = error, "error"
                return [None]
        return [
            token
            for number, row in enumerate(rows)
            for token in self._choose_alike(logits_BV[number : number + 1], [row], group)
        ]

    def _choose_all(self, logits_BV: Tensor, rows: Sequence[Row], group: Group) -> Sequence[int]:
        steps_B = np.array([row.written for row in rows], dtype=np.int64)
        keys_B = np.array([row.key for row in rows], dtype=np.uint64)
        reads_text = group.chooser.reads_text
        ids_BT, lengths_B = group.texts.read(rows) if reads_text else (NO_TEXT, NO_TEXT)
        written_B = torch.from_numpy(steps_B).to(logits_BV.device)
        left_B = torch.tensor([row.text.left for row in rows], device=logits_BV.device)
        healing = [row.text.healing for row in rows]
        described = Rows(ids_BT, lengths_B, written_B, self._tokenizer.end_ids, left_B, healing)
        logits_BV = group.chooser.process(logits_BV, described)
        return group.chooser.choose(
            logits_BV, keys_B, steps_B, lambda number, token: rows[number].refuses(token)
        )


def score_tokens(
    logits_BV: Tensor, rows: Sequence[Row], tokens: Sequence[int | None]
) -> list[TokenScore | None]:
    """Return the scores of the chosen tokens, for the rows that ask for them."""
    scores: list[TokenScore | None] = [None] * len(rows)
    asking = [n for n, row in enumerate(rows) if row.scores is not None and tokens[n] is not None]
    if asking:
        logp_BV = logits_BV[asking].log_softmax(-1)
        most = max(rows[number].scores or 0 for number in asking)
        best = logp_BV.topk(min(most, logp_BV.shape[1]))
        for number, logp_V, values, ids in zip(
            asking, logp_BV, best.values.tolist(), best.indices.tolist(), strict=True
        ):
            token, wanted = tokens[number], rows[number].scores
            if token is not None:
                pairs = tuple(zip(ids[:wanted], values[:wanted], strict=True))
                scores[number] = TokenScore(token, float(logp_V[token]), pairs)
    return scores


class Texts:
    """The texts of some rows, as a tensor that grows with them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._rows: list[Row] = []
        self._lengths: list[int] = []
        self._ids_BT = torch.empty(0, 0, dtype=torch.long, device=device)

    def read(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """Return the rows' texts, without the <|endoftext|> before the prompt, and lengths_B."""
        longest = max(len(row.ids) for row in rows) - 1
        if self._rows != list(rows) or longest > self._ids_BT.shape[1]:
            self._arrange(rows, longest)
        new = [
            (number, column, token)
            for number, (row, length) in enumerate(zip(rows, self._lengths, strict=True))
            for column, token in enumerate(row.ids[length + 1 :], length)
        ]
        if new:
            rows_N, columns_N, tokens_N = torch.tensor(new, device=self._device).T
            self._ids_BT[rows_N, columns_N] = tokens_N
        self._lengths = [len(row.ids) - 1 for row in rows]
        lengths_B = torch.tensor(self._lengths, device=self._device)
        return self._ids_BT[:, :longest], lengths_B

    def _arrange(self, rows: Sequence[Row], longest: int) -> None:
        """Make room for these rows, and keep what is there of them."""
        columns = max(longest + TEXT_GROWTH, self._ids_BT.shape[1])
        ids_BT = torch.full((len(rows), columns), NO_TOKEN, dtype=torch.long, device=self._device)
        known = {row: number for number, row in enumerate(self._rows)}
        pairs = [(new, known[row]) for new, row in enumerate(rows) if row in known]
        for new, old in pairs:
            ids_BT[new, : self._ids_BT.shape[1]] = self._ids_BT[old]
        lengths = dict(zip(self._rows, self._lengths, strict=True))
        self._lengths = [lengths.get(row, 0) for row in rows]
        self._rows, self._ids_BT = list(rows), ids_BT


class Group(NamedTuple):
    """What rows with equal settings have in common."""

    chooser: logits.Chooser
    texts: Texts


def choose_rows(source: Source, prompts: Sequence[Sequence[int]], max_new: int) -> int:
    """Return the number of texts to write at once, from the memory that their caches take.

    At most 32 on a CPU, within 1 GiB; at most 128 on a GPU, within half of its free memory.
    """
    longest = min(source.config.n_positions, max(map(len, prompts)) + max_new)
    room, most = CPU_BYTES, CPU_ROWS
    if source.device.type == "cuda":
        room, most = torch.cuda.mem_get_info(source.device)[0] // 2, GPU_ROWS
    return max(1, min(most, room // source.row_bytes(longest)))
