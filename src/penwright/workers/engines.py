"""The engines that run jobs: processes of this machine, and a Ray cluster (Moritz et al., 2018).

Local processes are started as separate programs, since multiprocessing would run the caller's
script again in each unless that script guards against it. They exchange frames of marshalled
values over standard input and output, and end when their input does, so a killed parent leaves
none behind.

The Ray cluster is the one that the process is connected to, else the one that RAY_ADDRESS names or
that `ray start` started on this machine, else one that Ray starts here. The connection ends with
the process, since several kinds of work may be running. Each machine needs the same version of
Penwright. Ray replaces a worker that dies, up to three times per job.
"""

from __future__ import annotations

import itertools
import marshal
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, lru_cache, partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import IO, Any
from urllib.parse import urlsplit

import penwright
from penwright.errors import MissingExtraError, OutOfRoomError, UsageError
from penwright.workers import AHEAD, Answer, Work, answer, load_work, open_answer

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
NUMBER = "PENWRIGHT_WORKER"
"""The environment variable with a process's number, counted from 0."""
_KINDS_OF_WORK = 4
"""Number of loaded functions that a process of the cluster keeps."""
_PATIENCE = 5
"""Seconds to wait for a cluster; Ray itself would try for a quarter of an hour."""


class Processes:
    """`workers` processes that each run `target`; a context manager that ends them."""

    def __init__(self, target: str, setup: Any, workers: int, threads: int = 1) -> None:
        self._begin = (target, setup)
        self._threads_each = threads
        self._numbers = itertools.count()
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
            [sys.executable, "-c", "from penwright.workers.engines import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                **dict.fromkeys(_THREADS, str(self._threads_each)),
                "TOKENIZERS_PARALLELISM": "false",
                NUMBER: str(next(self._numbers)),
            },
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


class Cluster:
    """Runs `workers` tasks at once on a Ray cluster, or as many as it has cores.

    Raises MissingExtraError without Ray, and on entry UsageError when the cluster cannot be
    reached.
    """

    def __init__(self, target: str, setup: Any, workers: int | None) -> None:
        self._ray = _import_ray()
        self._begin = marshal.dumps((penwright.__version__, target, setup))
        self._workers = workers
        self._waiting: deque[Any] = deque()

    def __enter__(self) -> Cluster:
        ray = self._ray
        if not ray.is_initialized():
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            try:
                _knock(find_address(ray))
                ray.init(log_to_driver=False, logging_level="error")
            except (OSError, RuntimeError, ValueError) as error:
                raise UsageError(
                    f"The Ray cluster cannot be reached: {_first_line(error)}",
                    fix="Start one with `ray start --head`, name one that runs in RAY_ADDRESS, or "
                    "forget one that is gone with `ray stop`.",
                ) from None
        return self

    def __exit__(self, *_: object) -> None:
        for result in self._waiting:
            self._ray.cancel(result)

    def map(self, jobs: Iterable[Any]) -> Iterator[Any]:
        """Yield the results of the jobs, in order (see `Engine.map`)."""
        ray = self._ray
        workers = self._workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        begin = ray.put(self._begin)
        task = ray.remote(num_cpus=1)(_answer)
        waiting = self._waiting
        for job in jobs:
            waiting.append(task.remote(begin, job))
            if len(waiting) >= workers * (1 + AHEAD):
                yield self._wait(waiting.popleft())
        while waiting:
            yield self._wait(waiting.popleft())

    def _wait(self, result: Any) -> Any:
        failures = self._ray.exceptions
        try:
            content = self._ray.get(result)
        except failures.RayTaskError as error:
            if isinstance(error.cause, ImportError):
                raise UsageError(
                    f"A machine of the Ray cluster lacks something: {error.cause}.", fix=_SAME
                ) from None
            raise
        except failures.RayError as error:
            raise OutOfRoomError(
                f"A worker of the Ray cluster ended: {_first_line(error)}",
                fix="Memory may have run out: try again with fewer --workers.",
            ) from None
        return open_answer(content)


_SAME = f"Install penwright {penwright.__version__} on all of its machines."


def _answer(begin: bytes, job: Any) -> Answer:
    """Run a job in a process of the cluster."""
    return answer(_loader(begin), job)


@lru_cache(_KINDS_OF_WORK)
def _loader(begin: bytes) -> Any:
    version, target, setup = marshal.loads(begin)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # a job has one core

    def load() -> Work:
        if version != penwright.__version__:
            raise UsageError(
                f"A machine of the Ray cluster has penwright {penwright.__version__}, not"
                f" {version}.",
                fix=f"Install penwright {version} on all of its machines.",
            )
        return load_work(target, setup)

    return cache(load)


def find_address(ray: ModuleType) -> str | None:
    """Return the address that `ray.init` will connect to; None if it will start a cluster."""
    named = os.environ.get("RAY_ADDRESS", "")
    if "://" in named:
        return named
    found: str | None = ray._private.services.canonicalize_bootstrap_address(None)
    return found


def _knock(address: str | None) -> None:
    """Raise OSError unless a server listens at this address."""
    if address is None:
        return
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname is None or parts.port is None:
        return
    try:
        socket.create_connection((parts.hostname, parts.port), _PATIENCE).close()
    except OSError as error:
        raise OSError(f"no server answers at {address} ({error.strerror or error})") from None


def _import_ray() -> ModuleType:
    if os.environ.get("RAY_ADDRESS"):
        # Timeout and retries before Ray gives up on a server that is not Ray.
        os.environ.setdefault("RAY_py_gcs_connect_timeout_s", str(_PATIENCE))
        os.environ.setdefault("RAY_gcs_server_port_wait_time_s", "1")
    try:
        return import_module("ray")
    except ImportError:
        raise MissingExtraError("--engine ray", "ray") from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".") + "."
