"""Turn conversations into documents: a template for a turn, and the speakers that are learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

from penwright.config import DataConfig
from penwright.document import Document, Source, Span, merge_spans
from penwright.errors import DataError, UsageError, suggest
from penwright.formats.plain import PIECE
from penwright.formats.reader import Choice, place
from penwright.formats.rows import EVERYTHING, Layout, parse_template
from penwright.formats.selection import Room, Size
from penwright.wording import Warn, count

TURN_TEMPLATE = "{speaker}: {text}\\n"
"""The default of --template for a turn."""

TURN_COLUMNS = ("speaker", "role", "text")

_ROLES = {
    "User": ("user", "human", "prompter"),
    "Assistant": ("assistant", "gpt", "chatgpt", "model", "bot", "ai"),
    "System": ("system", "developer"),
}
_WHOM = "Say who is learned with --speaker NAME; --learn all is everything."
_SPEAKERS = {role: speaker for speaker, roles in _ROLES.items() for role in roles}
_FIRST_TURNS = 1000


class Turn(NamedTuple):
    """One message: its speaker as the file names it, its text, and its parts that are no text."""

    role: str
    text: str
    others: int = 0

    @property
    def speaker(self) -> str:
        """The speaker's name: User, Assistant and System for the usual roles."""
        return _SPEAKERS.get(self.role.lower(), self.role)


class Conversation(NamedTuple):
    """Turns in order, the line or number in the file, and short fields."""

    turns: Iterable[Turn]
    line: int = 1
    fields: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class ChatReader:
    """One file of conversations.

    The learned turns are those of `speakers`; without any, everything is learned, names too.
    """

    choice: Choice
    data: DataConfig
    layout: Layout
    speakers: tuple[str, ...]
    conversations: Callable[[Warn], Iterator[Conversation]]
    unit: str = ""
    size: Size | None = None

    def documents(self, warn: Warn) -> Iterator[Document]:
        """Yield a document for each conversation, with as many turns as there is room for.

        Turns without text, those at the end that nothing learned follows, and conversations
        without any learned turn are left out, with a warning for each kind.
        Raises DataError for a conversation with nothing to learn, unless `skip_empty`.
        """
        path = self.choice.path
        counts = _Counts()
        for conversation in self.conversations(warn):
            source = Source(path, conversation.line)
            spans: list[Span] = []
            names: dict[str, None] = {}
            length, begun, learned = 0, False, False
            for turn in self._fitting(conversation.turns, source, counts):
                if length > PIECE:
                    yield Document(merge_spans(spans), source, conversation.fields, more=True)
                    spans, length, begun = [], 0, True
                spans += self._spans(turn)
                length += len(turn.text)
                names[turn.speaker] = None
                learned = learned or self.learns(turn)
            fits = source not in counts.cut[-1:]
            if learned or begun:
                yield Document(_end(spans, source, counts), source, conversation.fields)
            elif spans and fits and not self.data.skip_empty:
                raise self._nobody(source, list(names))
            else:
                (counts.empty if fits else counts.short).append(source)
        counts.tell(path, self.unit, warn)

    def _fitting(self, turns: Iterable[Turn], source: Source, counts: _Counts) -> Iterator[Turn]:
        """Yield the turns with text, as long as they fit --max-words and --max-tokens."""
        room = Room(self.data, self.size)
        for turn in turns:
            counts.parts += turn.others
            if not turn.text.strip():
                counts.silent += not turn.others
                continue
            if not room.takes("".join(span.text for span in self._spans(turn))):
                counts.cut.append(source)
                return
            yield turn

    def _spans(self, turn: Turn) -> Iterable[Span]:
        row = {"speaker": turn.speaker, "role": turn.role, "text": turn.text.strip()}
        spans = self.layout.spans(row)
        if self.speakers and self.learns(turn):
            return spans
        return (Span("".join(span.text for span in spans), not self.speakers),)

    def learns(self, turn: Turn) -> bool:
        """Return whether loss falls on a turn."""
        return not self.speakers or turn.speaker in self.speakers or turn.role in self.speakers

    def _nobody(self, source: Source, names: list[str]) -> DataError:
        return DataError(
            f"{place(source.path, source.line or 1, self.unit)}: nothing is learned from "
            f"this conversation: nobody in it is called {' or '.join(self.speakers)}. Its "
            f"speakers are: {', '.join(names)}.",
            fix=f"{suggest(self.speakers[0], names)} {_WHOM} --skip-empty leaves such "
            "conversations out.".strip(),
        )


class _Counts:
    """Counts of the turns and conversations left out, and their places."""

    def __init__(self) -> None:
        self.silent = self.parts = 0
        self.empty: list[Source] = []
        self.cut: list[Source] = []
        self.short: list[Source] = []
        self.unanswered: list[Source] = []

    def tell(self, path: str, unit: str, warn: Warn) -> None:
        """Warn of each kind, with the first place."""
        if self.silent:
            warn(f"{path}: {count(self.silent, 'message', 'was')} left out, without text.")
        if self.parts:
            left = f"{count(self.parts, 'part', 'was')} left out that text cannot hold"
            warn(f"{path}: {left} (pictures, files, calls, notices).")
        kinds = (
            (self.empty, "left out, without text to learn"),
            (self.cut, "cut at --max-words or --max-tokens"),
            (self.short, "left out: no learned turn fits"),
            (self.unanswered, "cut after the last learned turn: nothing learned follows"),
        )
        for sources, why in kinds:
            if sources:
                first = place(path, sources[0].line or 1, unit)
                warn(f"{first}: {count(len(sources), 'conversation', 'was')} {why}.")


def open_chat(
    choice: Choice,
    data: DataConfig,
    conversations: Callable[[Warn], Iterator[Conversation]],
    unit: str = "",
    *,
    by_role: bool,
) -> ChatReader:
    """Return the reader of conversations; `choice.says` may hold a clause about the file.

    With `by_role` the assistant's turns are learned, otherwise everybody's; --speaker names whose,
    --learn all is everything. Raises UsageError for a template without the text or with a column
    that a turn does not have.
    """
    everything = EVERYTHING in data.learn
    if data.learn and not everything:
        raise UsageError("--learn names columns, and a conversation has none.", fix=_WHOM)
    if everything and data.speaker:
        raise UsageError("--learn all and --speaker exclude each other.", fix="Give one of them.")
    layout = parse_template(data.template or TURN_TEMPLATE, ("text",))
    for name in layout.columns:
        if name not in TURN_COLUMNS:
            raise UsageError(
                f"A turn has no '{name}' for --template.",
                fix=f"It has: {', '.join(f'{{{name}}}' for name in TURN_COLUMNS)}.",
            )
    speakers = data.speaker or (("Assistant",) if by_role and not everything else ())
    first = list(_first_conversations(conversations))
    names = _names(first)
    reader = ChatReader(choice, data, layout, speakers, conversations, unit)
    turns = [turn for found in first for turn in found.turns]
    answer = next((turn for turn in turns if reader.learns(turn)), None)
    others = {turn.speaker: turn for turn in turns if not reader.learns(turn)}
    others.pop("System", None)
    asker = next(iter(others.values()), None) if by_role or len(others) == 1 else None
    says = [choice.says] if choice.says else []
    says.append(f"a turn is {layout.template!r} (--template changes it)")
    if speakers:
        says.append(f"{' and '.join(speakers)} is learned (--learn all learns everything)")
    else:
        says.append("everything is learned (--speaker NAME learns what one says)")
    if not by_role:
        says.append(f"speakers: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}")
    choice = replace(
        choice,
        says="; ".join(says),
        learn=speakers or (EVERYTHING,),
        prompt_format=_prompt_format(layout, asker, answer) if asker and answer else None,
    )
    return replace(reader, choice=choice)


def _first_conversations(
    conversations: Callable[[Warn], Iterator[Conversation]],
) -> Iterator[Conversation]:
    """Yield the first conversations, as far as their first thousand turns."""
    left = _FIRST_TURNS
    for found in conversations(lambda _: None):
        turns = [turn for turn in islice(found.turns, left) if turn.text.strip()]
        yield found._replace(turns=turns)
        left -= len(turns) + 1
        if left <= 0:
            return


def _names(conversations: Iterable[Conversation]) -> list[str]:
    """Return the speakers, each once, in the order in which they come."""
    return list(dict.fromkeys(turn.speaker for found in conversations for turn in found.turns))


def _prompt_format(layout: Layout, asker: Turn, answer: Turn) -> str:
    """Return the turn of a prompt and the beginning of the answer's turn."""
    asked = layout.spans({"speaker": asker.speaker, "role": asker.role, "text": "{prompt}"})
    begun = {"speaker": answer.speaker, "role": answer.role}
    text = "".join(span.text for span in asked)
    for slot in layout.slots:
        if slot.is_column and slot.value == "text":
            break
        text += begun[slot.value] if slot.is_column else slot.value
    # A space before a learned text belongs to its first token: see Layout.spans.
    return text.removesuffix(" ")


def _end(spans: list[Span], source: Source, counts: _Counts) -> tuple[Span, ...]:
    """Return a document's last spans, up to the last learned text and without its line ends.

    An end of text is learned after them, and a question is not where an answer ends.
    """
    merged = merge_spans(spans)
    if merged and not merged[-1].learn:
        counts.unanswered.append(source)
        merged = merged[:-1]
    if not merged:
        return ()
    *before, last = merged
    text = last.text.rstrip("\n")
    return (*before, Span(text, last.learn)) if text else tuple(before)
