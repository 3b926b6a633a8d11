"""`penwright finetune`"""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

from penwright.cli.options import ConfigFile, Opened
from penwright.config import FinetuneConfig


def finetune(
    *data: str,
    config: ConfigFile = None,  # noqa: ARG001 - read before the flags, in cli.options
    options: Annotated[FinetuneConfig, Opened] = FinetuneConfig(),  # noqa: B008 - frozen
) -> None:
    """Teach a model to write like your text.

    Parameters
    ----------
    data
        Files, folders or globs: plain text, CSV, JSONL, or prompt and story line files.
    """
    from penwright.cli.live import make_view, stopping
    from penwright.verbs.finetune import run_finetune

    command = "penwright " + shlex.join(sys.argv[1:])
    with make_view() as view, stopping(view):
        run = run_finetune(data, options, view, command)
    view.show_result(run)
