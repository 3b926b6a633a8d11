"""The sections of a text that begins with its keywords: written into a line and read back.

A section begins with `~` and its own mark. What looks like a section's beginning, or like the
start or the end of a text, inside a title or a body is written with a backslash after its first
character, and one more where there are backslashes already; reading takes that backslash out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from penwright.errors import UsageError
from penwright.markers import END_OF_TEXT, START_OF_TEXT

SECTION = "~"
MARKS = {"category": "`", "keywords": "^", "title": "@", "body": "}"}
NAMES = tuple(MARKS)
"""The sections, in the order in which they stand in a line."""

BEGINS = re.compile(re.escape(SECTION) + "([" + re.escape("".join(MARKS.values())) + "])")
NAME_OF = {mark: name for name, mark in MARKS.items()}
_NO_WORD = re.compile(r"[^\w'’]+|_+")


@dataclass(frozen=True)
class Marks:
    """What a text begins and ends with."""

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
        """A regular expression for where a text starts or ends."""
        return f"{re.escape(self.start)}|{re.escape(self.end)}"

    def escape(self, text: str) -> str:
        """`text` without anything in it that could be taken for a mark."""
        if not any(first in text for first in self._firsts):
            return text
        return self._special.sub(lambda found: found.group() + "\\", text)

    def unescape(self, text: str) -> str:
        """What `escape` was given."""
        return self._escaped.sub(r"\1", text)


DEFAULT = Marks()


def slug(text: str, *, lower: bool = False) -> str:
    """A keyword or a category as one word: what is neither letter nor digit becomes a dash."""
    word = _NO_WORD.sub("-", text.strip()).strip("-'’")
    return word.lower() if lower else word


def build_body(sections: Mapping[str, str], marks: Marks = DEFAULT) -> str:
    """The sections that are given, one after another, without what starts and ends a text."""
    return "".join(
        SECTION + MARKS[name] + marks.escape(sections[name]) for name in NAMES if name in sections
    )


def build_line(sections: Mapping[str, str], marks: Marks = DEFAULT) -> str:
    """A whole text with its marks, and the line end that sets it apart from the next."""
    return f"{marks.start}{build_body(sections, marks)}{marks.end}\n"


def build_prefix(
    sections: Iterable[str],
    keywords: Iterable[str] = (),
    category: str | None = None,
    begins: str = "",
) -> str:
    """What a text with these keywords begins with, up to the title or body that is to be written.

    `sections` are those of the texts that the model learned from; `begins` is how the title or
    body begins. Raises UsageError for what those texts do not have.
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
    """The sections of a text by name, the first of each kind; nothing where there are none.

    The text may be a whole line or what stands between its marks, and may lack its end.
    """
    body = text.split(marks.start, 1)[-1].split(marks.end, 1)[0]
    parts = BEGINS.split(body)
    found: dict[str, str] = {}
    for mark, content in zip(parts[1::2], parts[2::2], strict=True):
        found.setdefault(NAME_OF[mark], marks.unescape(content))
    return found
