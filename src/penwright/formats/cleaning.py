"""Clean documents as the options ask, and count the documents that each step changes."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from penwright.config import DataConfig, WorkConfig
from penwright.document import Document, Span
from penwright.errors import UsageError, suggest
from penwright.formats.clean_steps import STEPS
from penwright.formats.selection import (
    ColumnFilter,
    NearIndex,
    best_of_each,
    mask,
    parse_condition,
    read_blocklist,
    speaks,
)
from penwright.wording import Warn, count
from penwright.workers import Work, spread

REPORT = "Cleaning: "
"""The beginning of the warning that counts the work of all steps."""

_BATCH = 1 << 16
"""Approximate number of characters in a job."""
_FEW_BATCHES = 16
"""Jobs that are done in this process before others are started."""

Read = Callable[[Warn], Iterator[Document]]


@dataclass
class Tally:
    """Counts of the documents that each step changed or left out."""

    changed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, dict[str, int]]:
        """Return the counts for run.json."""
        return {"changed": dict(self.changed), "dropped": dict(self.dropped)}

    def __str__(self) -> str:
        parts = [f"{name} changed {count(n, 'document')}" for name, n in self.changed.items()]
        parts += [f"{name} left out {count(n, 'document')}" for name, n in self.dropped.items()]
        return ", ".join(parts)


def is_wanted(data: DataConfig) -> bool:
    """Return whether the options ask for any cleaning."""
    chosen = (data.clean, data.language, data.blocklist, data.drop_category, data.where)
    counted = data.per_category is not None or data.drop_near is not None
    return data.drop_duplicates or counted or any(chosen)


def clean(
    read: Read, data: DataConfig, warn: Warn, tally: Tally, work: WorkConfig
) -> Iterator[Document]:
    """Clean the documents of `read` as the options ask; each step is counted in `tally`.

    `read` is called twice where the best of each category are chosen. Raises MissingExtraError
    where a step needs a package that is not there.
    """
    if data.per_category is None:
        yield from _clean(read(warn), data, warn, tally, work)
    else:
        seen = _clean(read(_quiet), data, _quiet, Tally(), work)
        kept = best_of_each(seen, data, data.per_category)
        yield from _keep(_clean(read(warn), data, warn, tally, work), kept, tally)
    if str(tally):
        warn(f"{REPORT}{tally}.")


def check_steps(data: DataConfig) -> None:
    """Raise UsageError for an unknown step or options that exclude each other."""
    for condition in data.where:
        parse_condition(condition)
    for name in data.clean:
        if name not in STEPS:
            raise UsageError(
                f"There is no cleaning step '{name}'.",
                fix=suggest(name, STEPS) or f"There is: {', '.join(STEPS)}.",
            )
    if data.drop_near is not None and not 0 < data.drop_near <= 1:
        raise UsageError(
            f"--drop-near must be above 0 and at most 1, not {data.drop_near}.",
            fix="0.8 leaves out what is nearly the same.",
        )
    if data.order_by is not None and data.per_category is None:
        raise UsageError("--order-by needs --per-category, the number to keep of each.")
    for name in ("max_words", "max_tokens", "per_category"):
        value = getattr(data, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} must be 1 or more, not {value}.")


def _clean(
    documents: Iterator[Document], data: DataConfig, warn: Warn, tally: Tally, work: WorkConfig
) -> Iterator[Document]:
    by_column, why_not = ColumnFilter(data), _last_look(data)
    keeps = True
    changed: set[str] = set()
    for document, begins, (spans, steps, reason) in _work(documents, data, work):
        cleaned = replace(document, spans=tuple(Span(*span) for span in spans))
        if begins:
            reason = by_column.why_not(document) or reason
            if not reason and not document.more:
                reason = why_not(cleaned)
            keeps = reason is None
            tally.dropped.update([reason] if reason else [])
            changed = set()
        changed.update(steps)
        if keeps:
            yield cleaned
            if not document.more:
                tally.changed.update(sorted(changed))
    by_column.check(warn)


def _quiet(_: str) -> None:
    """Ignore a warning: the second of two passes gives it."""


def _work(
    documents: Iterator[Document], data: DataConfig, work: WorkConfig
) -> Iterator[tuple[Document, bool, Cleaned]]:
    """Yield each document or piece, whether a document begins there, and its cleaned spans."""
    waiting: deque[list[tuple[Document, bool]]] = deque()

    def jobs() -> Iterator[Job]:
        for batch in _batches(documents):
            waiting.append(batch)
            yield [(tuple((s.text, s.learn) for s in d.spans), begins) for d, begins in batch]

    for cleaned in spread(TARGET, describe_work(data), jobs(), work, few=_FEW_BATCHES):
        for (document, begins), result in zip(waiting.popleft(), cleaned, strict=True):
            yield document, begins, result


def _batches(documents: Iterator[Document]) -> Iterator[list[tuple[Document, bool]]]:
    """Group documents and pieces, each with whether a document begins there, into batches."""
    batch: list[tuple[Document, bool]] = []
    begins, size = True, 0
    for document in documents:
        batch.append((document, begins))
        begins = not document.more
        size += 1 + sum(len(span.text) for span in document.spans)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _last_look(data: DataConfig) -> Callable[[Document], str | None]:
    """Return why a cleaned document in one piece is left out, or None."""
    seen: set[bytes] = set()
    near = NearIndex(data.drop_near) if data.drop_near is not None else None

    def look(document: Document) -> str | None:
        if not document.learned.strip():
            return "emptied by cleaning"
        if data.drop_duplicates:
            text = document.text.encode("utf-8", "surrogatepass")
            digest = hashlib.blake2b(text, digest_size=12).digest()
            if digest in seen:
                return "drop-duplicates"
            seen.add(digest)
        if near is not None and near.add(document.text, alike=False) is not None:
            return "drop-near"
        return None

    return look


def _keep(documents: Iterator[Document], kept: set[int], tally: Tally) -> Iterator[Document]:
    number, begins = -1, True
    for document in documents:
        number += begins
        begins = not document.more
        if number in kept:
            yield document
        elif begins:
            tally.dropped["per-category"] += 1


TARGET = "penwright.formats.cleaning:make_work"

Spans = tuple[tuple[str, bool], ...]
"""Pairs of a text and whether it is learned."""
Job = list[tuple[Spans, bool]]
"""For each document or piece, its spans and whether a document begins there."""
Cleaned = tuple[Spans, tuple[str, ...], str | None]
"""The cleaned spans, the steps that changed them, and the reason to leave the document out."""


def describe_work(data: DataConfig) -> tuple[Any, ...]:
    """Return the setup for `make_work`; raises DataError for a blocklist that cannot be read."""
    blocked = read_blocklist(data.blocklist) if data.blocklist else None
    return data.clean, data.language, blocked, data.blocklist_masks


def make_work(setup: tuple[Any, ...]) -> Work:
    """Return the function that cleans one job; raises what `speaks` raises."""
    names, language, pattern, masks = setup
    is_good = speaks(language) if language else None
    blocked = re.compile(pattern, re.IGNORECASE) if pattern else None

    def clean_one(spans: Spans, begins: bool) -> Cleaned:
        reason = None
        if is_good and begins and not is_good("".join(text for text, _ in spans)):
            reason = f"language {language}"
        spans, changed = _change(spans, names)
        if blocked and blocked.search("".join(text for text, _ in spans)):
            if masks:
                spans = tuple((mask(text, blocked), learn) for text, learn in spans)
                changed.append("blocklist")
            elif begins:
                reason = reason or "blocklist"
        return spans, tuple(changed), reason

    return lambda job: [clean_one(spans, begins) for spans, begins in job]


def _change(spans: Spans, names: Sequence[str]) -> tuple[Spans, list[str]]:
    changed: list[str] = []
    for name, step in STEPS.items():
        if name in names:
            after = tuple((step(text), learn) for text, learn in spans)
            if after != spans:
                changed.append(name)
            spans = after
    return tuple(span for span in spans if span[0]), changed
