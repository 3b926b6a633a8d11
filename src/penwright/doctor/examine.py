"""Examine a data set: its contents, its repeated documents, its faults and its training rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penwright.doctor.findings import (
    DataFacts,
    Finding,
    RepeatedPassage,
    RepeatedPassages,
    draw,
)
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
from penwright.document import END_OF_TEXT, IGNORED, Document
from penwright.errors import DataError, MissingExtraError
from penwright.formats import Choice, FileReading
from penwright.formats.selection import NearIndex, first_pieces
from penwright.index.repeats import counted_tokens, find_repeats
from penwright.tokens.batches import Batch, BatchSchedule
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.store import Store
from penwright.tokens.store_split import Split

LINES_KEPT = ("text", "markdown")
"""Formats whose documents have the line breaks of their files."""
_SHOWN_TOKENS = 30
_MOST_PASSAGES = 1000
EXAMPLES = 5
"""Number of places to name for something found many times."""


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
    repeats: RepeatedPassages
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
    reading: FileReading,
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
    repeats: int = 0,
) -> Examination:
    """Measure a data set, list its faults, and preview `windows` training rows.

    `documents` are those of `store`, in the same order; `plan` is the batch schedule of training.
    With `held_out`, held-out documents that are also trained on are found. `parameters` is the size
    of the model, `warnings` are the reader's, and `near` has the pairs of `find_near`. Repeated
    passages are found from `repeats` tokens on; 0 looks for none. Raises DataError when the
    documents are not those of the store.
    """
    found = survey(documents)
    tokens = _count_tokens(store, found)
    shown = preview(plan, tokenizer, windows)
    digests = found.digests
    duplicates = count_duplicates(digests)[1]
    facts = DataFacts(
        survey=found,
        tokens=tokens,
        learned=store.n_learned,
        length=plan.length,
        packed=plan.shape != "windows",
        blank=white_space_share(store, tokenizer),
        costly=find_costly(found.unusual, tokenizer),
        duplicates=duplicates,
        passages=_find_passages(store, tokenizer, found, reading, repeats),
        near=[(a, b) for a, b in near if digests[a] != digests[b]],
        leaks=_leaked(found, plan.split, held_out),
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
        duplicates=_duplicates(found, duplicates),
        repeats=facts.passages,
        extremes=_extremes(found, tokens),
        white_space=facts.blank,
        costly=facts.costly,
        findings=draw(facts),
        cut=_cut(plan, tokens, shown),
        windows=tuple(shown),
    )


def _count_tokens(store: Store, found: Survey) -> Int64:
    """Return the text tokens of each document; raises DataError if the files changed meanwhile."""
    tokens = np.diff(store.offsets) - 2
    if len(found) != len(tokens):
        raise DataError(
            f"The data has {len(found):,} documents, but the token store has {len(tokens):,}.",
            fix="The files changed while they were read; start again.",
        )
    return tokens


def _find_passages(
    store: Store, tokenizer: Tokenizer, found: Survey, reading: FileReading, min_tokens: int
) -> RepeatedPassages:
    """Find passages that repeat an earlier one, and name the places of both."""
    lines = all(choice.format in LINES_KEPT for choice in reading.choices)
    if min_tokens < 1:
        return RepeatedPassages(0, 0, 0.0, ())
    counted = counted_tokens(tokenizer)
    repeats = find_repeats(store, Split.whole(store).ranges, counted, min_tokens)

    def place(position: int) -> str:
        document = int(np.searchsorted(store.offsets, position, side="right")) - 1
        before = store.tokens(int(store.offsets[document]), position)
        return found.place(document, int(tokenizer.line_breaks[before].sum()) if lines else 0)

    def describe(start: int, end: int, first: int) -> RepeatedPassage:
        tokens = store.tokens(start, end)
        text = tokenizer.decode(tokens[:_SHOWN_TOKENS].tolist())
        return RepeatedPassage(place(start), place(first), int(counted[tokens].sum()), text)

    sizes = repeats.copies[:, 1] - repeats.copies[:, 0]
    longest = repeats.copies[np.argsort(-sizes, kind="stable")[:_MOST_PASSAGES]]
    described = tuple(describe(*copy) for copy in longest.tolist())
    return RepeatedPassages(min_tokens, len(sizes), repeats.share, described)


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


class Piece(NamedTuple):
    """A stretch of a row; its tokens are targets of the loss if `learned`."""

    text: str
    learned: bool


@dataclass(frozen=True)
class PreviewRow:
    """One row of a batch, by document; documents do not attend to each other."""

    step: int
    row: int
    documents: tuple[tuple[Piece, ...], ...]
    padding: int
    """Padding tokens at the end."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Return the stretches of all documents, in order."""
        return tuple(piece for document in self.documents for piece in document)


def preview(plan: BatchSchedule, tokenizer: Tokenizer, count: int) -> list[PreviewRow]:
    """Return the first `count` rows of an epoch, or all of them."""
    windows: list[PreviewRow] = []
    step = 0
    while len(windows) < count and step < plan.steps_per_epoch:
        batch = plan.batch(step)
        rows = range(min(len(batch.tokens_BT), count - len(windows)))
        windows += [read_row(batch, row, step, tokenizer) for row in rows]
        step += 1
    return windows


def read_row(batch: Batch, row: int, step: int, tokenizer: Tokenizer) -> PreviewRow:
    """Decode row `row` of a batch. The end-of-text token is written out."""
    tokens = batch.tokens_BT[row].numpy()
    targets = batch.targets_BT[row].numpy()
    owner = batch.documents_BT[row].numpy()
    documents = tuple(
        _pieces(tokens[owner == number], targets[owner == number], tokenizer)
        for number in np.unique(owner[owner >= 0]).tolist()
    )
    return PreviewRow(step, row, documents, int((owner < 0).sum()))


def _pieces(
    tokens: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], tokenizer: Tokenizer
) -> tuple[Piece, ...]:
    """Decode a document's inputs in a row, and its last target, which is not an input."""
    learned = [False, *(targets != IGNORED).tolist()]
    ids = [*tokens.tolist(), int(targets[-1])]
    if not learned[-1]:
        ids, learned = ids[:-1], learned[:-1]
    pieces: list[Piece] = []
    start = 0
    for end in range(1, len(ids) + 1):
        border = end == len(ids) or learned[end] != learned[start]
        marker = tokenizer.eot_id in (ids[start], ids[min(end, len(ids) - 1)])
        if border or marker:
            text = (
                END_OF_TEXT if ids[start] == tokenizer.eot_id else tokenizer.decode(ids[start:end])
            )
            pieces.append(Piece(text, learned[start]))
            start = end
    return tuple(pieces)


def count_repeats(store: Store) -> int:
    """Return the number of documents with exactly the tokens of an earlier one."""
    return store.n_documents - len(np.unique(store.digests))


def find_leaks(training: Split, held_out: Split, digests: Int64 | None = None) -> Int64:
    """Return indices of held-out documents whose exact tokens are trained on too.

    `digests` replaces the store's own digests of its documents.
    """
    if digests is None:
        digests = held_out.store.digests
    trained = digests[_numbers(training)]
    return np.flatnonzero(np.isin(digests[_numbers(held_out)], trained))


def move_leaks(training: Split, held_out: Split, leaks: Int64) -> tuple[Split, Split]:
    """Move leaked documents to the training part; at least one document stays held out."""
    leaks = leaks[: max(0, len(held_out) - 1)]
    stays = np.ones(len(held_out), np.bool_)
    stays[leaks] = False
    moved = np.concatenate([training.ranges, held_out.ranges[~stays]])
    order = np.argsort(moved[:, 0], kind="stable")
    return Split(training.store, moved[order]), Split(held_out.store, held_out.ranges[stays])


def _numbers(part: Split) -> Int64:
    """Return the numbers of the documents that the ranges begin in."""
    found: Int64 = np.searchsorted(part.store.offsets, part.ranges[:, 0], side="right") - 1
    return found


def can_find_near() -> bool:
    """Return whether rensa, which finds near duplicates, is installed."""
    try:
        NearIndex(1.0)
    except MissingExtraError:
        return False
    return True


def find_near(documents: Iterable[Document], threshold: float) -> Iterator[tuple[int, int]]:
    """Yield pairs (earlier, later) of documents that share `threshold` of their word n-grams.

    Each document is paired at most once, with the most similar earlier one. Of a long document
    only the first piece is compared. Raises MissingExtraError without rensa.
    """
    index = NearIndex(threshold)
    for number, document in enumerate(first_pieces(documents)):
        other = index.add(document.text, alike=True)
        if other is not None:
            yield other, number


def count_duplicates(digests: Int64) -> tuple[int, list[tuple[int, int]]]:
    """Return the number of documents that repeat an earlier one, and pairs (first, repeated)."""
    if len(digests) == 0:
        return 0, []
    order = np.argsort(digests, kind="stable")
    same = digests[order][1:] == digests[order][:-1]
    begins = np.flatnonzero(np.concatenate([[True], ~same]))
    group = np.cumsum(np.concatenate([[True], ~same])) - 1
    firsts = order[begins][group]
    repeated = order[1:][same]
    pairs = sorted(zip(firsts[1:][same].tolist(), repeated.tolist(), strict=True), key=_second)
    return len(pairs), pairs


def _second(pair: tuple[int, int]) -> int:
    return pair[1]
