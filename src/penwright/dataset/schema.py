"""Named fields: a template joins them into a text, and here they come out of one again."""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penwright.formats import Choice


def find_template(choices: Iterable[Choice]) -> str | None:
    """The template that all files were read with, if its fields can be told apart; else None."""
    templates = {choice.template for choice in choices}
    template = templates.pop() if len(templates) == 1 else None
    return template if template and _is_separable(template) else None


def find_fields(template: str, text: str) -> dict[str, str]:
    """The fields of a text that follows `template`, by name; the last one may be unfinished.

    Fields that the text does not come to are left out, and a text that does not begin as the
    template does has none.
    """
    found: dict[str, str] = {}
    parts = _parts(template)
    for number, (before, name) in enumerate(parts):
        if not text.startswith(before):
            return found
        text = text[len(before) :]
        after = parts[number + 1][0] if number + 1 < len(parts) else ""
        value, mark, rest = text.partition(after) if after else (text, "", "")
        if name:
            found[name] = value
        text = mark + rest
    return found


def _is_separable(template: str) -> bool:
    """Whether there are several fields, and text between each and the next."""
    parts = [part for part in _parts(template) if part[1]]
    return len(parts) > 1 and all(before for before, _ in parts[1:])


def _parts(template: str) -> list[tuple[str, str]]:
    """Each field's name with the text before it; what comes after the last has no name."""
    parts, before = [], ""
    for literal, name, _, _ in string.Formatter().parse(template):
        before += literal
        if name is not None:
            parts.append((before, name))
            before = ""
    return [*parts, (before, "")] if before else parts
