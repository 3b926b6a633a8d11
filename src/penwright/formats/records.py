"""Turn records with named columns, from any kind of file, into documents."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from penwright.config import DataConfig
from penwright.document import Document, Source
from penwright.errors import DataError
from penwright.formats.chat import ChatReader, Conversation, open_chat
from penwright.formats.chat_records import RecordChat, find_chat
from penwright.formats.reader import Choice, Reader, place
from penwright.formats.rows import (
    Layout,
    NotTextError,
    as_text,
    choose_layout,
    is_text,
    template_columns,
)
from penwright.wording import Warn

SAMPLE = 100
"""The number of first records that choices are based on."""

LONGEST_FIELD = 200
"""The longest value, in characters, that is kept as a field of a document."""


MOST_LISTED = 12
"""The number of columns that a sentence lists by name."""


@dataclass(frozen=True)
class Record:
    """The line of a record (or its number, where there are no lines), and its values by column."""

    line: int
    values: Mapping[str, object]


@dataclass(frozen=True)
class RecordsHead:
    """The format, the columns and the first records of a file."""

    format: str
    columns: tuple[str, ...]
    sample: Sequence[Mapping[str, object]]
    encoding: str | None = None
    header: bool | None = None
    delimiter: str | None = None
    says: str = ""
    """A clause about the file's dialect or shape."""
    unit: str = ""
    """The word for a record in messages, where they count records instead of lines."""


@dataclass(frozen=True)
class RecordReader:
    """A file of records."""

    choice: Choice
    layout: Layout
    skip_empty: bool
    records: Callable[[Warn], Iterator[Record]]
    unit: str = ""

    def documents(self, warn: Warn) -> Iterator[Document]:
        """Yield a document for each record."""
        records = self.records(warn)
        yield from make_documents(
            self.choice.path, self.layout, records, self.skip_empty, warn, self.unit
        )


def open_rows(
    path: str,
    format: str,
    records: Callable[[Warn], Iterator[Record]],
    data: DataConfig,
    encoding: str | None = None,
    says: str = "",
    unit: str = "row",
) -> Reader:
    """Return the reader of records whose columns may hold anything, chats and questions too."""

    def rows(warn: Warn) -> Iterator[Record]:
        for record in records(warn):
            for values in expand_questions(place(path, record.line, unit), record.values):
                yield Record(record.line, values)

    sample = [record.values for record in itertools.islice(rows(quiet), SAMPLE)]
    if not sample:
        raise DataError(f"{path} has no {unit or 'record'}s in it.")
    names = tuple(dict.fromkeys(name for values in sample for name in values))
    head = RecordsHead(format, names, sample, encoding, says=says, unit=unit)
    return open_records(path, head, data, rows)


def open_records(
    path: str, head: RecordsHead, data: DataConfig, records: Callable[[Warn], Iterator[Record]]
) -> Reader:
    """Return a reader with the columns that the options ask for, or that suggest themselves."""
    if chat := find_chat(path, head.columns, head.sample, data):
        return _open_chat(path, head, data, records, chat)
    asked = _asked(data)
    if not asked and set(QUESTION_COLUMNS) <= set(head.columns):
        data = replace(data, template=QUESTION_TEMPLATE)
    sample = [{n: as_text(v) for n, v in row.items() if is_text(v)} for row in head.sample]
    texts = {name for row in sample for name in row}
    names = [name for name in head.columns if name in texts or name in asked or not head.sample]
    if not names:
        raise _no_text(path, head)
    layout = choose_layout(path, names, sample, data)
    choice = Choice(
        path,
        head.format,
        head.encoding,
        says=_says(head, layout),
        columns=head.columns,
        header=head.header,
        delimiter=head.delimiter,
        template=layout.template,
        learn=layout.learned,
        prompt_format=layout.prompt_format,
    )
    return RecordReader(choice, layout, data.skip_empty, records, head.unit)


def used_columns(reader: Reader | None) -> tuple[str, ...]:
    """Return the columns that every record must have for its reader."""
    return reader.layout.columns if isinstance(reader, RecordReader) else ()


def make_documents(
    path: str,
    layout: Layout,
    records: Iterator[Record],
    skip_empty: bool,
    warn: Warn,
    unit: str = "",
) -> Iterator[Document]:
    """Yield a document for each record; those without any text are left out, with one warning.

    Raises DataError where a column is missing or is not text, and where there is something to
    read but nothing to learn, unless `skip_empty`.
    """
    skipped, first = 0, 0
    for record in records:
        where = place(path, record.line, unit)
        values = {name: text_of(where, record, name) for name in layout.columns}
        if not any(values[name].strip() for name in layout.learned):
            if not skip_empty and any(text.strip() for text in values.values()):
                raise DataError(
                    f"{where}: {_and(layout.learned)} is empty, so there is nothing "
                    "to learn from this row.",
                    fix="Fill it in, or leave such rows out with --skip-empty.",
                )
            skipped, first = skipped + 1, first or record.line
            continue
        yield Document(layout.spans(values), Source(path, record.line), _fields(record.values))
    tell_of_skipped(path, skipped, first, warn, unit)


def tell_of_skipped(path: str, skipped: int, first: int, warn: Warn, unit: str = "") -> None:
    """Warn of the rows without text that were left out, and of the place of the first."""
    if skipped == 1:
        warn(f"{place(path, first, unit)}: 1 row without text was left out.")
    elif skipped:
        warn(
            f"{place(path, first, unit)}: {skipped:,} rows without text were left out, starting "
            "here."
        )


def quiet(_: str) -> None:
    """Drop a warning: looking at a file's beginning warns of nothing, reading it does."""


def _open_chat(
    path: str,
    head: RecordsHead,
    data: DataConfig,
    records: Callable[[Warn], Iterator[Record]],
    chat: RecordChat,
) -> ChatReader:
    def conversations(warn: Warn) -> Iterator[Conversation]:
        for record in records(warn):
            turns = chat.turns(place(path, record.line, head.unit), record.values)
            yield Conversation(turns, record.line, _fields(record.values))

    says = "; ".join(filter(None, (head.says, chat.says)))
    choice = Choice(path, head.format, head.encoding, says=says, columns=head.columns)
    return open_chat(choice, data, conversations, head.unit, by_role=True)


def _no_text(path: str, head: RecordsHead) -> DataError:
    """Return the error for records without any column that is text, by the first of them."""
    for number, values in enumerate(head.sample, 1):
        for name, value in values.items():
            try:
                as_text(value)
            except NotTextError as error:
                return _refusal(place(path, number, head.unit), name, error)
    return DataError(f"{path} has no columns.", fix='Write records such as {"text": "..."}.')


def _refusal(where: str, name: str, error: NotTextError) -> DataError:
    return DataError(
        f"{where}: '{name}' holds {error}, which is not text.",
        fix="Write it as text, or name another column with --text-column.",
    )


def text_of(where: str, record: Record, name: str) -> str:
    """Return a column of a record as text; raise DataError where it is missing or is no text."""
    if name not in record.values:
        raise DataError(f"{where}: there is no '{name}' in this row.")
    try:
        return as_text(record.values[name])
    except NotTextError as error:
        raise _refusal(where, name, error) from None


def _fields(values: Mapping[str, object]) -> dict[str, str]:
    """Return the columns that are short texts."""
    fields: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, str) and len(value) > LONGEST_FIELD:
            continue
        if is_text(value) and len(text := as_text(value)) <= LONGEST_FIELD:
            fields[name] = text
    return fields


def _asked(data: DataConfig) -> set[str]:
    """Return the columns that the options name."""
    given = {data.text_column, data.prompt_column, data.completion_column, *data.learn}
    return {name for name in given if name} | template_columns(data.template)


def _says(head: RecordsHead, layout: Layout) -> str:
    """Return a sentence about the layout of a document and the columns that are not used."""
    if head.header is None:
        lead = "each line is a record" if head.format == "jsonl" else "each record is a document"
    else:
        lead = "the first row names the columns" if head.header else "there is no row of names"
    unused = [name for name in head.columns if name not in layout.columns]
    if len(head.columns) == 1 and not unused:
        use = "the only column is the text"
    elif len(layout.columns) == 1 and not layout.has_text:
        use = f"the text is column '{layout.columns[0]}'"
    else:
        learned, verb = _and(layout.learned), "is" if len(layout.learned) == 1 else "are"
        use = f"a document is {layout.template!r}, of which {learned} {verb} learned"
    return "; ".join(filter(None, (lead, head.says, use, _unused(unused))))


def _unused(names: Sequence[str]) -> str:
    if not names:
        return ""
    listed = ", ".join(names[:MOST_LISTED])
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return f"not used: {listed}{more} (choose with --text-column or --template)"


def _and(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)


QUESTION_COLUMNS = ("context", "question", "answer")

QUESTION_TEMPLATE = "{context}\nQ: {question}\nA: {answer}"


def expand_questions(place: str, values: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield a row for each question of an article; a record of another kind as it is.

    An article has `paragraphs` with a `context` and `qas` (SQuAD's own files), or a record has
    `context`, `question` and `answers` with its texts (its tables on the Hub). The first of
    several answers is taken; a question without any has an empty one. Raises DataError for an
    article in another schema.
    """
    paragraphs, answers = values.get("paragraphs"), values.get("answers")
    texts = answers.get("text") if isinstance(answers, dict) else None
    if isinstance(paragraphs, list) and any(isinstance(p, dict) and "qas" in p for p in paragraphs):
        try:
            yield from _article(values.get("title"), paragraphs)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{place} is not in SQuAD's schema ({error}).",
                fix="A paragraph has a context and qas, each with a question and answers.",
            ) from None
    elif "question" in values and isinstance(texts, list):
        others = {name: value for name, value in values.items() if name != "answers"}
        yield {**others, "answer": next(iter(texts), "")}
    else:
        yield values


def _article(title: object, paragraphs: list[Any]) -> Iterator[dict[str, object]]:
    for paragraph in paragraphs:
        for asked in paragraph["qas"]:
            answer = next((found["text"] for found in asked.get("answers") or ()), "")
            row = {
                "title": title,
                "context": paragraph["context"],
                "question": asked["question"],
                "answer": answer,
            }
            yield row | ({"id": asked["id"]} if "id" in asked else {})
