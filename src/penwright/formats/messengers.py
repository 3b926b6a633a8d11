"""Read exports of Telegram, Discord and WhatsApp, and text in ChatML, as conversations."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from typing import Any

from penwright.config import DataConfig
from penwright.errors import DataError
from penwright.formats.chat import ChatReader, Conversation, Turn, open_chat
from penwright.formats.chat_records import TURN_START, read_chatml
from penwright.formats.decode import find_encoding, read_blocks, read_lines
from penwright.formats.json_text import JsonText
from penwright.formats.plain import RULES, split
from penwright.formats.reader import Choice, Input
from penwright.wording import Warn

Conversations = Callable[[str, str | None, Warn], Iterator[Conversation]]

DISCORD_COLUMNS = b"AuthorID,Author,Date,Content,"
"""The first columns of a CSV file of DiscordChatExporter."""

_DISCORD_MESSAGES = ("Default", "Reply")
# Day, month and year in any order, the time with or without seconds and AM or PM, in brackets
# (iOS) or before a dash (Android); some languages write a word before the time.
_WHATSAPP = re.compile(
    r"\u200e?\[?\d{1,4}[./-]\d{1,2}[./-]\d{1,4},?\s(?:[^\W\d]+\s?)?\d{1,2}[:.]\d{2}(?:[:.]\d{2})?"
    r"(?:\s?[^\W\d]\.?\s?[^\W\d]\.?)?(?:\]| [-–]) (?P<rest>.*)"
)
_NAMED = re.compile(r"(?P<name>[^:]{1,100}?): ?(?P<text>.*)", re.DOTALL)
_EDITED = re.compile(r"\s*\u200e?<This message was edited>\Z")
# The mark that iOS puts before a notice, and what Android writes in place of a picture or a file.
_NOTICE = re.compile(r"\u200e|<[^<>\n]{1,60}>\Z|\S+\.\w{2,5} \([^()]{1,40}\)(?:\n|\Z)")


def open_telegram(item: Input, data: DataConfig) -> ChatReader:
    """Open Telegram Desktop's result.json, of one chat or of all."""
    return _open("telegram", item, data, _telegram)


def open_discord(item: Input, data: DataConfig) -> ChatReader:
    """Open the JSON or the CSV of DiscordChatExporter."""
    as_csv = is_discord_csv(next(read_blocks(item.path, data.encoding, _quiet), "").encode())
    return _open("discord", item, data, _discord_csv if as_csv else _discord)


def open_whatsapp(item: Input, data: DataConfig) -> ChatReader:
    """Open WhatsApp's _chat.txt, as iOS or Android writes it."""
    return _open("whatsapp", item, data, _whatsapp)


def open_chatml(item: Input, data: DataConfig) -> ChatReader:
    """Open a text of conversations in ChatML, which end at <|endoftext|> or with the file."""
    return _open("chatml", item, data, _chatml, by_role=True)


def is_telegram(head: bytes) -> bool:
    """Return whether a JSON file begins as Telegram's exports do."""
    one = b'"messages"' in head and (b'"from_id"' in head or b'"date_unixtime"' in head)
    return one or (b'"personal_information"' in head and b'"about"' in head)


def is_discord(head: bytes) -> bool:
    """Return whether a file begins as DiscordChatExporter's do."""
    marks = (b'"guild"', b'"channel"', b'"exportedAt"')
    return all(mark in head for mark in marks) or is_discord_csv(head)


def is_discord_csv(head: bytes) -> bool:
    """Return whether a CSV file begins with the names of DiscordChatExporter's columns."""
    return head.removeprefix(b"\xef\xbb\xbf").startswith(DISCORD_COLUMNS)


def is_whatsapp(head: bytes) -> bool:
    """Return whether a text begins as WhatsApp's exports do, and somebody speaks in it."""
    lines = head.decode("utf-8-sig", "replace").splitlines()[:50]
    matches = [_WHATSAPP.match(line) for line in lines]
    return bool(matches and matches[0]) and any(m and _NAMED.match(m["rest"]) for m in matches)


def is_chatml(head: bytes) -> bool:
    """Return whether a text begins with a turn in ChatML."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(TURN_START.encode())


def _open(
    format: str,
    item: Input,
    data: DataConfig,
    conversations: Conversations,
    *,
    by_role: bool = False,
) -> ChatReader:
    choice = Choice(item.path, format, find_encoding(item.path, data.encoding))

    def read(warn: Warn) -> Iterator[Conversation]:
        for found in conversations(item.path, data.encoding, warn):
            yield found
            for _ in found.turns:  # the next one begins where this one ends
                pass

    return open_chat(choice, data, read, "conversation", by_role=by_role)


def _telegram(path: str, encoding: str | None, warn: Warn) -> Iterator[Conversation]:
    """Yield the chat of a file, or each chat of an export of everything, as it is read."""
    text, number = JsonText(path, encoding, warn), 0
    name = ""
    for key in text.members():
        if key == "messages":
            yield Conversation(_messages(path, text, _telegram_turn), 1, {"chat": name})
        elif key in ("chats", "left_chats") and text.peek() == "{":
            for inner in text.members():
                if inner != "list":
                    text.value()
                    continue
                for _ in text.items():
                    number += 1
                    yield from _telegram_chat(path, text, number)
        else:
            value = text.value()
            name = str(value) if key == "name" else name
    _check_end(text)


def _telegram_chat(path: str, text: JsonText, number: int) -> Iterator[Conversation]:
    name = ""
    for key in text.members():
        if key == "messages":
            yield Conversation(_messages(path, text, _telegram_turn), number, {"chat": name})
        else:
            value = text.value()
            name = str(value) if key == "name" else name


def _telegram_turn(message: Any) -> Turn:
    """Return a message, whose text is in pieces where it has links or bold words."""
    text = message.get("text", "")
    pieces = text if isinstance(text, list) else [text]
    whole = "".join(piece["text"] if isinstance(piece, dict) else piece for piece in pieces)
    if message["type"] != "message":
        return Turn("", "", 1)
    return Turn(message.get("from") or "Deleted Account", whole, not whole)


def _discord(path: str, encoding: str | None, warn: Warn) -> Iterator[Conversation]:
    text = JsonText(path, encoding, warn)
    name = ""
    for key in text.members():
        if key == "messages":
            yield Conversation(_messages(path, text, _discord_turn), 1, {"chat": name})
            continue
        value: Any = text.value()
        name = str(value.get("name", "")) if key == "channel" else name
    _check_end(text)


def _discord_turn(message: Any) -> Turn:
    if message["type"] not in _DISCORD_MESSAGES:
        return Turn("", "", 1)
    author, content = message["author"], message["content"]
    return Turn(author.get("nickname") or author["name"], content, not content)


def _discord_csv(path: str, encoding: str | None, warn: Warn) -> Iterator[Conversation]:
    def turns() -> Iterator[Turn]:
        rows = csv.reader((f"{line}\n" for line in read_lines(path, encoding, warn)), strict=True)
        try:
            next(rows)
            for row in rows:
                yield Turn(row[1], row[3].strip(), not row[3].strip())
        except (csv.Error, IndexError) as error:
            raise DataError(
                f"{path}:{rows.line_num}: this is no message ({error}).",
                fix="Mend or delete the line, or export the chat again.",
            ) from None

    yield Conversation(turns())


def _messages(path: str, text: JsonText, read: Callable[[Any], Turn]) -> Iterator[Turn]:
    for number, _ in enumerate(text.items(), 1):
        message = text.value()
        try:
            yield read(message)
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: message {number:,} is not as this program exports it ({error}).",
                fix="Read the file as ordinary records with --format json.",
            ) from None


def _check_end(text: JsonText) -> None:
    if text.peek():
        raise text.error("something follows the export's object")


def _whatsapp(path: str, encoding: str | None, warn: Warn) -> Iterator[Conversation]:
    def turns() -> Iterator[Turn]:
        message: list[str] = []
        for line in read_lines(path, encoding, warn):
            match = _WHATSAPP.match(line)
            if match is None:
                message.append(line)
                continue
            if message:
                yield _whatsapp_turn("\n".join(message))
            message = [match["rest"]]
        yield _whatsapp_turn("\n".join(message))

    yield Conversation(turns())


def _whatsapp_turn(message: str) -> Turn:
    """Return a message; without a name before a colon it is a notice of the program."""
    match = _NAMED.match(message)
    if match is None or _NOTICE.match(match["text"]):
        return Turn("", "", 1)
    return Turn(
        match["name"].strip("\u200e\u202a\u202c~ \u202f\u00a0"), _EDITED.sub("", match["text"])
    )


def _chatml(path: str, encoding: str | None, warn: Warn) -> Iterator[Conversation]:
    parts = split(read_blocks(path, encoding, warn), re.compile(RULES["marker"]))
    line, held = 1, ""
    for part, ends in parts:
        held += part.content
        if ends and held.strip():
            yield Conversation(list(read_chatml(f"{path}:{line}", held)), line)
        line, held = line + part.lines, "" if ends else held


def _quiet(_: str) -> None:
    """Drop a warning: reading warns, looking does not."""
