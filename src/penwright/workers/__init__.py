"""Spread work over processes of this machine or of a Ray cluster.

Work is named `module:function`: that function takes the set-up and returns the function of one job.
Set-up, jobs and results are of types that marshal can write: numbers, strings, bytes, lists,
tuples, dicts and None.

    for result in spread("penwright.tokens.encode:make_work", setup, jobs, WorkConfig()): ...
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
"""("done", result), or ("error", class, message, fix) for a PenwrightError."""

AHEAD = 1
"""Jobs queued for each worker."""


class Engine(Protocol):
    """Processes that run the same function; a context manager that ends them."""

    def __enter__(self) -> Engine: ...

    def __exit__(self, *_: object) -> None: ...

    def map(self, jobs: Iterable[Any]) -> Iterator[Any]:
        """Yield the results of the jobs, in order; only a few jobs are taken in advance.

        Raises the PenwrightError that a job raised, and OutOfRoomError when a process dies.
        """


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
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
    """Yield the results of the jobs, in order, computed here or by the workers.

    When `config.workers` is None, this process runs the first `few` jobs itself, since workers take
    a moment to start. `here` is the loaded work, if this process has it already.
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
    """Return the configured engine; raises MissingExtraError when it is not installed."""
    from penwright.workers.engines import Cluster, Processes

    if config.engine == "ray":
        return Cluster(target, setup, config.workers)
    return Processes(target, setup, config.workers or usable_cores())


def _count_alone(config: WorkConfig, few: int) -> int | None:
    """Return the number of jobs to run in this process; None for all of them."""
    if config.workers is not None:
        return None if config.workers == 0 else 0
    if config.engine == "ray":
        return 0
    return None if usable_cores() == 1 else few


def load_work(target: str, setup: Any) -> Work:
    """Import `module:function` and call it with `setup`; returns the function of one job."""
    module, _, name = target.partition(":")
    made: Work = getattr(importlib.import_module(module), name)(setup)
    return made


def answer(load: Callable[[], Work], job: Any) -> Answer:
    """Run a job with the function that `load` returns; a PenwrightError of either is the answer."""
    try:
        return "done", load()(job)
    except errors.PenwrightError as error:
        return "error", type(error).__name__, error.message, error.fix


def open_answer(content: Answer) -> Any:
    """Return a job's result or raise its error."""
    kind, *rest = content
    if kind == "done":
        return rest[0]
    name, message, fix = rest
    kind_of_error = getattr(errors, name)
    error: errors.PenwrightError = kind_of_error.__new__(kind_of_error)
    errors.PenwrightError.__init__(error, message, fix=fix)
    raise error
