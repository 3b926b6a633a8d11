"""`penwright plan`"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from penwright.cli.options import Json, Opened, warn
from penwright.config import PlanConfig

if TYPE_CHECKING:
    from penwright.verbs.plan import Planned


def plan(
    model: str | None = None,
    *data: str,
    options: Annotated[PlanConfig, Opened] = PlanConfig(),  # noqa: B008 - frozen
    json_: Annotated[Json, Parameter(name="--json")] = False,
) -> None:
    """Say what training would take, before it begins: memory, speed, time.

    Parameters
    ----------
    model
        A size (124M), a Hub name, a folder, a run, or base.
    data
        Files, folders or globs; without them, no time is said.
    """
    from penwright.verbs.plan import run_plan

    planned = run_plan(model, data, options, warn)
    if json_:
        print(json.dumps(planned.as_json()))
        return
    _show(planned)


def _show(planned: Planned) -> None:
    from rich.console import Console
    from rich.table import Table

    from penwright.train.planner import gigabytes

    print(
        f"{planned.model} on this machine's {planned.device}, {planned.batch_size} sequences of "
        f"{planned.length:,} tokens a step, within {gigabytes(planned.budget)}:\n"
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("method")
    parts = ("weights", "gradients", "optimizer", "activations", "logits")
    for heading in (*parts, "in all", "at once", "tokens/s", "time"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for number, option in enumerate(planned.options):
        memory, seconds = option.memory, planned.seconds(number)
        table.add_row(
            option.name,
            *(gigabytes(getattr(memory, part)) for part in parts),
            gigabytes(memory.total),
            str(option.load.micro_batch),
            f"{planned.tokens_per_s(number):,.0f}",
            _time(seconds),
            "" if option.fits else "does not fit",
        )
    console = Console(highlight=False)
    console.width = max(console.width, 120)
    console.print(table)
    taken = planned.taken
    print()
    if taken:
        print(f"finetune takes {taken.name}, which {taken.note}.")
    if planned.says:
        print(planned.says)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
