"""What every kind of worker does with a job, and what comes back of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from penwright import errors

Work = Callable[[Any], Any]
Answer = tuple[Any, ...]
"""("done", result), or ("error", class, message, fix) of an error of ours."""

AHEAD = 1
"""Jobs that wait for each worker."""


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
