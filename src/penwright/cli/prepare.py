"""Verbs that prepare a run: plan, prepare, keywords, tokenizer, new, download."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

from penwright.cli.options import Json, Opened, warn
from penwright.config import (
    DecodeConfig,
    KeywordsFileConfig,
    NewConfig,
    PlanConfig,
    PrepareConfig,
    TokenizerConfig,
)
from penwright.wording import count

if TYPE_CHECKING:
    from penwright.verbs.plan import Planned

DELIMITER = "=" * 20


def prepare(*data: str, options: Annotated[PrepareConfig, Opened]) -> None:
    """Encode text once into a token store, which finetune and evaluate open at once.

    Parameters
    ----------
    data
        Files, folders or globs.
    """
    from penwright.verbs.prepare import run_prepare

    store = run_prepare(data, options, warn)
    documents, tokens = count(store.n_documents, "document"), count(store.n_tokens, "token")
    print(f"{documents}, {tokens} in {options.output}")


def plan(
    model: str | None = None,
    *data: str,
    options: Annotated[PlanConfig, Opened] = PlanConfig(),  # noqa: B008 - frozen
    json_: Json = False,
) -> None:
    """Predict the memory, speed and time of training, before it begins.

    Parameters
    ----------
    model
        A size (124M), a Hub name, a folder, a run, or base.
    data
        Files, folders or globs. Without data, no time is predicted.
    """
    from penwright.verbs.plan import run_plan

    planned = run_plan(model, data, options, warn)
    if json_:
        print(json.dumps(planned.as_json()))
    else:
        _show_plan(planned)


def encode(*data: str, options: Annotated[KeywordsFileConfig, Opened]) -> None:
    """Turn a table of titles into texts that begin with their keywords, to train on.

    Parameters
    ----------
    data
        CSV, JSONL, JSON or Parquet files.
    """
    from penwright.verbs.prepare import run_encode

    done = run_encode(data, options.output, options, warn)
    print(f"{count(done.rows, 'row')}, {count(done.lines, 'line')} in {options.output}")


def decode(
    file: str,
    *,
    options: Annotated[DecodeConfig, Opened] = DecodeConfig(),  # noqa: B008 - frozen
    json_: Json = False,
) -> None:
    """Take the texts of a file apart again: category, keywords, title, body.

    Parameters
    ----------
    file
        A file of texts that `keywords encode` or a model trained on them wrote.
    """
    from contextlib import ExitStack
    from itertools import chain

    from penwright.files import refuse_existing
    from penwright.sections import NAMES, Marks
    from penwright.verbs.prepare import decode_keywords

    output = options.output
    as_json = json_ or (output is not None and output.suffix == ".jsonl")
    wanted = options.section or (NAMES if as_json else ("title",))
    marks = Marks(options.start_token, options.end_token)
    texts = decode_keywords(file, wanted, marks=marks, warn=warn)
    first = next(texts)  # a file without any is refused before another is written
    with ExitStack() as stack:
        target = None
        if output is not None:
            refuse_existing(output)
            target = stack.enter_context(output.open("w", encoding="utf-8", newline="\n"))
        number = 0
        for number, found in enumerate(chain([first], texts), 1):
            if as_json:
                print(json.dumps(found, ensure_ascii=False), file=target)
            else:
                text = "\n".join(found[name] for name in wanted)
                print(text if number == 1 else f"{DELIMITER}\n{text}", file=target)
    if output is not None:
        warn(f"{count(number, 'text')} in {output}")


def train_tokenizer(*data: str, options: Annotated[TokenizerConfig, Opened]) -> None:
    """Train a tokenizer on your text, for another language or a small model.

    Parameters
    ----------
    data
        Files, folders or globs.
    """
    from penwright.verbs.model_folders import run_train_tokenizer

    tokenizer = run_train_tokenizer(data, options, warn)
    print(f"{tokenizer.vocab_size:,} tokens in {options.output}")
    print(f"A model for it: penwright new --tokenizer {options.output} -o MODEL")


def new(*, options: Annotated[NewConfig, Opened]) -> None:
    """Make an untrained model with random weights, to train from nothing."""
    from penwright.runs import spell
    from penwright.verbs.model_folders import run_new

    print(f"{run_new(options):,} parameters in {options.output}")
    print(f"To train it: penwright finetune DATA --model {spell(options.output)}")


def download(name: str) -> None:
    """Download a model from the Hugging Face Hub, to use it without a network.

    Parameters
    ----------
    name
        A size (124M, 355M, 774M, 1558M) or a name on the Hub.
    """
    from penwright.verbs.model_folders import download as run_download

    print(run_download(name))


def _show_plan(planned: Planned) -> None:
    from rich.console import Console
    from rich.table import Table

    from penwright.wording import data_size, duration

    several = f"{planned.devices} devices, each a " if planned.devices > 1 else "this machine's "
    print(
        f"{planned.model} on {several}{planned.device}, {planned.batch_size} sequences of "
        f"{planned.length:,} tokens a step, within {data_size(planned.budget)}:\n"
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
            *(data_size(getattr(memory, part)) for part in parts),
            data_size(memory.total),
            str(option.load.micro_batch),
            f"{planned.tokens_per_s(number):,.0f}",
            "-" if seconds is None else duration(seconds),
            "" if option.fits else "does not fit",
        )
    console = Console(highlight=False)
    console.width = max(console.width, 120)
    console.print(table)
    print("\nMemory at the peak of a step; activations are freed while gradients are computed.")
    taken = planned.taken
    print()
    if taken:
        print(f"finetune takes {taken.name}, which {taken.note}.")
    if planned.says:
        print(planned.says)
