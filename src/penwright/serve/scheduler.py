"""Write the texts of all requests side by side, in the one thread that touches the models.

Routes submit a `Job` (some prompts, n texts each) and read its pieces; everything else happens
here. Each turn of the thread drops what was cancelled, lets waiting texts enter free places, and
gives every text one more token. Jobs take free places in turn, one text each, so a request for
many texts does not hold up a small one. Longer work on a model (scoring a prompt) is a generator,
and each turn advances one of them by one step.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from itertools import zip_longest
from typing import Any

from penwright.config import SamplingConfig
from penwright.errors import PenwrightError
from penwright.serve.lane import Lane, Piece, Text, explain
from penwright.serve.metrics import Metrics
from penwright.verbs.generate import Writer

PREFILL_TOKENS = 2048
"""Prompt tokens that may enter in one turn while other texts are being written."""
LONGEST_RETRY = 60
"""Most seconds that a client is told to wait when the queue is full."""
IDLE_SECONDS = 10.0
"""A stream without news for so long is told that the server is still there."""


class BusyError(PenwrightError):
    """The queue is full; `seconds` is a guess at when it will not be."""

    def __init__(self, seconds: int) -> None:
        super().__init__("Too many texts are waiting.", fix=f"Try again in {seconds} seconds.")
        self.seconds = seconds


class LateError(PenwrightError):
    """A request took longer than the server allows."""


class UnloadedError(PenwrightError):
    """The model of a request was unloaded."""

    def __init__(self) -> None:
        super().__init__("The model was unloaded.", fix="Ask again, or ask another model.")


class Job:
    """The texts of one request; `pieces` yields what is new."""

    def __init__(
        self,
        model: Writer,
        prompts: Sequence[Sequence[int]],
        n: int,
        sampling: SamplingConfig,
        *,
        logprobs: int | None = None,
        again: Sequence[bytes] = (),
        stop_ids: Iterable[int] = (),
        seconds: float = math.inf,
    ) -> None:
        self.model = model
        self.sampling = sampling
        self.logprobs = logprobs
        self.stop_ids = frozenset(stop_ids)
        """Tokens that end a text, and are left out of it."""
        self.begun = time.monotonic()
        self.deadline = self.begun + seconds
        self.cancelled = False
        self.stopped = False
        self.waiting = deque(
            Text(self, number * n + i, list(prompt), end)
            for number, (prompt, end) in enumerate(zip_longest(prompts, again, fillvalue=b""))
            for i in range(n)
        )
        """The texts that have not entered yet."""
        self.texts = self.unfinished = len(self.waiting)
        self.prompt_tokens = sum(map(len, prompts))
        self.last_piece = 0.0
        self._inbox: list[Piece] = []
        self._error: PenwrightError | None = None
        self._news = asyncio.Event()

    async def pieces(self) -> AsyncIterator[list[Piece]]:
        """Yield new pieces, all that are there at a time, until every text is finished.

        Yields an empty list after `IDLE_SECONDS` without news. Raises PenwrightError when the
        texts cannot be written.
        """
        left = self.texts
        while left:
            try:
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                yield []
                continue
            self._news.clear()
            pieces, self._inbox = self._inbox, []
            left -= sum(bool(piece.finish_reason) for piece in pieces)
            if pieces:
                yield pieces
            if self._error is not None:
                raise self._error

    def receive(self, pieces: Iterable[Piece], error: PenwrightError | None = None) -> None:
        """Take pieces, or the error that ends the job; called in the event loop's thread."""
        self._inbox += pieces
        self._error = self._error or error
        self._news.set()


class Scheduler:
    """The thread that owns the models. `submit` and `run` are for the event loop's thread."""

    def __init__(
        self,
        models: Sequence[Writer],
        metrics: Metrics,
        *,
        batch_size: int | None = None,
        max_waiting: int = 512,
    ) -> None:
        self.metrics = metrics
        self._batch_size = batch_size
        self._lanes = {id(model): Lane(model, batch_size, metrics) for model in models}
        self._max_waiting = max_waiting
        self._jobs: deque[Job] = deque()
        self._running: set[Job] = set()
        self._chores: deque[tuple[asyncio.Future[Any], Generator[None, None, Any]]] = deque()
        self._changed = threading.Condition()
        self._warm = self._closing = False
        self._thread = threading.Thread(target=self._work, name="penwright-scheduler", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_healthy(self) -> bool:
        """Whether the thread runs, is warm and takes requests."""
        return self._thread.is_alive() and self._warm and not self._closing

    @property
    def waiting(self) -> int:
        """Number of texts that have not entered yet."""
        return sum(len(job.waiting) for job in list(self._jobs)) + len(self._chores)

    @property
    def running(self) -> int:
        """Number of texts being written."""
        return sum(len(lane.rows) for lane in self._lanes.values())

    @property
    def cached(self) -> int:
        """Number of tokens in the caches."""
        return sum(lane.cached for lane in self._lanes.values())

    def start(self) -> None:
        """Start the thread; its pieces go to the event loop that is running."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> None:
        """Stop the thread after the turn that it is in; unfinished jobs end with an error."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def submit(self, job: Job) -> Job:
        """Queue a job. Raises BusyError when too many texts wait already."""
        self._refuse_when_full(len(job.waiting))
        self.metrics.count_request(job.prompt_tokens)
        with self._changed:
            if id(job.model) not in self._lanes:
                raise UnloadedError
            self._jobs.append(job)
            self._changed.notify()
        return job

    async def run(self, work: Generator[None, None, Any]) -> Any:
        """Run a generator in the thread, a step a turn; returns what it returns."""
        self._refuse_when_full(1)
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with self._changed:
            self._chores.append((done, work))
            self._changed.notify()
        return await done

    def exchange(self, old: Writer | None, new: Writer | None) -> Generator[None, None, None]:
        """Serve `new`, and `old` no longer: its texts end with UnloadedError. For `run`."""
        added = {id(new): Lane(new, self._batch_size, self.metrics)} if new else {}
        with self._changed:
            kept = {key: lane for key, lane in self._lanes.items() if key != id(old)}
            self._lanes = kept | added
            gone = [job for job in {*self._running, *self._jobs} if job.model is old]
        for job in gone:
            job.cancelled = True
            self._post(job.receive, [], UnloadedError())
        yield

    def cancel(self, job: Job) -> None:
        """Give the places of a job back before the next turn, if it is not finished."""
        with self._changed:
            job.cancelled = True
            self._changed.notify()

    def stop(self, job: Job) -> None:
        """End the texts of a job as they are before the next turn."""
        with self._changed:
            job.stopped = True
            self._changed.notify()

    def _refuse_when_full(self, more: int) -> None:
        waiting = self.waiting
        if waiting and waiting + more > self._max_waiting:
            seconds = self.metrics.guess_seconds(waiting, sum(e.size for e in self._lanes.values()))
            raise BusyError(max(1, min(LONGEST_RETRY, math.ceil(seconds))))

    def _work(self) -> None:
        for lane in self._lanes.values():
            with contextlib.suppress(PenwrightError):  # each request will be told
                lane.warm_up()
        self._warm = True
        while self._wait():
            try:
                self._take_turn()
            except Exception as error:  # the thread goes on, with nothing left of this turn
                self._end_all(explain(error))
        self._end_all(PenwrightError("The server is stopping."))

    def _take_turn(self) -> None:
        self._drop_cancelled()
        self._admit()
        for lane in self._lanes.values():
            if lane.rows:
                self._deliver(lane.step())
        self._advance_chore()

    def _end_all(self, error: PenwrightError) -> None:
        """End everything that is asked for with an error."""
        with self._changed:
            jobs, chores = {*self._running, *self._jobs}, list(self._chores)
            self._running.clear()
            self._jobs.clear()
            self._chores.clear()
        for lane in self._lanes.values():
            lane.clear()
        for job in jobs:
            self._post(job.receive, [], error)
        for done, _ in chores:
            self._post(_settle, done, None, error)

    def _wait(self) -> bool:
        """Wait for work; returns False when there will be none."""
        with self._changed:
            while not (self._closing or self._jobs or self._running or self._chores):
                self._changed.wait()
            return not self._closing

    def _drop_cancelled(self) -> None:
        now = time.monotonic()
        for job in [*self._running, *self._jobs]:
            if now > job.deadline and not job.cancelled:
                job.cancelled = True
                seconds = job.deadline - job.begun
                late = LateError(f"The request took longer than {seconds:g} seconds.")
                self._post(job.receive, [], late)
        gone = {job for job in (*self._running, *self._jobs) if job.cancelled or job.stopped}
        if gone:
            with self._changed:
                self._jobs = deque(job for job in self._jobs if job not in gone)
            self._running -= gone
            for lane in self._lanes.values():
                self._deliver(lane.drop(gone))
        cancelled = [chore for chore in self._chores if chore[0].cancelled()]
        for chore in cancelled:
            self._chores.remove(chore)

    def _admit(self) -> None:
        """Let waiting texts enter the free places of their models, a text of each job in turn."""
        chosen: dict[int, list[Text]] = {}
        free = {key: lane.size - len(lane.rows) for key, lane in self._lanes.items()}
        room = {key: PREFILL_TOKENS if lane.rows else math.inf for key, lane in self._lanes.items()}
        blocked: set[Job] = set()
        with self._changed:
            while len(blocked) < len(self._jobs):
                job = self._jobs.popleft()
                key = id(job.model)
                if job not in blocked and free[key] > 0 and room[key] > 0:
                    text = job.waiting.popleft()
                    chosen.setdefault(key, []).append(text)
                    free[key] -= 1
                    room[key] -= len(text.ids)
                    self._running.add(job)
                else:
                    blocked.add(job)
                if job.waiting:
                    self._jobs.append(job)
                else:
                    blocked.discard(job)
        for key, texts in chosen.items():
            self._deliver(self._lanes[key].enter(texts))

    def _deliver(self, news: Sequence[tuple[Job, list[Piece], PenwrightError | None]]) -> None:
        if not news:
            return
        now = time.monotonic()
        for job, pieces, error in news:
            self.metrics.count_pieces(job, pieces, now)
            job.unfinished -= sum(bool(piece.finish_reason) for piece in pieces)
            if error is not None:
                job.cancelled = True
                with self._changed:
                    self._running.add(job)  # so that its other texts leave
            elif not job.unfinished:
                self._running.discard(job)
        self._post(_hand_over, news)

    def _advance_chore(self) -> None:
        if not self._chores:
            return
        done, work = self._chores.popleft()
        try:
            next(work)
            self._chores.append((done, work))
        except StopIteration as finished:
            self._post(_settle, done, finished.value, None)
        except Exception as error:
            self._post(_settle, done, None, explain(error))

    def _post(self, function: Callable[..., None], *arguments: Any) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(function, *arguments)


def _hand_over(news: Sequence[tuple[Job, list[Piece], PenwrightError | None]]) -> None:
    for job, pieces, error in news:
        job.receive(pieces, error)


def _settle(done: asyncio.Future[Any], result: Any, error: PenwrightError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
