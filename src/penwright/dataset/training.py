"""The data of a run, opened and split as `finetune` does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from penwright.config import DataConfig, FinetuneConfig, build
from penwright.dataset.splits import Splits, divide, find_copies, tell_repeats
from penwright.dataset.store_cache import Data, open_data
from penwright.errors import RunError, UsageError
from penwright.runs import RUNS, Run
from penwright.tokens import Split, Tokenizer
from penwright.train.plan import choose_held_out
from penwright.wording import Warn, count


class TrainingData(NamedTuple):
    """A data set, its splits, and the share of its documents that is held out."""

    data: Data
    splits: Splits
    share: float

    @property
    def training(self) -> Split:
        """The documents to train on."""
        return self.splits.training

    @property
    def held_out(self) -> Split:
        """The documents to measure on; may be empty."""
        return self.splits.held_out

    def notes(self) -> list[str]:
        """Return a sentence each about repeated and leaked documents, where there are any."""
        leaks = str(self.splits) if self.splits.leaked else ""
        dropped = ""
        if self.splits.dropped:
            dropped = f"--drop-repeats leaves {count(self.splits.dropped, 'token')} out."
        return [text for text in (tell_repeats(self.data.store), leaks, dropped) if text]


def open_training_data(
    paths: Sequence[str | Path],
    config: FinetuneConfig,
    tokenizer: Tokenizer,
    warn: Warn,
    share: float | None = None,
) -> TrainingData:
    """Open what a run with these options trains on and holds out.

    `paths` are files, folders, patterns or stores. `share` is the held-out share of a run that
    began before; without one it is chosen. Raises DataError for data that cannot be read,
    TokenizerError for a store of another tokenizer, UsageError for options that exclude another.
    """
    if config.held_out_data and config.held_out is not None:
        raise UsageError("held_out_data says what is held out, so held_out cannot.")
    if config.mix_end and not config.mix:
        raise UsageError(
            "--mix-end needs --mix, the shares to begin with.", fix="Such as --mix 0.8,0.2."
        )
    data = open_data([*paths, *config.held_out_data], config.data, tokenizer, warn)
    if share is None:
        share = choose_held_out(config, data.store.n_documents, data.store.n_tokens)
    return split_data(data, config, share, tokenizer)


def split_data(
    data: Data, config: FinetuneConfig, share: float, tokenizer: Tokenizer
) -> TrainingData:
    """Split an opened data set as a run with these options does."""
    copies = find_copies(data.store, tokenizer, config.drop_repeats)
    counts = data.sources[: -len(config.held_out_data) or None]
    apart = sum(counts) if config.held_out_data else None
    splits = divide(
        data.store,
        share,
        config.seed,
        apart=apart,
        fix=config.fix,
        shares=config.mix,
        last_shares=config.mix_end,
        counts=counts,
        copies=copies,
    )
    return TrainingData(data, splits, share)


def open_held_out(
    name: str | Path,
    tokenizer: Tokenizer,
    warn: Warn,
    read: Callable[[DataConfig], DataConfig] = lambda data: data,
) -> tuple[Split, Data]:
    """Open the documents that the run `name` held out, in the tokens of `tokenizer`.

    `read` may change how the files become documents, though not how many. Raises RunError when
    there is no such run or it held nothing out, DataError when its files are gone.
    """
    folder = RUNS / name
    run = Run.open(folder if (folder / "run.json").is_file() else Path(name))
    config: FinetuneConfig = build(FinetuneConfig, run.info["config"])
    config = replace(config, data=read(config.data))
    about = run.info["data"]
    opened = open_training_data(about["paths"], config, tokenizer, warn, about["held_out"]["share"])
    if not len(opened.held_out):
        raise RunError(f"{run.name} held nothing out to measure on.", fix="Name data instead.")
    if len(opened.held_out) != about["held_out"]["documents"]:
        raise RunError(f"The data is not what {run.name} was trained on.", fix="Name data instead.")
    return opened.held_out, opened.data
