"""Divide a store into training and held-out splits; mix data sets, and move leaked documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from penwright.doctor import count_repeats, find_leaks, move_leaks
from penwright.errors import UsageError
from penwright.tokens import Split, Store, split
from penwright.tokens.mixing import ChangingMix, divide_sources, mix
from penwright.wording import count


class Splits(NamedTuple):
    """A store divided. `leaked` held-out documents stood in training too; `fix` moved them."""

    training: Split
    held_out: Split
    leaked: int = 0
    moved: int = 0
    mix: tuple[Mapping[str, float], ...] = ()
    """For each data set of a mix: documents, tokens in an epoch, and how often it is read."""

    def __str__(self) -> str:
        one = self.leaked == 1
        found = count(self.leaked, "held-out document", "is")
        them = "it" if one else "them"
        done = f"--fix moved {them} there" if self.moved else f"--fix moves {them} there"
        return f"{found} in the training part too; {done}."


def tell_repeats(store: Store) -> str:
    """A sentence about documents that are there twice; nothing where none is."""
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
) -> Splits:
    """Hold documents out: `share` of them, or those from number `apart` on.

    With `fix` none whose text is trained on too. With `shares` the training part is a mix of the
    data sets that have `counts` documents each; one share alone is that of every set. With
    `last_shares` they change from step to step. The same for the same store and arguments. Raises
    UsageError when there is nothing to train on, and for shares that cannot be.
    """
    if shares and len(shares) not in (1, len(counts)):
        raise UsageError(
            f"There are {len(counts)} data sets, but {len(shares)} shares to mix them in.",
            fix="Give one number for each, such as --mix 0.7,0.3.",
        )
    if not shares:
        both = split(store, share, seed) if apart is None else _split_at(store, apart)
        return _fix(*both, fix)
    if apart is None:
        divided = [_fix(*both, fix) for both in divide_sources(store, counts, share, seed)]
        held_out = Split(store, np.concatenate([each.held_out.ranges for each in divided]))
        leaked, moved = sum(e.leaked for e in divided), sum(e.moved for e in divided)
    else:
        # A held-out document whose text is trained on is in the mix already; `fix` drops it.
        divided = [Splits(*both) for both in divide_sources(store, counts, 0, seed)]
        _, held_out, leaked, moved, _ = _fix(*_split_at(store, apart), fix)
    for number, each in enumerate(divided, 1):
        if not len(each.training):
            raise UsageError(f"Data set {number} of the mix has no documents of its own.")
    sets = [each.training for each in divided]
    first = [shares[0]] * len(sets) if len(shares) == 1 else shares
    mixed = ChangingMix(sets, first, last_shares, seed) if last_shares else mix(sets, first, seed)
    told = tuple(_tell(each, mixed, share) for each, share in zip(sets, first, strict=True))
    return Splits(mixed, held_out, leaked, moved, told)


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
