"""Work in other processes: on this machine, or on the machines of a Ray cluster.

Work is named `module:function`, which makes of a set-up a function of one job. Set-up, jobs and
results are what marshal can write: numbers, strings, bytes, lists, tuples, dicts, None.

    for result in spread("penwright.tokens.worker:make_work", setup, jobs, WorkConfig()): ...
"""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from penwright import errors
from penwright.config import WorkConfig

Work = Callable[[Any], Any]
Answer = tuple[Any, ...]
"""("done", result), or ("error", class, message, fix) of an error of ours."""

AHEAD = 1
"""Jobs that wait for each worker."""


class Engine(Protocol):
    """Processes that all do the same work; a context, so that they end."""

    def __enter__(self) -> Engine: ...

    def __exit__(self, *_: object) -> None: ...

    def map(self, jobs: Iterable[Any]) -> Iterator[Any]:
        """The results of the jobs, in order; only a few jobs are taken ahead of their turn.

        Raises the PenwrightError that a job raised, and OutOfRoomError when a process dies.
        """


def usable_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spread(
    target: str,
    setup: Any,
    jobs: Iterable[Any],
    config: WorkConfig,
    *,
    few: int = 0,
    here: Work | None = None,
) -> Iterator[Any]:
    """The results of the jobs, in order, whoever does them.

    Where the number of workers is left open, the first `few` jobs are done in this process, since
    others take a moment to start. `here` is the same work where this process has it already.
    """
    jobs = iter(jobs)
    alone = _count_alone(config, few)
    if alone != 0:
        work = here or load_work(target, setup)
        yield from map(work, itertools.islice(jobs, alone))
    first = list(itertools.islice(jobs, 1))
    if first:
        with open_engine(target, setup, config) as engine:
            yield from engine.map(itertools.chain(first, jobs))


def open_engine(target: str, setup: Any, config: WorkConfig) -> Engine:
    """The engine that was asked for; raises MissingExtraError where it is not installed."""
    if config.engine == "ray":
        from penwright.workers.cluster import Cluster

        return Cluster(target, setup, config.workers)
    from penwright.workers.processes import Processes

    return Processes(target, setup, config.workers or usable_cores())


def _count_alone(config: WorkConfig, few: int) -> int | None:
    """How many jobs this process does by itself; None is all of them."""
    if config.workers is not None:
        return None if config.workers == 0 else 0
    if config.engine == "ray":
        return 0
    return None if usable_cores() == 1 else few


def load_work(target: str, setup: Any) -> Work:
    """The work that `module:function` makes of `setup`."""
    module, _, name = target.partition(":")
    made: Work = getattr(importlib.import_module(module), name)(setup)
    return made


def answer(load: Callable[[], Work], job: Any) -> Answer:
    """Do a job; `load` gives the work, and its errors are the job's."""
    try:
        return "done", load()(job)
    except errors.PenwrightError as error:
        return "error", type(error).__name__, error.message, error.fix


def open_answer(content: Answer) -> Any:
    """The result of a job; raises the error that it ended with."""
    kind, *rest = content
    if kind == "done":
        return rest[0]
    name, message, fix = rest
    kind_of_error = getattr(errors, name)
    error: errors.PenwrightError = kind_of_error.__new__(kind_of_error)
    errors.PenwrightError.__init__(error, message, fix=fix)
    raise error
