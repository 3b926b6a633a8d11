"""Read files as documents, lazily and in bounded memory.

for document in read(["stories.csv"], DataConfig(), warn=print): ...
print(describe(["stories.csv"], DataConfig()))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from penwright.config import DataConfig, WorkConfig
from penwright.document import Document
from penwright.errors import DataError, UsageError
from penwright.formats.catalog import FORMATS, detect, find_inputs
from penwright.formats.chat import ChatReader
from penwright.formats.cleaning import Tally, check_steps, clean, is_wanted
from penwright.formats.corpora import CoqaReader
from penwright.formats.decode import find_line_ends
from penwright.formats.reader import Choice, Input, Reader
from penwright.formats.selection import Size, short_enough
from penwright.wording import Warn, count

__all__ = [
    "Choice",
    "FileReading",
    "Tally",
    "describe",
    "detect",
    "open_reader",
    "read",
]


@dataclass(frozen=True)
class FileReading:
    """The choices made for each file from its first bytes."""

    choices: tuple[Choice, ...]

    @property
    def prompt_format(self) -> str | None:
        """The form of a prompt in the text, such as "{prompt} <sep>"; None for the bare prompt."""
        formats = {choice.prompt_format for choice in self.choices}
        return formats.pop() if len(formats) == 1 else None

    @property
    def sections(self) -> tuple[str, ...]:
        """The sections of texts that begin with keywords; empty if the files differ."""
        found = {choice.sections for choice in self.choices}
        return found.pop() if len(found) == 1 else ()

    @property
    def form(self) -> dict[str, object]:
        """The prompt format and the sections, which a model keeps to be prompted like its data."""
        sections = {"sections": list(self.sections)} if self.sections else {}
        return {"prompt_format": self.prompt_format, **sections}

    def as_json(self) -> list[dict[str, object]]:
        """Return the choices for run.json."""
        return [asdict(choice) for choice in self.choices]

    @classmethod
    def from_json(cls, choices: Iterable[Mapping[str, Any]]) -> FileReading:
        """Build a FileReading from the result of `as_json`, also after a trip through JSON."""
        fields: list[dict[str, Any]] = [
            {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in one.items()
            }
            for one in choices
        ]
        return cls(tuple(Choice(**one) for one in fields))

    def __str__(self) -> str:
        shown = [f"{c.path}: {c.kind}; {c.says}." for c in self.choices[:5]]
        more = len(self.choices) - len(shown)
        return "\n".join([*shown, f"... and {count(more, 'more file')}."] if more else shown)


def describe(paths: Sequence[str | Path | Input], data: DataConfig) -> FileReading:
    """Return the choices for each file; raises the errors that `read` raises at its beginning."""
    return FileReading(tuple(_choose(item, data) for item in find_inputs(paths, data.files)))


def _choose(item: Input, data: DataConfig) -> Choice:
    choice = open_reader(item, data).choice
    if choice.encoding is None:
        return choice
    return replace(choice, line_ends=find_line_ends(item.files[0], choice.encoding))


def read(
    paths: Sequence[str | Path | Input],
    data: DataConfig,
    warn: Warn,
    tally: Tally | None = None,
    size: Size | None = None,
    work: WorkConfig = WorkConfig(),  # noqa: B008 - frozen
) -> Iterator[Document]:
    """Yield the documents of the files in the order of `find_inputs`, cleaned if asked for.

    `warn` gets one sentence per problem; `tally` counts the documents that cleaning changes;
    `size` counts the tokens of a text, for `max_tokens`; `work` configures the processes that
    clean. Raises DataError where a file, a line or a row cannot be read, and when a file has no
    text to learn from.
    """
    check_steps(data)
    inputs = find_inputs(paths, data.files, warn)

    def read_files(warn: Warn) -> Iterator[Document]:
        return _read_files(inputs, data, warn, size)

    if is_wanted(data):
        return clean(read_files, data, warn, tally or Tally(), work)
    return read_files(warn)


def _read_files(
    inputs: Sequence[Input], data: DataConfig, warn: Warn, size: Size | None
) -> Iterator[Document]:
    for item in inputs:
        found = False
        reader = open_reader(item, data)
        if isinstance(reader, CoqaReader | ChatReader):
            documents = replace(reader, size=size).documents(warn)
        elif data.max_tokens is not None and size is not None:
            documents = short_enough(reader.documents(warn), data.max_tokens, size, warn)
        else:
            documents = reader.documents(warn)
        for document in documents:
            found = True
            yield document
        if not found:
            raise DataError(
                f"{item.path} has no text to learn from.",
                fix="Leave the file out, or say with --text-column or --learn where its text is.",
            )


def open_reader(item: Input, data: DataConfig) -> Reader:
    """Return the reader of one input; raises DataError when it cannot be read at all."""
    name = data.format
    if name == "auto":
        name = "story" if item.members else detect(item.path)
        if ".txt" in FORMATS[name].suffixes and (
            data.documents != "auto" or data.split_at is not None
        ):
            name = "text"
    reader = FORMATS[name].open(item, data)
    if data.speaker and not isinstance(reader, ChatReader):
        raise UsageError(
            f"{item.path} holds no conversation, so --speaker has no meaning.",
            fix="Leave --speaker out, or name the format with --format.",
        )
    return reader
