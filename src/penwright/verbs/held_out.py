"""What a run held out, to measure any model on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from penwright.config import DataConfig, FinetuneConfig, build
from penwright.errors import RunError
from penwright.runs import RUNS, Run
from penwright.tokens import Part, Tokenizer
from penwright.verbs.assemble import divide_data, open_all
from penwright.verbs.data import Data
from penwright.wording import Warn


def open_held_out(
    name: str | Path,
    tokenizer: Tokenizer,
    warn: Warn,
    read: Callable[[DataConfig], DataConfig] = lambda data: data,
) -> tuple[Part, Data]:
    """The documents that the run `name` held out, in the tokens of `tokenizer`, and its data.

    `read` may change how the files become documents, though not how many. Raises RunError when
    there is no such run or it held nothing out, DataError when its files are gone.
    """
    folder = RUNS / name
    run = Run.open(folder if (folder / "run.json").is_file() else Path(name))
    config: FinetuneConfig = build(FinetuneConfig, run.info["config"])
    config = replace(config, data=read(config.data))
    about = run.info["data"]
    data = open_all(about["paths"], config, tokenizer, warn)
    part = divide_data(data, about["held_out"]["share"], config).held_out
    if not len(part):
        raise RunError(f"{run.name} held nothing out to measure on.", fix="Name data instead.")
    if len(part) != about["held_out"]["documents"]:
        raise RunError(f"The data is not what {run.name} was trained on.", fix="Name data instead.")
    return part, data
