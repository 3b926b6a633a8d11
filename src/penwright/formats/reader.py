"""Define the contract of a format: an input, the choices for it, its documents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from penwright.document import Document
from penwright.wording import Warn


@dataclass(frozen=True)
class Input:
    """A file, a pair of files, or a collection of small ones."""

    path: str
    target: str | None = None
    members: tuple[str, ...] = ()
    """The files of a collection of small ones, such as .story files."""

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the input."""
        return self.members or ((self.path, self.target) if self.target else (self.path,))


@dataclass(frozen=True)
class Choice:
    """The choices for one file. `says` is a sentence for people, the rest is for programs."""

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
    """The sections of texts that begin with their keywords."""
    line_ends: str = ""
    """LF, CRLF, CR, mixed, or empty if the file has a single line or is not text."""

    @property
    def kind(self) -> str:
        """The format, and the encoding and the line ends where they are worth a word."""
        ends = f"{self.line_ends} line ends" if self.line_ends not in ("", "LF") else ""
        return ", ".join(filter(None, (self.format, self.encoding, ends)))


class Reader(Protocol):
    """An input with the choices for it, ready to be read."""

    @property
    def choice(self) -> Choice:
        """The choices for this input."""

    def documents(self, warn: Warn) -> Iterator[Document]:
        """Yield the documents of the input."""


def place(path: str, number: int, unit: str = "") -> str:
    """Return a place in a file for messages: `path:line`, or `path: record 3` of records."""
    return f"{path}: {unit} {number:,}" if unit else f"{path}:{number}"
