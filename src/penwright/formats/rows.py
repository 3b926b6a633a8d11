"""From the columns of a row to a document: a template, and which of its parts are learned."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from penwright.config import DataConfig
from penwright.errors import DataError, UsageError, suggest
from penwright.formats.document import Span

TEXT_NAMES = (
    "text", "content", "body", "story", "article", "document", "poem", "lyrics", "title",
    "sentence", "quote", "tweet", "review", "comment", "message", "headline", "description",
    "question",
)  # fmt: skip
PROMPT_NAMES = ("prompt", "instruction", "question", "input", "source", "context", "query")
COMPLETION_NAMES = (
    "completion", "response", "answer", "output", "story", "target", "reply", "text",
)  # fmt: skip

EVERYTHING = "all"
"""`--learn all`: prompts and the text around the columns are learned too."""


@dataclass(frozen=True)
class Slot:
    """One part of a template: a column's name or literal text, learned or not."""

    value: str
    is_column: bool
    learn: bool

    def as_template(self, name: str | None = None) -> str:
        """The slot as a template writes it, a column under another name where one is given."""
        if self.is_column:
            return "{" + (name or self.value) + "}"
        return self.value.replace("{", "{{").replace("}", "}}")


@dataclass(frozen=True)
class Layout:
    """How a row becomes text. With `glue`, one space where two columns meet without any."""

    slots: tuple[Slot, ...]
    glue: bool = False
    max_words: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it uses, in order, each once."""
        return tuple(dict.fromkeys(slot.value for slot in self.slots if slot.is_column))

    @property
    def learned(self) -> tuple[str, ...]:
        """The columns that loss falls on."""
        return tuple(
            dict.fromkeys(slot.value for slot in self.slots if slot.is_column and slot.learn)
        )

    @property
    def template(self) -> str:
        """The layout as `--template` takes it."""
        return "".join(slot.as_template() for slot in self.slots)

    @property
    def prompt_format(self) -> str | None:
        """What stands before the learned part, with the only column in it named {prompt}.

        None where nothing does: then a prompt is the beginning of the text itself.
        """
        before = self.slots[: next((i for i, s in enumerate(self.slots) if s.learn), 0)]
        if not before:
            return None
        columns = {slot.value for slot in before if slot.is_column}
        lone = "prompt" if len(columns) == 1 else None
        text = "".join(slot.as_template(lone) for slot in before)
        text = text if columns else text + "{prompt}"
        # The space before a learned text belongs to its first token: see `spans`.
        return text[:-1] if text.endswith(" ") and columns else text

    def spans(self, row: Mapping[str, str]) -> tuple[Span, ...]:
        """The row's spans, neighbours of one kind joined.

        A single space before a learned part is learned with it, because GPT-2's tokens carry the
        space before a word: so the text is cut into the very tokens it has in one piece.
        """
        spans: list[Span] = []
        for slot in self.slots:
            text = self._text(slot, row)
            if not text:
                continue
            last = spans[-1] if spans else None
            if self.glue and last and not (last.text[-1].isspace() or text[0].isspace()):
                text = " " + text
            if last and last.learn == slot.learn:
                spans[-1] = Span(last.text + text, slot.learn)
            else:
                spans.append(Span(text, slot.learn))
        return _move_spaces(spans)

    def _text(self, slot: Slot, row: Mapping[str, str]) -> str:
        if not slot.is_column:
            return slot.value
        text = row[slot.value]
        return first_words(text, self.max_words) if slot.learn and self.max_words else text


def choose_layout(
    path: str, names: Sequence[str], sample: Iterable[Mapping[str, str]], data: DataConfig
) -> Layout:
    """The layout that the options ask for, or else the one that the columns' names suggest.

    Raises DataError for a column that is not there, or when no column suggests itself.
    """
    if data.template is not None:
        if data.text_column or data.prompt_column or data.completion_column:
            raise UsageError("A template already says which columns to use; give one or the other.")
        layout = parse_template(data.template, data.learn)
    elif data.prompt_column or data.completion_column:
        layout = _pair(path, names, data)
    elif data.text_column:
        layout = _text_layout(data.text_column)
    else:
        layout = _guess(path, names, sample, data)
    for name in (*layout.columns, *(learn for learn in data.learn if learn != EVERYTHING)):
        _require(path, name, names)
    if data.learn and data.template is None:
        layout = _relearn(layout, data.learn)
    return replace(layout, max_words=data.max_words)


def pair_layout(
    prompt: str, completion: str, separator: str | None, learn: tuple[str, ...] = ()
) -> Layout:
    """Prompt, separator, completion; without a separator, one space where there is none."""
    slots = [Slot(prompt, True, False), Slot(completion, True, True)]
    if separator:
        slots.insert(1, Slot(unescape(separator), False, False))
    layout = Layout(tuple(slots), glue=separator is None)
    return _relearn(layout, learn) if learn else layout


def parse_template(template: str, learn: tuple[str, ...]) -> Layout:
    """A template such as `{prompt} <sep> {story}`; without `learn`, its last column is learned.

    Text after a learned column is learned with it. Raises UsageError for a template without
    columns, with unmatched braces, or when `learn` names a column that is not in it.
    """
    slots: list[Slot] = []
    try:
        for literal, name, spec, conversion in string.Formatter().parse(template):
            if literal:
                slots.append(Slot(unescape(literal), False, False))
            if name is not None:
                if spec or conversion or not name:
                    raise ValueError("a field is a column's name and nothing else")
                slots.append(Slot(name, True, False))
    except ValueError as error:
        raise UsageError(
            f"The template {template!r} cannot be read: {error}.",
            fix="Write columns as {name}, and a brace itself as {{ or }}.",
        ) from None
    layout = Layout(tuple(slots))
    if not layout.columns:
        raise UsageError(f"The template {template!r} names no column.", fix="Write one as {name}.")
    return _relearn(layout, learn or (layout.columns[-1],))


def first_words(text: str, count: int) -> str:
    """The text up to its first `count` words, white space between them kept."""
    end = 0
    for _ in range(count):
        while end < len(text) and text[end].isspace():
            end += 1
        start = end
        while end < len(text) and not text[end].isspace():
            end += 1
        if start == end:
            return text
    return text[:end]


def unescape(text: str) -> str:
    """`\\n`, `\\t` and `\\\\` as a command line can give them."""
    return text.replace("\\\\", "\0").replace("\\n", "\n").replace("\\t", "\t").replace("\0", "\\")


def _move_spaces(spans: list[Span]) -> tuple[Span, ...]:
    for i in range(1, len(spans)):
        before, after = spans[i - 1], spans[i]
        if after.learn and before.text.endswith(" ") and not after.text[0].isspace():
            spans[i - 1] = Span(before.text[:-1], before.learn)
            spans[i] = Span(" " + after.text, after.learn)
    return tuple(span for span in spans if span.text)


def _relearn(layout: Layout, learn: tuple[str, ...]) -> Layout:
    for name in learn:
        if name != EVERYTHING and name not in layout.columns:
            raise UsageError(
                f"There is no column '{name}' to learn.",
                fix=suggest(name, layout.columns) or f"There is: {', '.join(layout.columns)}.",
            )
    slots: list[Slot] = []
    current = False
    for slot in layout.slots:
        if slot.is_column:
            current = slot.value in learn
        slots.append(replace(slot, learn=current or EVERYTHING in learn))
    return replace(layout, slots=tuple(slots))


def _text_layout(name: str) -> Layout:
    return Layout((Slot(name, True, True),))


def _pair(path: str, names: Sequence[str], data: DataConfig) -> Layout:
    prompt = data.prompt_column or _known(names, PROMPT_NAMES, data.completion_column)
    completion = data.completion_column or _known(names, COMPLETION_NAMES, data.prompt_column)
    if prompt is None or completion is None:
        have, want = ("--prompt-column", "--completion-column")[:: 1 if prompt else -1]
        raise UsageError(
            f"{have} needs {want} too.", fix=f"The columns of {path} are: {', '.join(names)}."
        )
    return pair_layout(prompt, completion, data.separator)


def _guess(
    path: str, names: Sequence[str], sample: Iterable[Mapping[str, str]], data: DataConfig
) -> Layout:
    prompt = _known(names, PROMPT_NAMES)
    completion = _known(names, COMPLETION_NAMES, prompt)
    if prompt and completion:
        return pair_layout(prompt, completion, data.separator)
    text = names[0] if len(names) == 1 else _known(names, TEXT_NAMES) or _longest(names, sample)
    if text is None:
        raise DataError(
            f"{path} has no column that is clearly the text.",
            fix=f"Name it with --text-column; there is: {', '.join(names)}.",
        )
    return _text_layout(text)


def _known(names: Sequence[str], known: Sequence[str], other: str | None = None) -> str | None:
    plain = {name.strip().lower(): name for name in names if name != other}
    return next((plain[name] for name in known if name in plain), None)


def _longest(names: Sequence[str], sample: Iterable[Mapping[str, str]]) -> str | None:
    """The column whose texts are at least twice as long as any other's, or None."""
    lengths = dict.fromkeys(names, 1)
    for row in sample:
        for name in names:
            lengths[name] += len(row.get(name, ""))
    first, second = sorted(names, key=lambda name: -lengths[name])[:2]
    return first if lengths[first] >= 2 * lengths[second] else None


def _require(path: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        listed = f"Its columns are: {', '.join(names)}."
        raise DataError(
            f"{path} has no column '{name}'.", fix=f"{suggest(name, names)} {listed}".strip()
        )
