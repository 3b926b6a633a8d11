"""`penwright cross-train`"""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

from penwright.cli.options import ConfigFile, Opened
from penwright.config import FinetuneConfig


def cross_train(
    *data: str,
    falling: float = 0.5,
    config: ConfigFile = None,  # noqa: ARG001 - read before the flags, in cli.options
    options: Annotated[FinetuneConfig, Opened] = FinetuneConfig(),  # noqa: B008 - frozen
) -> None:
    """Learn one data set after another, each more gently than the one before.

    Each is a run of its own, NAME-1, NAME-2 and so on, which goes on from the best weights of the
    run before. The same command with --resume goes on where it was stopped.

    Parameters
    ----------
    data
        The data sets: files, folders or globs.
    falling
        The learning rate of a data set, as a share of the rate of the one before.
    """
    from penwright.cli.live import make_view, stopping
    from penwright.verbs.sequence import run_sequence

    command = "penwright " + shlex.join(sys.argv[1:])
    with make_view() as view, stopping(view, "the same command with --resume"):
        runs = run_sequence([[path] for path in data], options, falling, view, command)
    view.show_result(runs[-1])
