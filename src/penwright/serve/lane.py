"""The texts that one model writes side by side, and what each step added to them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penwright.errors import ModelError, PenwrightError, UsageError
from penwright.sample.batch import Batch, Row, choose_rows
from penwright.sample.decoder import as_source
from penwright.sample.logits import Chooser
from penwright.verbs.generate import Writer

if TYPE_CHECKING:
    from penwright.serve.scheduler import Job

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was chosen; with log-probabilities where they were asked for."""

    id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """What one step added to a text: characters that no stop text takes back, and tokens."""

    index: int
    text: str
    tokens: tuple[Token, ...]
    finish_reason: str


News = tuple["Job", list[Piece], PenwrightError | None]
Text = tuple["Job", int, list[int]]
"""A job, the index of one of its texts, and its prompt."""


class Lane:
    """A model and the rows that it writes."""

    def __init__(self, model: Writer, batch_size: int | None) -> None:
        self._source = as_source(model.model)
        self._tokenizer = model.tokenizer
        self._context = self._source.config.n_positions
        self.size = batch_size or choose_rows(self._source, [[0] * self._context], 0)
        self._owners: dict[Row, Job] = {}
        self._batch = Batch(self._source, self._tokenizer)

    @property
    def rows(self) -> Collection[Row]:
        """The rows being written."""
        return self._owners.keys()

    def enter(self, texts: Sequence[Text]) -> list[News]:
        """Begin to write these texts; those that are finished at once are in the news."""
        entering: list[Row] = []
        done: list[News] = []
        for job, index, prompt in texts:
            row = Row(index, prompt, self._context, job.sampling)
            try:
                Chooser(job.sampling, self._tokenizer)
            except UsageError as error:  # such as a bias of a token that there is not
                done.append((job, [], error))
                continue
            if row.finish_reason:
                done.append((job, [Piece(index, "", (), row.finish_reason)], None))
            else:
                self._owners[row] = job
                entering.append(row)
        self._batch.enter(entering)
        return done

    def step(self) -> list[News]:
        """Give every row one more token. Of a job whose rows cannot go on, the news is an error."""
        try:
            events = self._batch.step()
        except Exception as error:
            failed = set(self._owners.values())
            self._owners = {}
            self._batch = Batch(self._source, self._tokenizer)
            return [(job, [], _explain(error)) for job in failed]
        pieces: dict[Job, list[Piece]] = {}
        news: list[News] = []
        for event in events:
            row = event.row
            job = self._owners[row]
            if row.finish_reason:
                del self._owners[row]
            if row.error is not None:
                news.append((job, [], row.error))
            else:
                tokens = tuple(map(Token, event.tokens))
                piece = Piece(row.index, event.text, tokens, row.finish_reason)
                pieces.setdefault(job, []).append(piece)
        return news + [(job, new, None) for job, new in pieces.items()]

    def drop(self, jobs: Collection[Job]) -> None:
        """Remove the rows of these jobs."""
        for row in [row for row, job in self._owners.items() if job in jobs]:
            self._batch.cancel(row)
            del self._owners[row]


def _explain(error: Exception) -> PenwrightError:
    if isinstance(error, PenwrightError):
        return error
    logger.error("The engine failed.", exc_info=error)
    return ModelError("The engine failed; the server's log says why.")
