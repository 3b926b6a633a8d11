"""Lay out the columns of a row as a document: a template, and the parts that are learned."""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from penwright.config import DataConfig
from penwright.document import Span
from penwright.errors import DataError, UsageError, suggest

TEXT_NAMES = (
    "text", "content", "body", "story", "article", "document", "poem", "lyrics", "full_text",
    "selftext", "sentence", "quote", "tweet", "review", "comment", "message",
)  # fmt: skip
"""Names of columns that hold texts."""
TITLE_NAMES = ("title", "headline", "description", "question")
"""Names of columns that are the text only if no other column is longer."""
PROMPT_NAMES = ("prompt", "instruction", "question", "input", "source", "context", "query")
COMPLETION_NAMES = (
    "completion", "response", "answer", "output", "story", "target", "reply", "text",
)  # fmt: skip

_FEW_VALUES = 3
"""The fewest rows in which a column of one value counts as constant."""
_LONGER_THAN_TEXT = 8
_LONGER_THAN_TITLE = 2
"""The factor by which a column must be longer than one with a known name to be the text."""

EVERYTHING = "all"
"""The value of --learn for which prompts and the text around columns are learned too."""


@dataclass(frozen=True)
class Slot:
    """A part of a template: a column's name or literal text, learned or not."""

    value: str
    is_column: bool
    learn: bool

    def as_template(self, name: str | None = None) -> str:
        """Return the slot as a template writes it, a column under `name` if given."""
        if self.is_column:
            return "{" + (name or self.value) + "}"
        return self.value.replace("{", "{{").replace("}", "}}")


@dataclass(frozen=True)
class Layout:
    """A parsed template. With `glue`, one space joins columns that meet without white space."""

    slots: tuple[Slot, ...]
    glue: bool = False
    max_words: int | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns in the layout, in order, each once."""
        return tuple(dict.fromkeys(slot.value for slot in self.slots if slot.is_column))

    @property
    def learned(self) -> tuple[str, ...]:
        """The columns that are learned."""
        return tuple(
            dict.fromkeys(slot.value for slot in self.slots if slot.is_column and slot.learn)
        )

    @property
    def has_text(self) -> bool:
        """Whether there is text around the columns."""
        return not all(slot.is_column for slot in self.slots)

    @property
    def template(self) -> str:
        """The layout as `--template` takes it."""
        return "".join(slot.as_template() for slot in self.slots)

    @property
    def prompt_format(self) -> str | None:
        """The template of the part before the learned one; a single column in it is named {prompt}.

        None if the text begins with a learned part: then a prompt is its beginning.
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
        """Return the row's spans; neighbours that are both learned, or both not, are joined.

        A single space before a learned part is learned with it, because GPT-2's tokens carry the
        space before a word: the spans have the same tokens as the whole text.
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
    """Return the layout that the options ask for, or else the one that the columns suggest.

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
    """Return a layout of prompt, separator and completion; by default one space separates."""
    slots = [Slot(prompt, True, False), Slot(completion, True, True)]
    if separator:
        slots.insert(1, Slot(unescape(separator), False, False))
    layout = Layout(tuple(slots), glue=separator is None)
    return _relearn(layout, learn) if learn else layout


def parse_template(template: str, learn: tuple[str, ...]) -> Layout:
    """Parse a template such as `{prompt} <sep> {story}`; its last column is learned by default.

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


def template_columns(template: str | None) -> set[str]:
    """Return the columns that a template names; none where `parse_template` would refuse it."""
    try:
        return {name for _, name, _, _ in string.Formatter().parse(template or "") if name}
    except ValueError:
        return set()


def first_words(text: str, count: int) -> str:
    """Return the first `count` words of a text, with the white space between them."""
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
    """Replace `\\n`, `\\t` and `\\\\` from a command line by the characters that they mean."""
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


class _Values:
    """Statistics of a column's sampled values: kind, length and variety."""

    def __init__(self, values: Sequence[str]) -> None:
        filled = [value.strip() for value in values if value.strip()]
        plain = [_TAG.sub("", value) for value in filled]
        self.length = sum(map(len, plain)) / max(len(values), 1)
        """Mean number of characters, without HTML tags; empty values count as 0."""
        self.variety = len(set(filled)) / len(filled) if len(filled) >= _FEW_VALUES else 1.0
        """The share of distinct values."""
        self.is_constant = len(filled) >= _FEW_VALUES and len(set(filled)) == 1
        self.is_text = bool(filled) and 2 * sum(map(_is_prose, plain)) >= len(filled)


_TAG = re.compile(r"<[^<>]{1,300}>")
_CODE = re.compile(r"[a-z]+://\S+|\S+@\S+\.\w+|[{\[].*[}\]]|[!-~]{40,}", re.DOTALL | re.IGNORECASE)


def is_figure(value: str) -> bool:
    """Return whether a value is a number, a date or an identifier (no more letters than digits)."""
    digits = sum(map(str.isdigit, value))
    return 0 < digits <= len(value) <= 40 and digits >= sum(map(str.isalpha, value))


def _is_prose(value: str) -> bool:
    """Return whether a value can be a text: no number, address, JSON or hash."""
    return bool(value) and not is_figure(value) and _CODE.fullmatch(value) is None


def _guess(
    path: str, names: Sequence[str], sample: Iterable[Mapping[str, str]], data: DataConfig
) -> Layout:
    """Return the layout that the columns' names and values suggest.

    A prompt must vary from row to row, and a text must look like one. The column with a known name
    is the text unless another is several times as long.
    """
    rows = list({tuple(row.items()): row for row in sample}.values())  # repeated ones once
    columns = {name: _Values([row.get(name, "") for row in rows]) for name in names}
    varied = [
        name
        for name, values in columns.items()
        if not values.is_constant
        and (name.strip().lower() in PROMPT_NAMES[:3] or (values.is_text and values.variety >= 0.5))
    ]
    prompt = _known(varied, PROMPT_NAMES)
    completion = _known(names, COMPLETION_NAMES, prompt)
    if prompt and completion:
        return pair_layout(prompt, completion, data.separator)
    if len(names) == 1:
        return _text_layout(names[0])
    lengths = {
        name: values.length
        for name, values in columns.items()
        if not values.is_constant and (values.is_text or name.strip().lower() in TEXT_NAMES)
    } or {name: values.length for name, values in columns.items()}
    text = _longest(lengths)
    for known, times in ((TEXT_NAMES, _LONGER_THAN_TEXT), (TITLE_NAMES, _LONGER_THAN_TITLE)):
        named = _known(list(lengths), known)
        if named and times * lengths[named] > max(lengths.values()):
            text = named
            break
    if text is None:
        raise DataError(
            f"{path} has no column that is clearly the text.",
            fix=f"Name it with --text-column; there is: {', '.join(names)}.",
        )
    return _text_layout(text)


def _known(names: Sequence[str], known: Sequence[str], other: str | None = None) -> str | None:
    plain = {name.strip().lower(): name for name in names if name != other}
    return next((plain[name] for name in known if name in plain), None)


def _longest(lengths: Mapping[str, float]) -> str | None:
    """Return the column whose values are at least twice as long as any other's, or None."""
    first, *others = sorted(lengths, key=lambda name: -lengths[name])
    return first if all(lengths[first] >= 2 * lengths[other] for other in others) else None


def _require(path: str, name: str, names: Sequence[str]) -> None:
    if name not in names:
        listed = f"Its columns are: {', '.join(names)}."
        raise DataError(
            f"{path} has no column '{name}'.", fix=f"{suggest(name, names)} {listed}".strip()
        )


_SURROGATE = re.compile("[\ud800-\udfff]")
WHOLE = 1e16  # beyond, a float is no longer every integer


class NotTextError(ValueError):
    """A value that cannot be read as text; the message says what it is."""


def as_text(value: object) -> str:
    """Return a value as text: "" where it is missing, strings of a list on lines of their own.

    Numbers are written as people do: whole ones without a fraction, because pandas makes an
    integer a float where the column has gaps. Bytes are UTF-8. Raises NotTextError for anything
    else, such as an object, a list of numbers, or half of a character.
    """
    if isinstance(value, str):
        if not value.isascii() and _SURROGATE.search(value):
            raise NotTextError("half of a character (a lone surrogate)")
        return str(value)
    if value is None:
        return ""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise NotTextError("bytes that are not UTF-8") from None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return f"{value:.0f}" if value.is_integer() and abs(value) < WHOLE else repr(value)
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, int | date | datetime | time | timedelta):
        return str(value)
    if isinstance(value, list):
        kept = [item for item in value if item is not None]
        if all(type(item) is str or type(item) is bytes for item in kept):
            return "\n".join(map(as_text, kept))
        raise NotTextError("a list of something other than texts")
    raise NotTextError("an object" if isinstance(value, dict) else f"a {type(value).__name__}")


def is_text(value: object) -> bool:
    """Return whether a value can be read as text."""
    try:
        as_text(value)
    except NotTextError:
        return False
    return True
