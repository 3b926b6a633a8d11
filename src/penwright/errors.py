"""The errors that a user can cause.

    PenwrightError              exit code 1
    ├── UsageError              exit code 2: a flag, a key or a combination that cannot be
    ├── DataError               a file, a row or a document that cannot be read or learned from
    ├── TokenizerError          a tokenizer that is damaged, or another than the data was made with
    ├── ModelError              a model that is unknown, damaged or of another shape
    ├── RunError                a run folder that is in use, damaged or cannot be continued
    ├── RankError               one of several processes cannot go on; that one says so
    ├── RankLostError           another of several processes has ended
    ├── DivergedError           training produced a loss that is not a number
    ├── OutOfRoomError          memory or disk ran out
    └── MissingExtraError       an optional dependency is not installed

Each is raised with one clear sentence that names the file and the line where there is one, and,
as `fix`, what to do next. The command line prints both and exits with `exit_code`; a traceback
is shown only for errors that are not in this tree, since those are bugs.
"""

from __future__ import annotations

import difflib
import os
import shlex
import sys
from collections.abc import Iterable


class PenwrightError(Exception):
    """Base class: `message` says what is wrong, `fix` what to type or change."""

    exit_code = 1

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(f"{message} {fix}".rstrip())
        self.message = message
        self.fix = fix


class UsageError(PenwrightError):
    """An invalid flag, key or combination of them."""

    exit_code = 2


class DataError(PenwrightError):
    """A file, row or document that cannot be read or learned from."""


class TokenizerError(PenwrightError):
    """A tokenizer that is damaged or differs from the one that the data was made with."""


class ModelError(PenwrightError):
    """A model that is unknown, damaged or of an unexpected shape."""


class RunError(PenwrightError):
    """A run folder that is in use, damaged or cannot be continued."""


class RankError(PenwrightError):
    """One of several processes of a run cannot go on, for a reason that only it knows."""


class RankLostError(RunError):
    """Another process of the run has ended, so that this one cannot go on."""


class DivergedError(PenwrightError):
    """Training produced a loss or a gradient that is not a number."""


class OutOfRoomError(PenwrightError):
    """Memory or disk ran out."""


class MissingExtraError(PenwrightError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str, *, needs: str = "") -> None:
        """Say that `what` needs `extra`, or, where the extra lacks it too, what it `needs`."""
        super().__init__(
            f"{what} needs an optional package that is not installed.",
            fix=f"{needs}." if needs else f"Install it with: {_pip()} install 'penwright[{extra}]'",
        )


def _pip() -> str:
    """Return the command for this environment's pip; the environment need not be activated."""
    activated = os.path.dirname(sys.executable) in os.get_exec_path()  # noqa: PTH120
    return "pip" if activated else f"{shlex.quote(sys.executable)} -m pip"


def suggest(name: str, known: Iterable[str]) -> str:
    """Return `Did you mean 'x'?` with the `nearest` known name, or an empty string."""
    near = nearest(name, known)
    return f"Did you mean '{near}'?" if near else ""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `name`, or else one that begins with it."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if len(name) > 2:
        near += [other for other in names if other.casefold().startswith(name.casefold())]
    return near[0] if near else None
