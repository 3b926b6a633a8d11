"""The texts that one model writes side by side, and what each step added to them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from penwright.config import SamplingConfig
from penwright.errors import ModelError, PenwrightError
from penwright.sample.batch import Batch, Row, choose_rows
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
        self._model = model
        context = model.model.config.n_positions
        self.size = batch_size or choose_rows(model.model, [[0] * context], 0)
        self._owners: dict[Row, Job] = {}
        self._batches: dict[SamplingConfig, Batch] = {}

    @property
    def rows(self) -> Collection[Row]:
        """The rows being written."""
        return self._owners.keys()

    def enter(self, texts: Sequence[Text]) -> list[News]:
        """Begin to write these texts; those that are finished at once are in the news."""
        entering: dict[SamplingConfig, list[Row]] = {}
        done: list[News] = []
        context = self._model.model.config.n_positions
        for job, index, prompt in texts:
            row = Row(index, prompt, context, job.sampling)
            if row.finish_reason:
                done.append((job, [Piece(index, "", (), row.finish_reason)], None))
            else:
                self._owners[row] = job
                entering.setdefault(_group(job.sampling), []).append(row)
        for sampling, rows in entering.items():
            self._batch(sampling).enter(rows)
        return done

    def step(self) -> list[News]:
        """Give every row one more token. Of a job whose rows cannot go on, the news is an error."""
        news: list[News] = []
        for sampling, batch in list(self._batches.items()):
            if not batch.rows:
                del self._batches[sampling]
                continue
            rows = list(batch.rows)
            try:
                news += self._gather(batch.step())
            except Exception as error:
                del self._batches[sampling]
                if len(rows) > 1:  # one of them is to blame: each goes on by itself
                    news += self._part(sampling, rows)
                else:
                    news.append((self._owners.pop(rows[0]), [], _explain(error)))
        return news

    def drop(self, jobs: Collection[Job]) -> None:
        """Remove the rows of these jobs."""
        for batch in self._batches.values():
            for row in batch.rows:
                if self._owners.get(row) in jobs:
                    row.finish_reason = "cancelled"
        self._owners = {row: job for row, job in self._owners.items() if job not in jobs}

    def _batch(self, sampling: SamplingConfig) -> Batch:
        if sampling not in self._batches:
            model = self._model
            self._batches[sampling] = Batch(model.model, model.tokenizer, sampling)
        return self._batches[sampling]

    def _part(self, sampling: SamplingConfig, rows: Sequence[Row]) -> list[News]:
        news: list[News] = []
        for row in rows:
            job = self._owners.get(row)
            if job is None:
                continue
            batch = Batch(self._model.model, self._model.tokenizer, sampling)
            try:
                batch.enter([row])
                news += self._gather(batch.step())
            except Exception as error:
                del self._owners[row]
                news.append((job, [], _explain(error)))
            else:
                if not row.finish_reason:
                    self._batch(sampling).enter([row])
        return news

    def _gather(self, pieces: Sequence[tuple[Row, str]]) -> list[News]:
        found: dict[Job, list[Piece]] = {}
        for row, text in pieces:
            job = self._owners.get(row)
            if job is None:
                continue
            tokens = () if row.finish_reason == "end" else (Token(row.ids[-1]),)
            found.setdefault(job, []).append(Piece(row.index, text, tokens, row.finish_reason))
            if row.finish_reason:
                del self._owners[row]
        return [(job, new, None) for job, new in found.items()]


def _group(sampling: SamplingConfig) -> SamplingConfig:
    return replace(sampling, seed=0, stop=())


def _explain(error: Exception) -> PenwrightError:
    if isinstance(error, PenwrightError):
        return error
    logger.error("The engine failed.", exc_info=error)
    return ModelError("The engine failed; the server's log says why.")
