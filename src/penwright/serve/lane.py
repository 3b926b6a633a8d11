"""The texts that one model writes side by side, and what each step added to them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from penwright.config import SamplingConfig
from penwright.errors import ModelError, PenwrightError, UsageError
from penwright.sample.batch import Batch, Event, Row, choose_rows
from penwright.sample.copy_limit import TrainingCopies
from penwright.sample.window import Window
from penwright.serve.metrics import Metrics
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
    """The new part of a text: characters that no stop text takes back, and tokens."""

    index: int
    text: str
    tokens: tuple[Token, ...]
    finish_reason: str


class Text(NamedTuple):
    """A text that is not begun yet: its number in its job, its prompt, and the bytes to heal."""

    job: Job
    number: int
    ids: list[int]
    again: bytes


News = tuple["Job", list[Piece], PenwrightError | None]


class Lane:
    """A model and the rows that it writes."""

    def __init__(self, model: Writer, batch_size: int | None, metrics: Metrics) -> None:
        self._model = model
        self._metrics = metrics
        self._source = model.source
        self._context = self._source.config.n_positions
        self.size = batch_size or choose_rows(self._source, [[0] * self._context], 0)
        self._training: TrainingCopies | None = None
        self._owners: dict[Row, Job] = {}
        self._batch = self._new_batch()

    @property
    def rows(self) -> Collection[Row]:
        """The rows being written."""
        return self._owners.keys()

    @property
    def cached(self) -> int:
        """Number of tokens in the cache."""
        return sum(len(row.cached) for row in list(self._owners))

    def clear(self) -> None:
        """Forget all rows."""
        self._owners, self._batch = {}, self._new_batch()

    def enter(self, texts: Sequence[Text]) -> list[News]:
        """Begin to write these texts; those that are finished or fail at once are in the news."""
        entering: dict[Row, Job] = {}
        done: list[News] = []
        for job, index, ids, again in texts:
            try:
                window = self._window(job.sampling)
            except UsageError as error:
                done.append((job, [], error))
                continue
            # Where a token may end a text, each step must write one.
            scores = 0 if job.stop_ids and job.logprobs is None else job.logprobs
            row = Row(index, ids, window, job.sampling, scores, again)
            if row.finish_reason:
                done.append((job, [Piece(index, "", (), row.finish_reason)], None))
            else:
                entering[row] = job
        try:
            if self._training is None and any(job.sampling.max_copy for job in entering.values()):
                self._know_training(entering.values())
            self._metrics.count_shared(self._batch.enter(list(entering)))
            self._owners |= entering
        except Exception as error:
            done += [(job, [], explain(error)) for job in set(entering.values())]
            done += self._begin_again()
        return done

    def warm_up(self) -> None:
        """Write two tokens, so that no client waits for what the first ones cost once."""
        sampling = SamplingConfig(max_new_tokens=2, min_new_tokens=2)
        batch = self._new_batch()
        batch.enter([Row(0, [self._model.tokenizer.eot_id], self._window(sampling), sampling)])
        while batch.rows:
            batch.step()

    def step(self) -> list[News]:
        """Give every row one more token. Of a job whose rows cannot go on, the news is an error."""
        try:
            return self._gather(self._batch.step())
        except Exception as error:
            if len(self._owners) > 1:
                return self._begin_again()
            ((_, job),) = self._owners.items()
            self.clear()
            return [(job, [], explain(error))]

    def drop(self, jobs: Collection[Job]) -> list[News]:
        """Remove the rows of these jobs; of a stopped job, the news is that its texts end."""
        ended: list[tuple[Job, int]] = []
        for row in [row for row, job in self._owners.items() if job in jobs]:
            ended.append((self._owners.pop(row), row.index))
            self._batch.cancel(row)
        for job in jobs:
            if job.model is self._model:
                ended += [(job, text.number) for text in job.waiting]
                job.waiting.clear()
        return [
            (job, [Piece(index, "", (), "stop")], None)
            for job, index in ended
            if job.stopped and not job.cancelled
        ]

    def _window(self, sampling: SamplingConfig) -> Window:
        return Window.of(self._context, self._model.tokenizer, sampling)

    def _begin_again(self) -> list[News]:
        """Take every row a step on by itself, and go on with those that do not fail."""
        rows, self._batch = list(self._owners), self._new_batch()
        news: list[News] = []
        for row in rows:
            alone = self._new_batch()
            try:
                alone.enter([row])
                news += self._gather(alone.step())
            except Exception as error:
                news.append((self._owners.pop(row), [], explain(error)))
        self._batch.enter(list(self._owners))
        return news

    def _gather(self, events: Sequence[Event]) -> list[News]:
        found: dict[Job, list[Piece]] = {}
        news: list[News] = []
        for event in events:
            row = event.row
            job = self._owners.pop(row) if row.finish_reason else self._owners[row]
            if row.error is not None:
                news.append((job, [], row.error))
                continue
            tokens = [Token(s.token, s.logprob, s.best) for s in event.scores]
            tokens = tokens or [Token(id_) for id_ in event.tokens]
            piece = Piece(row.index, event.text, tuple(tokens), row.finish_reason)
            if job.stop_ids.intersection(event.tokens) and not row.finish_reason:
                piece = self._end_at(row, piece)
            found.setdefault(job, []).append(piece)
        return news + [(job, new, None) for job, new in found.items()]

    def _end_at(self, row: Row, piece: Piece) -> Piece:
        """End a row at its last token, whose text is left out."""
        del self._owners[row]
        if row in self._batch.rows:
            self._batch.cancel(row)
        last = self._model.tokenizer.decode([piece.tokens[-1].id])
        return Piece(piece.index, piece.text.removesuffix(last), piece.tokens, "stop")

    def _know_training(self, jobs: Iterable[Job]) -> None:
        """Open the text that the model was trained on, and begin a batch that knows it."""
        limited = next(job.sampling for job in jobs if job.sampling.max_copy)
        self._training = self._model.training(limited)
        self._batch = self._new_batch()
        self._batch.enter(list(self._owners))

    def _new_batch(self) -> Batch:
        model = self._model
        return Batch(self._source, model.tokenizer, self._training, model.drafter)


def explain(error: Exception) -> PenwrightError:
    """Return the error to tell a client; one that is a bug is logged."""
    if isinstance(error, PenwrightError):
        return error
    logger.error("The engine failed.", exc_info=error)
    return ModelError("The engine failed; the server's log says why.")
