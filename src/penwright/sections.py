"""Write and parse the sections of a text that begins with its keywords.

A section begins with `~` and its own mark. Inside a title or a body, a string that equals such a
beginning or a start or end marker is escaped by a backslash after its first character (one more
where backslashes follow already); parsing removes that backslash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from penwright.document import END_OF_TEXT, START_OF_TEXT
from penwright.errors import UsageError

SECTION = "~"
MARKS = {"category": "`", "keywords": "^", "title": "@", "body": "}"}
NAMES = tuple(MARKS)
"""The names of the sections, in their order in a line."""

BEGINS = re.compile(re.escape(SECTION) + "([" + re.escape("".join(MARKS.values())) + "])")
NAME_OF = {mark: name for name, mark in MARKS.items()}
_NO_WORD = re.compile(r"[^\w'’]+|_+")


@dataclass(frozen=True)
class Marks:
    """The markers at the start and the end of a text."""

    start: str = START_OF_TEXT
    end: str = END_OF_TEXT

    def __post_init__(self) -> None:
        for token in (self.start, self.end):
            if len(token) < 2 or "\\" in token:
                raise UsageError(
                    f"{token!r} cannot mark where a text starts or ends.",
                    fix="Take two characters or more, and no backslash.",
                )

    @cached_property
    def _special(self) -> re.Pattern[str]:
        words = [SECTION + mark for mark in MARKS.values()] + [self.start, self.end]
        inner = "|".join(rf"{re.escape(w[0])}(?=\\*{re.escape(w[1:])})" for w in words)
        return re.compile(inner)

    @cached_property
    def _firsts(self) -> set[str]:
        return {SECTION[0], self.start[0], self.end[0]}

    @cached_property
    def _escaped(self) -> re.Pattern[str]:
        words = [SECTION + mark for mark in MARKS.values()] + [self.start, self.end]
        inner = "|".join(rf"{re.escape(w[0])}(?=\\+{re.escape(w[1:])})" for w in words)
        return re.compile(rf"({inner})\\")

    @cached_property
    def borders(self) -> str:
        """Return a regular expression that matches either marker."""
        return f"{re.escape(self.start)}|{re.escape(self.end)}"

    def escape(self, text: str) -> str:
        """Return `text` with every string escaped that would be read as a mark."""
        if not any(first in text for first in self._firsts):
            return text
        return self._special.sub(lambda found: found.group() + "\\", text)

    def unescape(self, text: str) -> str:
        """Undo `escape`."""
        return self._escaped.sub(r"\1", text)


DEFAULT = Marks()


def slug(text: str, *, lower: bool = False) -> str:
    """Return a keyword or category as one word, with dashes for other characters than letters and
    digits."""
    word = _NO_WORD.sub("-", text.strip()).strip("-'’")
    return word.lower() if lower else word


def build_body(sections: Mapping[str, str], marks: Marks = DEFAULT) -> str:
    """Return the given sections as one string, without start and end markers."""
    return "".join(
        SECTION + MARKS[name] + marks.escape(sections[name]) for name in NAMES if name in sections
    )


def build_line(sections: Mapping[str, str], marks: Marks = DEFAULT) -> str:
    """Return a whole text with its markers and a line end."""
    return f"{marks.start}{build_body(sections, marks)}{marks.end}\n"


def build_prefix(
    sections: Iterable[str],
    keywords: Iterable[str] = (),
    category: str | None = None,
    begins: str = "",
) -> str:
    """Return the beginning of a text with these keywords, up to the title or body to write.

    `sections` are those of the model's training texts; `begins` is the beginning of the title or
    body. Raises UsageError for a section that those texts do not have.
    """
    known = set(sections)
    given = {"keywords": " ".join(filter(None, (slug(word) for word in keywords)))}
    if not given["keywords"]:
        del given["keywords"]
    if category is not None:
        given["category"] = slug(category, lower=True)
    for name in given:
        if name not in known:
            has = ", ".join(name for name in NAMES if name in known)
            raise UsageError(f"This model's texts have no {name}.", fix=f"They have: {has}.")
    written = next((name for name in ("title", "body") if name in known), None)
    return build_body({**given, written: begins} if written else given)


def parse(text: str, marks: Marks = DEFAULT) -> dict[str, str]:
    """Return the sections of a text by name, the first of each kind; empty if it has none.

    The text may be a whole line or only the part between its markers, and may lack its end.
    """
    body = text.split(marks.start, 1)[-1].split(marks.end, 1)[0]
    parts = BEGINS.split(body)
    found: dict[str, str] = {}
    for mark, content in zip(parts[1::2], parts[2::2], strict=True):
        found.setdefault(NAME_OF[mark], marks.unescape(content))
    return found
