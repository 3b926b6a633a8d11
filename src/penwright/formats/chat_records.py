"""Find conversations in records: OpenAI's messages, ShareGPT, Alpaca, ChatML, ChatGPT's export."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from penwright.config import DataConfig
from penwright.errors import DataError
from penwright.formats.chat import TURN_COLUMNS, Turn
from penwright.formats.rows import NotTextError, as_text, template_columns

ROLE_NAMES = ("role", "from", "speaker", "sender")
CONTENT_NAMES = ("content", "value", "text")
ALPACA = ("instruction", "input", "output")
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"

_CHATML = re.compile(
    rf"\s*{re.escape(TURN_START)}[ \t]*([^\n<]*)\n(.*?)(?:{re.escape(TURN_END)}|\Z)\s*", re.DOTALL
)
_HOW = 'Write a turn as an object such as {"role": "user", "content": "..."}.'


class RecordChat(NamedTuple):
    """A way to read a record as a conversation: a clause for people, the function, its column."""

    says: str
    read: Callable[[str, str, Mapping[str, object]], Iterator[Turn]]
    column: str = ""

    def turns(self, place: str, row: Mapping[str, object]) -> Iterator[Turn]:
        """Yield the turns of a record; raise DataError where it is in another form."""
        return self.read(place, self.column, row)


def find_chat(
    path: str, names: Sequence[str], sample: Sequence[Mapping[str, object]], data: DataConfig
) -> RecordChat | None:
    """Return the way to read records as conversations, or None if they are none.

    Options that name other columns give None too. Raises DataError where several columns hold a
    conversation and none is named.
    """
    named = data.prompt_column or data.completion_column or not set(data.learn).isdisjoint(names)
    if named or not template_columns(data.template) <= set(TURN_COLUMNS):
        return None
    within = [name for name in names if data.text_column in (None, name)]
    listed = [name for name in within if any(is_turns(row.get(name)) for row in sample)]
    if len(listed) > 1:
        raise DataError(
            f"{path} has several columns that hold a conversation: {', '.join(listed)}.",
            fix="Name one with --text-column.",
        )
    if listed:
        return RecordChat(f"'{listed[0]}' holds a conversation", _listed, listed[0])
    trees = [name for name in within if any(_is_tree(row.get(name)) for row in sample)]
    if trees:
        says = f"'{trees[0]}' holds a conversation, of which the branch shown last is read"
        return RecordChat(says, _branch, trees[0])
    marked = [name for name in within if any(holds_chatml(row.get(name)) for row in sample)]
    if marked:
        return RecordChat(f"'{marked[0]}' is a conversation in ChatML", _marked, marked[0])
    if set(ALPACA) <= set(within):
        return RecordChat("instruction and input are the user's turn", _alpaca)
    return None


def is_turns(value: object) -> bool:
    """Return whether a value is a list of turns, each with its role and its content."""
    return isinstance(value, list) and bool(value) and is_turn(value[0])


def is_turn(value: object) -> bool:
    """Return whether a value is an object with the role and the content of a turn."""
    return isinstance(value, dict) and not (
        value.keys().isdisjoint(ROLE_NAMES) or value.keys().isdisjoint(CONTENT_NAMES)
    )


def holds_chatml(value: object) -> bool:
    """Return whether a text begins with a turn in ChatML's marks."""
    return isinstance(value, str) and value.lstrip().startswith(TURN_START)


def read_chatml(place: str, value: object) -> Iterator[Turn]:
    """Yield the turns of a text in ChatML; raise DataError for text outside of its marks."""
    text, at = _text(place, value), 0
    while at < len(text):
        match = _CHATML.match(text, at)
        if match is None:
            raise DataError(
                f"{place}: there is text outside of {TURN_START} and {TURN_END}: "
                f"{text[at : at + 40]!r}.",
                fix=f"Write a turn as {TURN_START}user, a line end, its text, {TURN_END}.",
            )
        yield Turn(match[1].strip(), match[2])
        at = match.end()


def _listed(place: str, name: str, row: Mapping[str, object]) -> Iterator[Turn]:
    turns = row.get(name)
    if turns is None:
        return
    if not isinstance(turns, list):
        raise DataError(f"{place}: '{name}' is not a list of turns, as it is in others.", fix=_HOW)
    system = row.get("system")
    if isinstance(system, str) and system:
        yield Turn("system", system)
    for number, turn in enumerate(turns, 1):
        yield _turn(f"{place}, turn {number} of '{name}'", turn)


def _turn(place: str, turn: Any) -> Turn:
    if not is_turn(turn):
        raise DataError(f"{place} has no role or no content.", fix=_HOW)
    role = next(turn[name] for name in ROLE_NAMES if name in turn)
    content = next(turn[name] for name in CONTENT_NAMES if name in turn)
    if isinstance(role, dict):
        role = role.get("role") or role.get("name")
    parts: list[Any] = content if isinstance(content, list) else [content or ""]
    texts: list[Any] = [part.get("text") if _is_part(part) else part for part in parts]
    kept = [_text(place, text) for text in texts if text is not None]
    calls = turn.get("tool_calls") or ()
    return Turn(_text(place, role), "\n".join(kept), texts.count(None) + len(calls))


def _is_part(part: Any) -> bool:
    """Return whether this is one of OpenAI's content parts, of which only some have text."""
    return isinstance(part, dict) and "type" in part


def _is_tree(value: object) -> bool:
    return isinstance(value, dict) and any(
        isinstance(node, dict) and "message" in node and "parent" in node for node in value.values()
    )


def _branch(place: str, name: str, row: Mapping[str, object]) -> Iterator[Turn]:
    """Yield the turns of a ChatGPT export from the tree's root to the last message shown."""
    tree: Any = row.get(name)
    if not _is_tree(tree):
        return
    node: Any = row.get("current_node") or next(reversed(tree))
    path: list[Any] = []
    while node in tree and len(path) <= len(tree):
        path.append(tree[node].get("message"))
        node = tree[node].get("parent")
    for message in reversed(path):
        content = (message or {}).get("content") or {}
        parts = content.get("parts") or [content.get("text")]
        texts = [part for part in parts if isinstance(part, str) and part]
        if message and (texts or content.get("parts") not in (None, [""])):
            role = (message.get("author") or {}).get("role") or ""
            yield Turn(_text(place, role), "\n".join(texts), sum(type(p) is dict for p in parts))


def _marked(place: str, name: str, row: Mapping[str, object]) -> Iterator[Turn]:
    return read_chatml(place, row.get(name))


def _alpaca(place: str, _: str, row: Mapping[str, object]) -> Iterator[Turn]:
    instruction, more, output = (_text(place, row.get(name)) for name in ALPACA)
    yield Turn("user", "\n".join(filter(None, (instruction, more))))
    yield Turn("assistant", output)


def _text(place: str, value: object) -> str:
    try:
        return as_text(value)
    except NotTextError as error:
        raise DataError(f"{place}: a turn holds {error}, which is not text.", fix=_HOW) from None
