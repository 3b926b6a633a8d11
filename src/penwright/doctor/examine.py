"""Examine a data set: its contents, its training rows and its faults."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from penwright.doctor.batch_preview import PreviewRow, preview
from penwright.doctor.duplicates import count_duplicates, find_leaks
from penwright.doctor.findings import DataFacts, Finding, draw
from penwright.doctor.survey import (
    Costly,
    Int64,
    Lengths,
    Survey,
    find_costly,
    measure_lengths,
    survey,
    white_space_share,
)
from penwright.document import Document
from penwright.errors import DataError
from penwright.formats import Choice, ReadPlan
from penwright.tokens.batches import BatchSchedule
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.store import Store
from penwright.tokens.store_split import Split

EXAMPLES = 5
"""Places that are named of what is found many times."""


@dataclass(frozen=True)
class Duplicates:
    """The documents that repeat an earlier one exactly."""

    count: int
    examples: tuple[tuple[str, str], ...]
    """Pairs of places: a document, and one that repeats it."""


@dataclass(frozen=True)
class Extremes:
    """The shortest and longest documents: their places and numbers of tokens."""

    shortest: tuple[tuple[str, int], ...]
    longest: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Cut:
    """The rows that are made of the documents."""

    shape: str
    length: int
    rows: int
    longer: int
    """Documents longer than a row, which continue in further rows."""
    padding: float
    """Share of padding in the previewed rows."""
    says: str


@dataclass(frozen=True)
class Examination:
    """The result of `examine`."""

    files: tuple[Choice, ...]
    documents: int
    characters: int
    words: int
    tokens: int
    """Tokens of text, without the end-of-text tokens."""
    learned: int
    """Tokens that are targets of the loss, closing end-of-text tokens included."""
    lengths: Lengths
    duplicates: Duplicates
    extremes: Extremes
    white_space: float
    """Share of the tokens that are only white space."""
    costly: tuple[Costly, ...]
    """Characters that take many tokens each."""
    findings: tuple[Finding, ...]
    """Faults, and how to mend them."""
    cut: Cut
    windows: tuple[PreviewRow, ...]

    def as_json(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return asdict(self)


def examine(
    reading: ReadPlan,
    documents: Iterable[Document],
    store: Store,
    plan: BatchSchedule,
    tokenizer: Tokenizer,
    *,
    windows: int = 3,
    held_out: Split | None = None,
    parameters: int | None = None,
    warnings: Sequence[str] = (),
    near: Sequence[tuple[int, int]] = (),
) -> Examination:
    """Measure a data set, list its faults, and preview `windows` training rows.

    `documents` are those of `store`, in the same order; `plan` is the batch schedule of training.
    With `held_out`, held-out documents that are trained on are found. `parameters` is the size of
    the model, `warnings` are those of the reader, `near` the pairs of `find_near`. Raises DataError
    when the documents are not those of the store.
    """
    found = survey(documents)
    tokens = np.diff(store.offsets) - 2
    if len(found) != len(tokens):
        raise DataError(
            f"The data has {len(found):,} documents, but the token store has {len(tokens):,}.",
            fix="The files changed while they were read; start again.",
        )
    shown = preview(plan, tokenizer, windows)
    digests = found.digests
    repeats = count_duplicates(digests)[1]
    costly = find_costly(found.unusual, tokenizer)
    blank = white_space_share(store, tokenizer)
    facts = DataFacts(
        survey=found,
        tokens=tokens,
        learned=store.n_learned,
        length=plan.length,
        packed=plan.shape != "windows",
        blank=blank,
        costly=costly,
        duplicates=repeats,
        near=[(a, b) for a, b in near if digests[a] != digests[b]],
        leaks=_leaked(found, plan.part, held_out),
        parameters=parameters,
        warnings=warnings,
    )
    return Examination(
        files=reading.choices,
        documents=len(found),
        characters=int(found.characters.sum()),
        words=int(found.words.sum()),
        tokens=int(tokens.sum()),
        learned=store.n_learned,
        lengths=measure_lengths(tokens),
        duplicates=_duplicates(found, repeats),
        extremes=_extremes(found, tokens),
        white_space=blank,
        costly=costly,
        findings=draw(facts),
        cut=_cut(plan, tokens, shown),
        windows=tuple(shown),
    )


def _leaked(found: Survey, training: Split, held_out: Split | None) -> list[int]:
    """Return the numbers of the held-out documents that are trained on too."""
    if held_out is None or len(found) < 2:
        return []
    leaks = held_out.ranges[find_leaks(training, held_out, found.digests), 0]
    numbers: list[int] = np.searchsorted(held_out.store.offsets, leaks).tolist()
    return numbers


def _extremes(found: Survey, tokens: Int64) -> Extremes:
    order = np.argsort(tokens, kind="stable").tolist()
    return Extremes(
        shortest=tuple((found.place(i), int(tokens[i])) for i in order[:EXAMPLES]),
        longest=tuple((found.place(i), int(tokens[i])) for i in order[: -EXAMPLES - 1 : -1]),
    )


def _duplicates(found: Survey, pairs: Sequence[tuple[int, int]]) -> Duplicates:
    examples = tuple((found.place(a), found.place(b)) for a, b in pairs[:EXAMPLES])
    return Duplicates(len(pairs), examples)


def _cut(plan: BatchSchedule, tokens: Int64, shown: list[PreviewRow]) -> Cut:
    # A document of n tokens stands between two end-of-text tokens: n + 1 inputs.
    longer = int((tokens + 1 > plan.length).sum())
    places = len(shown) * plan.length
    padding = sum(window.padding for window in shown) / places if places else 0.0
    says = {
        "packed": f"documents side by side in rows of {plan.length:,} tokens",
        "rows": f"a document a row, up to {plan.length:,} tokens",
        "windows": f"random windows of {plan.length:,} tokens",
    }[plan.shape]
    if longer and plan.shape != "windows":
        goes = "1 longer one goes" if longer == 1 else f"{longer:,} longer ones go"
        says += f"; {goes} on in further rows"
    return Cut(plan.shape, plan.length, plan.n_rows, longer, padding, says)
