"""Work in other processes, which are started as programs of their own.

multiprocessing would run the caller's script again in each, unless that is written with it in
mind. The processes speak over their standard input and output, in frames of marshalled values,
and end when their input does.
"""

from __future__ import annotations

import importlib
import marshal
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import penwright
from penwright import errors

Work = Callable[[Any], Any]
_AHEAD = 1
"""Jobs that wait for each process."""


def usable_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_work(target: str, setup: Any) -> Work:
    """The work that `module:function` makes of `setup`."""
    module, _, name = target.partition(":")
    made: Work = getattr(importlib.import_module(module), name)(setup)
    return made


class Processes:
    """So many processes that each do `target`'s work; use it as a context, so that they end.

    `target` is a `module:function` that makes of `setup` a function of one job. Set-up, jobs and
    results are what marshal can write: numbers, strings, bytes, lists, tuples, dicts, None.
    """

    def __init__(self, target: str, setup: Any, workers: int) -> None:
        self._begin = (target, setup)
        self._here = threading.local()
        self._started: list[subprocess.Popen[bytes]] = []
        self._threads = ThreadPoolExecutor(workers)
        self._most = workers * (1 + _AHEAD)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._started:
            process.kill()
        self._threads.shutdown(wait=True)
        for process in self._started:
            process.communicate()

    def map(self, jobs: Iterable[Any]) -> Iterator[Any]:
        """The results of the jobs, in order; only a few jobs are taken ahead of their turn.

        Raises the PenwrightError that a job raised, and OutOfRoomError when a process dies.
        """
        waiting: deque[Future[Any]] = deque()
        for job in jobs:
            waiting.append(self._threads.submit(self._ask, job))
            if len(waiting) >= self._most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _ask(self, job: Any) -> Any:
        """Have this thread's own process do a job."""
        if not hasattr(self._here, "process"):
            self._here.process = self._start()
        process = self._here.process
        try:
            if not hasattr(self._here, "ready"):
                _send(process.stdin, self._begin)
                self._here.ready = True
            _send(process.stdin, job)
            kind, *answer = _receive(process.stdout)
        except (OSError, EOFError):
            raise errors.OutOfRoomError(
                f"A helping process ended (code {process.wait()}).",
                fix="Memory may have run out: try again with fewer workers.",
            ) from None
        if kind == "error":
            name, message, fix = answer
            kind_of_error = getattr(errors, name)
            error: errors.PenwrightError = kind_of_error.__new__(kind_of_error)
            errors.PenwrightError.__init__(error, message, fix=fix)
            raise error
        return answer[0]

    def _start(self) -> subprocess.Popen[bytes]:
        package = str(Path(penwright.__file__).resolve().parent.parent)
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        process = subprocess.Popen(
            [sys.executable, "-c", "from penwright.formats.processes import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        )
        self._started.append(process)
        return process


def _send(stream: IO[bytes], content: Any) -> None:
    frame = marshal.dumps(content)
    stream.write(len(frame).to_bytes(8, "little"))
    stream.write(frame)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(8)
    size = int.from_bytes(head, "little") if len(head) == 8 else -1
    frame = stream.read(size) if size >= 0 else b""
    if size < 0 or len(frame) < size:
        raise EOFError
    return marshal.loads(frame)


def main() -> None:
    """Do what comes in until nothing does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the frames
    work: Work | None = None
    try:
        begin = _receive(source)
        while True:
            job = _receive(source)
            try:
                work = work or load_work(*begin)
                answer: tuple[Any, ...] = ("done", work(job))
            except errors.PenwrightError as error:
                answer = ("error", type(error).__name__, error.message, error.fix)
            _send(target, answer)
    except (EOFError, BrokenPipeError):
        # The parent has what it wanted, or is gone; nothing is left to flush.
        os._exit(0)
