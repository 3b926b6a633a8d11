"""Run jobs in processes of this machine, started as separate programs.

multiprocessing would run the caller's script again in each, unless that is written with it in
mind. The processes speak over their standard input and output, in frames of marshalled values,
and end when their input does; a parent that is killed leaves none behind.
"""

from __future__ import annotations

import marshal
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import IO, Any

import penwright
from penwright.errors import OutOfRoomError
from penwright.workers import AHEAD, answer, load_work, open_answer

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}


class Processes:
    """`workers` processes that each run `target`; a context manager that ends them."""

    def __init__(self, target: str, setup: Any, workers: int) -> None:
        self._begin = (target, setup)
        self._here = threading.local()
        self.started: list[subprocess.Popen[bytes]] = []
        self._threads = ThreadPoolExecutor(workers)
        self._most = workers * (1 + AHEAD)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self.started:
            process.kill()
        self._threads.shutdown(wait=True)
        for process in self.started:
            process.communicate()

    def map(self, jobs: Iterable[Any]) -> Iterator[Any]:
        """Yield the results of the jobs, in order (see `Engine.map`)."""
        waiting: deque[Future[Any]] = deque()
        for job in jobs:
            waiting.append(self._threads.submit(self._ask, job))
            if len(waiting) >= self._most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _ask(self, job: Any) -> Any:
        """Send a job to this thread's process and return its result."""
        if not hasattr(self._here, "process"):
            self._here.process = self._start()
        process = self._here.process
        try:
            if not hasattr(self._here, "ready"):
                _send(process.stdin, self._begin)
                self._here.ready = True
            _send(process.stdin, job)
            content = _receive(process.stdout)
        except (OSError, EOFError):
            raise OutOfRoomError(
                f"A helping process ended (code {process.wait()}).",
                fix="Memory may have run out: try again with fewer workers.",
            ) from None
        return open_answer(content)

    def _start(self) -> subprocess.Popen[bytes]:
        package = str(Path(penwright.__file__).resolve().parent.parent)
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        process = subprocess.Popen(
            [sys.executable, "-c", "from penwright.workers.processes import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **_ONE_THREAD},
        )
        self.started.append(process)
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
    """Read jobs from standard input and answer them until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries must not mix with the frames
    try:
        load = cache(partial(load_work, *_receive(source)))
        while True:
            _send(target, answer(load, _receive(source)))
    except (EOFError, BrokenPipeError):
        # The parent has finished or was killed; there is nothing to flush.
        os._exit(0)
