"""Records with named columns, from whatever kind of file, and the documents that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from penwright.config import DataConfig
from penwright.document import Document, Source
from penwright.errors import DataError
from penwright.formats.reader import Choice
from penwright.formats.rows import Layout, choose_layout
from penwright.wording import Warn

SAMPLE = 100
"""Records that are looked at before deciding."""

LONGEST_FIELD = 200
"""Characters up to which a column is kept as a document's field, to choose by."""


MOST_LISTED = 12
"""Columns that are listed by name."""


@dataclass(frozen=True)
class Record:
    """A record: its line (or number, where there are no lines), and its columns as text."""

    line: int
    values: Mapping[str, str]


@dataclass(frozen=True)
class Look:
    """What the beginning of a file shows."""

    format: str
    columns: tuple[str, ...]
    sample: Sequence[Mapping[str, str]]
    encoding: str | None = None
    header: bool | None = None
    delimiter: str | None = None
    says: str = ""
    """A clause about how the file is written."""


@dataclass(frozen=True)
class RecordReader:
    """One file of records."""

    choice: Choice
    layout: Layout
    skip_empty: bool
    records: Callable[[Warn], Iterator[Record]]

    def documents(self, warn: Warn) -> Iterator[Document]:
        """A document a record."""
        records = self.records(warn)
        yield from make_documents(self.choice.path, self.layout, records, self.skip_empty, warn)


def open_records(
    path: str, look: Look, data: DataConfig, records: Callable[[Warn], Iterator[Record]]
) -> RecordReader:
    """A reader with the columns that the options ask for, or that suggest themselves."""
    layout = choose_layout(path, look.columns, look.sample, data)
    choice = Choice(
        path,
        look.format,
        look.encoding,
        says=_says(look, layout),
        columns=look.columns,
        header=look.header,
        delimiter=look.delimiter,
        template=layout.template,
        learn=layout.learned,
        prompt_format=layout.prompt_format,
    )
    return RecordReader(choice, layout, data.skip_empty, records)


def make_documents(
    path: str, layout: Layout, records: Iterator[Record], skip_empty: bool, warn: Warn
) -> Iterator[Document]:
    """A document a record; records without any text are left out, with one warning.

    Raises DataError where a column is missing, and where there is something to read but nothing
    to learn, unless `skip_empty`.
    """
    skipped, first = 0, 0
    used = set(layout.columns)
    for record in records:
        missing = next((name for name in layout.columns if name not in record.values), None)
        if missing is not None:
            raise DataError(f"{path}:{record.line}: there is no '{missing}' in this row.")
        if not any(record.values[name].strip() for name in layout.learned):
            if not skip_empty and any(record.values[name].strip() for name in used):
                raise DataError(
                    f"{path}:{record.line}: {_and(layout.learned)} is empty, so there is nothing "
                    "to learn from this row.",
                    fix="Fill it in, or leave such rows out with --skip-empty.",
                )
            skipped, first = skipped + 1, first or record.line
            continue
        fields = {
            name: value for name, value in record.values.items() if len(value) <= LONGEST_FIELD
        }
        yield Document(layout.spans(record.values), Source(path, record.line), fields)
    if skipped == 1:
        warn(f"{path}:{first}: 1 row without text was left out.")
    elif skipped:
        warn(f"{path}:{first}: {skipped:,} rows without text were left out, starting here.")


def quiet(_: str) -> None:
    """Looking at a file's beginning warns of nothing: reading it does."""


def _says(look: Look, layout: Layout) -> str:
    """How a record becomes a document, the columns that are not used, and how to choose others."""
    if look.header is None:
        lead = "each line is a record" if look.format == "jsonl" else "each record is a document"
    else:
        lead = "the first row names the columns" if look.header else "there is no row of names"
    unused = [name for name in look.columns if name not in layout.columns]
    if len(look.columns) == 1 and not unused:
        use = "the only column is the text"
    elif len(layout.columns) == 1 and not layout.has_text:
        use = f"the text is column '{layout.columns[0]}'"
    else:
        learned, verb = _and(layout.learned), "is" if len(layout.learned) == 1 else "are"
        use = f"a document is {layout.template!r}, of which {learned} {verb} learned"
    return "; ".join(filter(None, (lead, look.says, use, _unused(unused))))


def _unused(names: Sequence[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(names[:MOST_LISTED])
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"not used: {listed}{more} (choose with --text-column or --template)"


def _and(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)
