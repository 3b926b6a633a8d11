"""Find the prompts in a data set and the texts that follow them, and the fields in a text."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from penwright.config import DataConfig
from penwright.errors import UsageError
from penwright.sections import BEGINS, NAME_OF, parse
from penwright.tokens import Split, Tokenizer
from penwright.wording import Warn

if TYPE_CHECKING:
    from penwright.formats import Choice


def find_template(choices: Iterable[Choice]) -> str | None:
    """Return the template of all files if its fields can be told apart; None otherwise."""
    templates = {choice.template for choice in choices}
    template = templates.pop() if len(templates) == 1 else None
    return template if template and _is_separable(template) else None


def find_fields(template: str, text: str) -> dict[str, str]:
    """Return the fields of a text that follows `template`; the last one may be unfinished.

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


def begin_record(template: str, given: Mapping[str, str]) -> str:
    """Return a record's text up to the first field that is not given, or is empty."""
    text = ""
    for before, name in _parts(template):
        text += before
        if name and not given.get(name):
            break
        text += given.get(name, "")
    return text


def field_names(template: str) -> list[str]:
    """Return the names of a template's fields in their order."""
    return [name for _, name in _parts(template) if name]


def _is_separable(template: str) -> bool:
    """Return whether there are several fields, and text between each and the next."""
    parts = [field for field in _parts(template) if field[1]]
    return len(parts) > 1 and all(before for before, _ in parts[1:])


def _parts(template: str) -> list[tuple[str, str]]:
    """Return each field's name with the text before it; text after the last has no name."""
    parts, before = [], ""
    for literal, name, _, _ in string.Formatter().parse(template):
        before += literal
        if name is not None:
            parts.append((before, name))
            before = ""
    return [*parts, (before, "")] if before else parts


_WRITTEN = ("title", "body")
_SAMPLES = 3
_FEWEST_DOCUMENTS = 8
_LOOK_AHEAD = 96


@dataclass(frozen=True)
class Task:
    """A prompt, in the form that it has in the data, and the text that follows it there.

    Further references may stand for the text as well: what other people answered.
    """

    document: int
    prompt: str
    references: tuple[str, ...]
    keywords: tuple[str, ...] = ()
    ends: bool = True
    """Whether the first reference comes to its own end; false where it was cut."""


def with_prompts(data: DataConfig) -> DataConfig:
    """Return `data` changed so that prompts are not learned, even where all the text is."""
    from penwright.formats.rows import EVERYTHING

    return replace(data, learn=()) if EVERYTHING in data.learn else data


def find_tasks(split: Split, tokenizer: Tokenizer, documents: int | None = None) -> list[Task]:
    """Return the tasks of the first `documents` documents; those of a dialogue are its turns.

    What is learned follows its prompt: all that stands before it in the document. Texts with
    keywords are to be written from their title or body on. A document without either has none.
    """
    ranges = split.ranges[:documents].tolist()
    return [
        task
        for number, (start, end) in enumerate(ranges)
        for task in _of_document(number, stretches(split, tokenizer, start, end))
    ]


def find_openings(
    split: Split, tokenizer: Tokenizer, documents: int, length: int, warn: Warn
) -> list[Task]:
    """Return the first words of documents as prompts, and `length` tokens of what follows there.

    Where there are fewer than `documents`, stretches from within them are taken too. With very few
    documents each stretch counts as a document, since an interval needs several (Künsch, 1989,
    resamples such blocks); `warn` is told.
    """
    step = _LOOK_AHEAD + length
    ranges = split.ranges.tolist()
    places = [(number, start, start, end) for number, (start, end) in enumerate(ranges)][:documents]
    if len(ranges) < documents:
        places = [
            (number, at, start, end)
            for number, (start, end) in enumerate(ranges)
            for at in (start, *range(start + step, end - step, step))
        ]
        chosen = np.linspace(0, len(places) - 1, min(len(places), documents)).astype(int)
        places = [places[index] for index in np.unique(chosen).tolist()]
    found = [
        task
        for number, at, start, end in places
        if (task := _opening(split, tokenizer, number, (at, start, end), length)) is not None
    ]
    if len({task.document for task in found}) < min(_FEWEST_DOCUMENTS, len(found)):
        kinds = "one document" if len(ranges) == 1 else f"{len(ranges)} documents"
        warn(f"There is text of {kinds} only; intervals are over its {len(found)} stretches.")
        found = [replace(task, document=number) for number, task in enumerate(found)]
    return found


def _opening(
    split: Split, tokenizer: Tokenizer, number: int, place: tuple[int, int, int], length: int
) -> Task | None:
    at, start, end = place
    ids = split.store.tokens(at, min(end, at + 2 * _LOOK_AHEAD + length)).tolist()
    begins = at == start and ids[0] == tokenizer.eot_id
    text = tokenizer.decode(token for token in ids if token != tokenizer.eot_id)
    prompt = _first_words(text, begins=begins)
    at_end = at + len(ids) == end
    rest = tokenizer.encode(text[text.find(prompt) + len(prompt) :])
    if not prompt.strip() or not rest:
        return None
    cut = tokenizer.decode(rest[:length])
    return Task(number, prompt, (cut,), ends=at_end and len(rest) <= length)


def check_tasks(tasks: Sequence[Task], metrics: Sequence[str], *, keywords: bool) -> None:
    """Raise UsageError if there are no tasks, or with `keywords` none that has keywords."""
    if not tasks:
        raise UsageError(
            f"There are no prompts in this data to measure {', '.join(metrics)} with.",
            fix="Measure it on pairs, stories with highlights, dialogues or texts with keywords.",
        )
    if keywords and not any(task.keywords for task in tasks):
        raise UsageError(
            "There are no keywords in this data.",
            fix="Make texts that begin with theirs with `penwright keywords encode`.",
        )


def _of_document(number: int, stretches: Sequence[tuple[str, bool]]) -> Iterator[Task]:
    text = "".join(piece for piece, _ in stretches)
    begins = next((m for m in BEGINS.finditer(text) if NAME_OF[m.group(1)] in _WRITTEN), None)
    if begins and BEGINS.match(text):
        keywords = tuple(parse(text).get("keywords", "").split())
        yield Task(number, text[: begins.end()], (text[begins.end() :],), keywords)
        return
    prompt = ""
    for piece, learn in stretches:
        if learn and prompt:
            yield Task(number, prompt, (piece,))
        prompt += piece


def stretches(split: Split, tokenizer: Tokenizer, start: int, end: int) -> list[tuple[str, bool]]:
    """Return a document's stretches of text, each learned or not, without end-of-text tokens."""
    tokens = split.store.tokens(start, end)
    text = tokens != tokenizer.eot_id
    tokens, learn = tokens[text], split.store.learn(start, end)[text]
    borders = np.flatnonzero(np.diff(learn.astype(np.int8))) + 1
    return [
        (tokenizer.decode(piece.tolist()), bool(learned[0]))
        for piece, learned in zip(np.split(tokens, borders), np.split(learn, borders), strict=True)
        if len(piece)
    ]


def sample_prompts(split: Split, tokenizer: Tokenizer) -> list[str]:
    """Return three prompts at most: those of documents, or else their first words.

    One long document without a prompt gives lines from several places in it.
    """
    prompts: list[str] = []
    places = split.ranges[: 10 * _SAMPLES].tolist()
    if len(split) == 1 and not _context(split, *places[0]):
        (start_, end), size = places[0], split.n_tokens
        places += [[start_ + size * third // 3, end] for third in (1, 2)]
    for start_, end in places:
        context = _context(split, start_, end)
        ids = split.store.tokens(start_ + 1, min(end, start_ + 1 + (context or _LOOK_AHEAD)))
        text = tokenizer.decode(token for token in ids.tolist() if token != tokenizer.eot_id)
        whole = context or int(split.store.tokens(start_, start_ + 1)[0]) == tokenizer.eot_id
        prompt = text if context else _first_words(text, begins=bool(whole))
        if prompt.strip() and prompt not in prompts:
            prompts.append(prompt)
        if len(prompts) == _SAMPLES:
            break
    return prompts or [""]


def _context(split: Split, start: int, end: int) -> int:
    """Count the tokens between a document's first one and its first learned one."""
    learn = split.store.learn(start + 1, end)
    return int(learn.argmax()) if len(learn) else 0


def _first_words(text: str, *, begins: bool) -> str:
    """Return up to half of a text's words, eight at most; `begins` is false inside a document."""
    if not begins:
        line = re.search(r"\n(?=[^\n]*\S[^\n]*\n)", text)
        text = text[line.end() :] if line else text.partition(" ")[2]
    most = max(1, min(8, len(text.split()) // 2))
    words = re.match(rf"\s*(?:\S+[ \t]*){{1,{most}}}", text)
    return words[0].rstrip() if words else ""
