"""The contract of a format: an input, the choices made by looking at it, its documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from penwright.document import Document
from penwright.wording import Warn


@dataclass(frozen=True)
class Input:
    """One thing to read: a file, a pair of files, or a collection of small ones."""

    path: str
    target: str | None = None
    members: tuple[str, ...] = ()
    """The files of a collection of small ones, such as .story files."""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read."""
        return self.members or ((self.path, self.target) if self.target else (self.path,))


@dataclass(frozen=True)
class Choice:
    """How one file is read. `says` is a sentence for people, the rest is for programs."""

    path: str
    format: str
    encoding: str | None = None
    says: str = ""
    columns: tuple[str, ...] = ()
    header: bool | None = None
    delimiter: str | None = None
    template: str | None = None
    learn: tuple[str, ...] = ()
    prompt_format: str | None = None
    sections: tuple[str, ...] = ()
    """Of texts that begin with their keywords, the sections that they have."""
    line_ends: str = ""
    """LF, CRLF, CR or mixed, where there is text to tell by."""

    @property
    def kind(self) -> str:
        """The format, and the encoding and the line ends where they are worth a word."""
        ends = f"{self.line_ends} line ends" if self.line_ends not in ("", "LF") else ""
        return ", ".join(filter(None, (self.format, self.encoding, ends)))


class Reader(Protocol):
    """One input, looked at and ready to be read."""

    @property
    def choice(self) -> Choice:
        """What was chosen."""

    def documents(self, warn: Warn) -> Iterator[Document]:
        """The input's documents, lazily."""


def place(path: str, number: int, unit: str = "") -> str:
    """Return a place in a file for messages: `path:line`, or `path: record 3` of records."""
    return f"{path}: {unit} {number:,}" if unit else f"{path}:{number}"
