"""Cleaning of the text of documents, as work for any process."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from penwright.config import DataConfig
from penwright.formats.clean.choose import mask, read_blocklist, speaks
from penwright.formats.clean.steps import STEPS
from penwright.workers import Work

TARGET = "penwright.formats.clean.text_job:make_work"

Spans = tuple[tuple[str, bool], ...]
"""Texts, and whether each is learned."""
Job = list[tuple[Spans, bool]]
"""Of documents and pieces of them the spans, and whether a document begins there."""
Cleaned = tuple[Spans, tuple[str, ...], str | None]
"""The spans afterwards, the steps that changed them, and why the document is to be left out."""


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
