"""Answer while the client listens: work that ends when it leaves, and server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from penwright.config import SamplingConfig
from penwright.serve.completions import Choice, Prompt, check_size
from penwright.serve.lane import Piece
from penwright.serve.scheduler import Job, Scheduler
from penwright.verbs.generate import Writer

if TYPE_CHECKING:
    from penwright.serve.server import Server

STALL_SECONDS = 30.0
"""Time after its deadline that a client has to read the rest of a stream."""
PING = b": ping\n\n"
"""A comment, which every parser of server-sent events passes over."""


class ClientLeftError(Exception):
    """The client closed the connection before its answer was complete."""


@contextlib.asynccontextmanager
async def running(scheduler: Scheduler, job: Job) -> AsyncIterator[Job]:
    """Submit a job for the length of a block; whatever ends the block gives its places back."""
    scheduler.submit(job)
    try:
        yield job
    finally:
        scheduler.cancel(job)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, Any]) -> Any:
    """Return what `work` returns; raise ClientLeftError, and cancel it, when the client leaves."""
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_wait_for_end(receive))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientLeftError
        return task.result()
    finally:
        for each in (task, watcher):
            each.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _wait_for_end(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class OneText:
    """A request for one text: its job, and the text as it grows."""

    def __init__(
        self,
        server: Server,
        model: Writer,
        prompt: Prompt,
        sampling: SamplingConfig,
        logprobs: int | None,
    ) -> None:
        check_size([prompt], 1, sampling.max_new_tokens)
        self.model, self.prompt, self.choice = model, prompt, Choice(0)
        self.job = Job(
            model,
            [prompt.ids],
            1,
            sampling,
            logprobs=logprobs,
            again=[prompt.again],
            seconds=server.timeout,
        )
        self._scheduler = server.scheduler

    async def pieces(self) -> AsyncIterator[Piece | None]:
        """Yield new pieces as they come; None while nothing does."""
        async for pieces in self.job.pieces():
            for piece in pieces:
                self.choice.add(piece)
                yield piece
            if not pieces:
                yield None

    def stream(self, events: AsyncIterator[bytes]) -> EventStream:
        """Submit the job; returns the answer that sends these events."""
        self._scheduler.submit(self.job)
        return EventStream(events, self.job, self._scheduler)

    async def finish(self, receive: Receive, pieces: AsyncIterator[Any]) -> None:
        """Submit the job and read its `pieces` to the end, while the client waits."""

        async def read() -> None:
            async with running(self._scheduler, self.job):
                async for _ in pieces:
                    pass

        await while_connected(receive, read())


class EventStream(Response):
    """A stream of server-sent events that ends when the client leaves."""

    def __init__(self, events: AsyncIterator[bytes], job: Job, scheduler: Scheduler) -> None:
        super().__init__(media_type="text/event-stream")
        del self.headers["content-length"]
        self.headers["Cache-Control"] = "no-store"
        self.headers["X-Accel-Buffering"] = "no"
        self._events, self._job, self._scheduler = events, job, scheduler

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        left = self._job.deadline - time.monotonic() + STALL_SECONDS
        try:
            with contextlib.suppress(ClientLeftError, OSError):
                async with asyncio.timeout(None if math.isinf(left) else left):
                    await while_connected(receive, self._send(send))
        finally:
            self._scheduler.cancel(self._job)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for event in self._events:
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
