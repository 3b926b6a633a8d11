"""Cleaning, off unless asked for: every step is named, and counts what it did."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from penwright.config import DataConfig
from penwright.errors import UsageError, suggest
from penwright.formats.clean.choose import (
    Verdict,
    best_of_each,
    category_of,
    mask,
    read_blocklist,
    speaks,
)
from penwright.formats.clean.steps import STEPS
from penwright.formats.decode import Warn
from penwright.formats.document import Document, Span

REPORT = "Cleaning: "
"""What the sentence about all steps begins with."""

Read = Callable[[Warn], Iterator[Document]]


@dataclass
class Tally:
    """How many documents each step changed or left out."""

    changed: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, dict[str, int]]:
        """The counts for run.json."""
        return {"changed": dict(self.changed), "dropped": dict(self.dropped)}

    def __str__(self) -> str:
        parts = [f"{name} changed {n:,} documents" for name, n in self.changed.items()]
        parts += [f"{name} left out {n:,} documents" for name, n in self.dropped.items()]
        return ", ".join(parts).replace(" 1 documents", " 1 document")


def is_wanted(data: DataConfig) -> bool:
    """Whether the options ask for any cleaning."""
    chosen = (data.clean, data.language, data.blocklist, data.drop_category, data.per_category)
    return data.drop_duplicates or any(chosen)


def clean(read: Read, data: DataConfig, warn: Warn, tally: Tally) -> Iterator[Document]:
    """The documents of `read`, cleaned as the options ask; each step is counted in `tally`.

    `read` is called twice where the best of each category are chosen. Raises MissingExtraError
    where a step needs a package that is not there.
    """
    if data.per_category is None:
        yield from _clean(read(warn), data, tally)
    else:
        seen = _clean(read(lambda _: None), data, Tally())
        kept = best_of_each(seen, data, data.per_category)
        yield from _keep(_clean(read(warn), data, tally), kept, tally)
    if str(tally):
        warn(f"{REPORT}{tally}.")


def check_steps(data: DataConfig) -> None:
    """Raises UsageError for a step or a combination that cannot be."""
    for name in data.clean:
        if name not in STEPS:
            raise UsageError(
                f"There is no cleaning step '{name}'.",
                fix=suggest(name, STEPS) or f"There is: {', '.join(STEPS)}.",
            )
    if data.order_by is not None and data.per_category is None:
        raise UsageError("--order-by needs --per-category, the number to keep of each.")
    if data.per_category is not None and data.per_category < 1:
        raise UsageError("--per-category must be 1 or more.")


def _clean(documents: Iterator[Document], data: DataConfig, tally: Tally) -> Iterator[Document]:
    verdicts = _verdicts(data)
    blocked = read_blocklist(data.blocklist) if data.blocklist else None
    begins, keeps = True, True
    changed: set[str] = set()
    seen: set[bytes] = set()
    for document in documents:
        if begins:
            reason = next((name for name, good in verdicts if not good(document)), None)
            changed = set()
        cleaned = _change(document, data, changed)
        if blocked and blocked.search(cleaned.text):
            if data.blocklist_masks:
                cleaned = mask(cleaned, blocked)
                changed.add("blocklist")
            elif begins:
                reason = reason or "blocklist"
        if begins:
            if not reason and not document.more:
                reason = _last_look(cleaned, data, seen)
            keeps = reason is None
            tally.dropped.update([reason] if reason else [])
        if keeps:
            yield cleaned
        begins = not document.more
        if begins and keeps:
            tally.changed.update(sorted(changed))


def _last_look(document: Document, data: DataConfig, seen: set[bytes]) -> str | None:
    """Why a cleaned document, whole in one piece, is left out after all; None when it is not."""
    if not document.learned.strip():
        return "emptied by cleaning"
    if data.drop_duplicates:
        text = document.text.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, digest_size=12).digest()
        if digest in seen:
            return "drop-duplicates"
        seen.add(digest)
    return None


def _change(document: Document, data: DataConfig, changed: set[str]) -> Document:
    spans = list(document.spans)
    for name, step in STEPS.items():
        if name in data.clean:
            after = [Span(step(span.text), span.learn) for span in spans]
            if after != spans:
                changed.add(name)
            spans = after
    kept = tuple(span for span in spans if span.text)
    return Document(kept, document.source, document.fields, document.more)


def _verdicts(data: DataConfig) -> list[tuple[str, Verdict]]:
    found: list[tuple[str, Verdict]] = []
    if data.drop_category:
        category = category_of(data)
        unwanted = {name.lower() for name in data.drop_category}
        found.append(("drop-category", lambda d: (category(d) or "").lower() not in unwanted))
    if data.language:
        found.append((f"language {data.language}", speaks(data.language)))
    return found


def _keep(documents: Iterator[Document], kept: set[int], tally: Tally) -> Iterator[Document]:
    number, begins = -1, True
    for document in documents:
        number += begins
        begins = not document.more
        if number in kept:
            yield document
        elif begins:
            tally.dropped["per-category"] += 1
