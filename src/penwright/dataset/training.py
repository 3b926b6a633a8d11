"""Open the data of a run, and split it into training and held-out documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from penwright.config import DataConfig, FinetuneConfig, build
from penwright.dataset.store_cache import Data, open_data
from penwright.doctor import count_repeats, find_leaks, move_leaks
from penwright.errors import RunError, UsageError
from penwright.index.repeats import counted_tokens, find_repeats
from penwright.runs import find_run
from penwright.tokens import Split, Store, Tokenizer, split
from penwright.tokens.mixing import ChangingMix, divide_sources, mix
from penwright.tokens.store import Bool, Int64
from penwright.train.plan import choose_held_out
from penwright.wording import Warn, count


class Splits(NamedTuple):
    """A store divided. `leaked` held-out documents stood in training too; `fix` moved them."""

    training: Split
    held_out: Split
    leaked: int = 0
    moved: int = 0
    mix: tuple[Mapping[str, float], ...] = ()
    """For each data set of a mix: documents, tokens in an epoch, and how often it is read."""
    dropped: int = 0
    """Tokens of repeated passages that are left out."""

    def __str__(self) -> str:
        one = self.leaked == 1
        found = count(self.leaked, "held-out document", "is")
        them = "it" if one else "them"
        done = f"--fix moved {them} there" if self.moved else f"--fix moves {them} there"
        return f"{found} in the training part too; {done}."


def tell_repeats(store: Store) -> str:
    """Return a sentence about documents that are there twice; empty if there are none."""
    found = count_repeats(store)
    if not found:
        return ""
    these = count(found, "document", "repeats")
    out = "it" if found == 1 else "them"
    return f"{these} an earlier one exactly; --drop-duplicates leaves {out} out."


def divide(
    store: Store,
    share: float,
    seed: int,
    *,
    apart: int | None = None,
    fix: bool = False,
    shares: Sequence[float] = (),
    last_shares: Sequence[float] = (),
    counts: Sequence[int] = (),
    copies: Int64 | None = None,
) -> Splits:
    """Hold documents out: `share` of them, or those from number `apart` on.

    With `fix`, documents whose text is trained on too are not held out. With `shares` the training
    split is a mix of the data sets that have `counts` documents each (one share applies to every
    set); with `last_shares` they change from step to step. Both splits lack the stretches in
    `copies`, int64 [n, 2]. Equal arguments give equal splits. Raises UsageError when there is
    nothing to train on, and for invalid shares.
    """
    if shares and len(shares) not in (1, len(counts)):
        raise UsageError(
            f"There are {len(counts)} data sets, but {len(shares)} shares to mix them in.",
            fix="Give one number for each, such as --mix 0.7,0.3.",
        )
    if not shares:
        both = split(store, share, seed) if apart is None else _split_at(store, apart)
        return _drop(_fix(*both, fix), copies)
    if apart is None:
        pairs = divide_sources(store, counts, share, seed)
        divided = [_drop(_fix(*both, fix), copies) for both in pairs]
        held_out = Split(store, np.concatenate([each.held_out.ranges for each in divided]))
        leaked, moved = sum(e.leaked for e in divided), sum(e.moved for e in divided)
    else:
        # A held-out document whose text is trained on is in the mix already; `fix` drops it.
        pairs = divide_sources(store, counts, 0, seed)
        divided = [_drop(Splits(*both), copies) for both in pairs]
        _, held_out, leaked, moved, *_ = _drop(_fix(*_split_at(store, apart), fix), copies)
    for number, each in enumerate(divided, 1):
        if not len(each.training):
            raise UsageError(
                f"Data set {number} of the mix has no documents of its own.",
                fix="Leave it out, and its share.",
            )
    sets = [each.training for each in divided]
    first = [shares[0]] * len(sets) if len(shares) == 1 else shares
    mixed = ChangingMix(sets, first, last_shares, seed) if last_shares else mix(sets, first, seed)
    told = tuple(_tell(each, mixed, share) for each, share in zip(sets, first, strict=True))
    return Splits(mixed, held_out, leaked, moved, told, sum(each.dropped for each in divided))


def find_copies(store: Store, tokenizer: Tokenizer, min_tokens: int | None) -> Int64 | None:
    """Return the passages that repeat an earlier one, int64 [n, 2]; None if none are asked for.

    Raises UsageError for a length below 1.
    """
    if min_tokens is None:
        return None
    if min_tokens < 1:
        raise UsageError(f"--drop-repeats must be at least 1, not {min_tokens}.")
    counted = counted_tokens(tokenizer)
    copies = find_repeats(store, Split.whole(store).ranges, counted, min_tokens).copies[:, :2]
    return _widen(store, copies, counted)


def _widen(store: Store, copies: Int64, counted: Bool) -> Int64:
    """Add the punctuation, white space and end-of-text tokens around each passage.

    Without them a repeated document would leave its marks behind, as a document of its own.
    """
    widened = copies.copy()
    documents = np.searchsorted(store.offsets, copies[:, 0], side="right") - 1
    borders = store.offsets[np.stack([documents, documents + 1], axis=1)]
    at = 0
    for copy, (first, last) in zip(widened, borders.tolist(), strict=True):
        start, end = copy.tolist()
        while start > max(first, at) and not counted[store.tokens(start - 1, start)[0]]:
            start -= 1
        while end < last and not counted[store.tokens(end, end + 1)[0]]:
            end += 1
        copy[:] = max(at, start), end
        at = end
    return widened[widened[:, 0] < widened[:, 1]]


def _drop(splits: Splits, copies: Int64 | None) -> Splits:
    """Take the stretches in `copies` out of both sides."""
    if copies is None:
        return splits
    training, held_out = splits.training.without(copies), splits.held_out.without(copies)
    before = splits.training.n_tokens + splits.held_out.n_tokens
    dropped = before - training.n_tokens - held_out.n_tokens
    return splits._replace(training=training, held_out=held_out, dropped=dropped)


def _split_at(store: Store, border: int) -> tuple[Split, Split]:
    """Return the documents up to number `border` and the others; raises UsageError for none."""
    if not 0 < border < store.n_documents:
        which = "train on" if border == 0 else "hold out"
        raise UsageError(
            f"There is no document to {which}.",
            fix="Name other files for --held-out-data than those to learn from.",
        )
    ranges = Split.whole(store).ranges
    first = int(np.searchsorted(store.leads, border))
    return Split(store, ranges[:first]), Split(store, ranges[first:])


def _tell(source: Split, mixed: Split, share: float) -> Mapping[str, float]:
    """Return what has become of one data set in a mix."""
    first, last = source.ranges[0, 0], source.ranges[-1, 1]
    mine = mixed.ranges[(mixed.ranges[:, 0] >= first) & (mixed.ranges[:, 0] < last)]
    tokens = int((mine[:, 1] - mine[:, 0]).sum())
    times = round(tokens / source.n_tokens, 2)
    return {"share": share, "documents": len(source), "tokens": tokens, "times": times}


def _fix(training: Split, held_out: Split, fix: bool) -> Splits:
    if training.store.n_documents < 2 or not len(held_out):
        return Splits(training, held_out)
    leaks = find_leaks(training, held_out)
    if not fix or not len(leaks):
        return Splits(training, held_out, len(leaks))
    moved = move_leaks(training, held_out, leaks)
    return Splits(*moved, len(leaks), len(held_out) - len(moved[1]))


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
) -> TrainingData:
    """Open the data of the run `name` with what it held out, in the tokens of `tokenizer`.

    `read` may change how the files become documents, though not how many. Raises RunError when
    there is no such run or it held nothing out, DataError when its files are gone.
    """
    run = find_run(name)
    config: FinetuneConfig = build(FinetuneConfig, run.info["config"])
    config = replace(config, data=read(config.data))
    about = run.info["data"]
    opened = open_training_data(about["paths"], config, tokenizer, warn, about["held_out"]["share"])
    if not len(opened.held_out):
        raise RunError(f"{run.name} held nothing out to measure on.", fix="Name data instead.")
    if len(opened.held_out) != about["held_out"]["documents"]:
        raise RunError(f"The data is not what {run.name} was trained on.", fix="Name data instead.")
    return opened
