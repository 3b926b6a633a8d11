"""Choose the next tokens of rows with different settings, those with equal ones together.

B rows, T tokens, N tokens of a row ahead, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from penwright.config import SamplingConfig
from penwright.errors import UsageError
from penwright.native import MOST_REFUSED
from penwright.sample import logits
from penwright.sample.copy_limit import TrainingCopies
from penwright.sample.processors import NO_TEXT, Rows
from penwright.tokens.bpe import Tokenizer

if TYPE_CHECKING:
    from penwright.sample.batch import Row

NO_TOKEN = torch.iinfo(torch.long).max
TEXT_GROWTH = 256


class TokenScore(NamedTuple):
    """A written token and its log-probability in the model's own distribution.

    No setting has a say in that: no temperature, filter or penalty.
    """

    token: int
    logprob: float
    best: tuple[tuple[int, float], ...]
    """The likeliest tokens with theirs, as many as the row asks for."""


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
    """Rows with equal settings, and what chooses their tokens."""

    chooser: logits.Chooser
    texts: Texts


class RowChooser:
    """The settings of the rows that are being written, prepared for their tokenizer."""

    def __init__(
        self, tokenizer: Tokenizer, device: torch.device, training: TrainingCopies | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._device = device
        self._training = training
        self._groups: dict[SamplingConfig, Group] = {}

    def add(self, rows: Sequence[Row]) -> None:
        """Prepare the settings of these rows.

        Raises UsageError for an option that the tokenizer rules out.
        """
        for row in rows:
            if row.settings not in self._groups:
                chooser = logits.Chooser(row.settings, self._tokenizer, self._training)
                self._groups[row.settings] = Group(chooser, Texts(self._device))
            row.guards = row.guards or self._groups[row.settings].chooser.begin(row.prompt_length)

    def keep(self, rows: Sequence[Row]) -> None:
        """Forget all settings but those of these rows."""
        self._groups = {row.settings: self._groups[row.settings] for row in rows}

    def is_native(self, row: Row) -> bool:
        """Return whether the native decoder can choose the row's next tokens."""
        chooser = self._groups[row.settings].chooser
        few = len(row.refused) <= MOST_REFUSED
        return chooser.native and row.scores is None and few and not row.text.healing

    def choose(self, logits_BV: Tensor, rows: Sequence[Row]) -> list[int | None]:
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

    def _choose_all(
        self, logits_BV: Tensor, rows: Sequence[Row], group: Group, ahead: Sequence[int] = ()
    ) -> Sequence[int]:
        """Return the tokens of rows with the same settings, each `ahead` tokens further on."""
        steps_B = np.array([row.written for row in rows], dtype=np.int64)
        if ahead:
            steps_B += np.array(ahead)
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

    def choose_ahead(
        self, row: Row, logits_NV: Tensor
    ) -> Iterator[tuple[int | None, TokenScore | None]]:
        """Yield the token at each place; what looks at the text sees those that were yielded."""
        group = self._groups[row.settings]
        if group.chooser.native and not (row.text.healing or row.guards):
            ahead = range(len(logits_NV))
            rows = [row] * len(ahead)
            with torch.inference_mode():
                tokens = self._choose_all(logits_NV, rows, group, ahead)
            yield from zip(tokens, score_tokens(logits_NV, rows, tokens), strict=True)
            return
        for place in range(len(logits_NV)):
            here_1V = logits_NV[place : place + 1]
            [token] = self.choose(here_1V, [row])
            yield token, score_tokens(here_1V, [row], [token])[0]
