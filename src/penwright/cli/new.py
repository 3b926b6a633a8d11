"""`penwright new`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from penwright.cli.options import Opened
from penwright.config import NewConfig


def new(
    *,
    output: Path,
    options: Annotated[NewConfig, Opened] = NewConfig(),  # noqa: B008 - frozen
) -> None:
    """Make an untrained model, to be taught from nothing.

    Parameters
    ----------
    output
        The new folder.
    """
    from penwright.runs import spell
    from penwright.verbs.new import run_new

    print(f"{run_new(output, options):,} parameters in {output}")
    print(f"To teach it: penwright finetune DATA --model {spell(output)}")
