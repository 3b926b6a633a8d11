"""`penwright runs`"""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter

from penwright.cli.options import Json, warn


def runs(*, json_: Annotated[Json, Parameter(name="--json")] = False) -> None:
    """List the runs and how they went."""
    from rich.console import Console
    from rich.table import Table

    from penwright.verbs.runs import summarise

    summaries, damaged = summarise()
    for sentence in damaged:
        warn(sentence)
    if json_:
        print(json.dumps([summary.as_json() for summary in summaries]))
        return
    if not summaries:
        print("There are no runs here yet. Start one with: penwright finetune FILE")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("run", "status", "model"):
        table.add_column(heading)
    for heading in ("steps", "before", "after"):
        table.add_column(heading, justify="right")
    table.add_column("started")
    for item in summaries:
        table.add_row(
            item.name,
            item.status,
            item.model,
            f"{item.step:,}/{item.steps:,}",
            _figure(item.perplexity_before),
            _figure(item.perplexity_after),
            item.created.replace("T", " ")[:16],
        )
    Console(highlight=False).print(table)
    for item in summaries:
        if item.resume:
            print(f"To continue {item.name}: {item.resume}")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"
