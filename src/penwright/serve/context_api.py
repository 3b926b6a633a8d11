"""Routes of the writer's page: what the model receives, copied spans, presets, kept passages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from penwright.config import WriteConfig
from penwright.dataset.tasks import begin_record, field_names
from penwright.dataset.training_text import TrainingText, open_training_text
from penwright.errors import RunError
from penwright.runs import run_of
from penwright.serve.server import server_of
from penwright.tokens import Tokenizer
from penwright.verbs.copied import Passage, find_copies
from penwright.verbs.generate import Writer

router = APIRouter(prefix="/penwright")

MOST_CHARACTERS = 1_000_000
MOST_RIGHT_TOKENS = 64
"""Tokens of the text behind the cursor that candidates are ranked by."""
_BEGINNING = 6
"""A text that fell out is cut at a line if there is one in the first sixth of what is kept."""

Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]


class Lore(BaseModel):
    """A text that is included when one of its names occurs in the recent text."""

    keys: Annotated[list[str], Field(max_length=50)] = []
    text: Text = ""


class ContextBody(BaseModel):
    """A place in a text, and what to tell the model besides."""

    model: str = ""
    left: Text = ""
    """The text before the cursor, or enough of its end."""
    is_whole: bool = True
    """Whether `left` begins where the document begins."""
    right: Text = ""
    memory: Text = ""
    note: Text = ""
    note_lines: Annotated[int, Field(ge=0, le=100)] = 3
    lore: Annotated[list[Lore], Field(max_length=500)] = []
    keywords: str | None = None
    category: str | None = None
    fields: dict[str, Text] = {}
    """The first fields of a record, for a model that learned records: the text is the next one."""
    max_tokens: Annotated[int, Field(ge=0, le=100_000)] = 100


@dataclass
class Part:
    """A part of what the model receives."""

    name: str
    text: str
    ids: list[int] = field(default_factory=list)
    is_cut: bool = False


@router.post("/context")
def build_context(request: Request, body: ContextBody) -> dict[str, Any]:
    """Return the tokens that the model receives, and the parts that they come from.

    Memory, lore and the author's note get at most a half of the window together; the text gets the
    rest, from its end. Where `right` is given, `right_ids` is its beginning.
    """
    _, writer = server_of(request).find(body.model)
    window = writer.source.config.n_positions
    reserved = min(body.max_tokens, window // 2)
    parts = _arrange(writer, body, window - reserved - 1)
    eot = [writer.tokenizer.eot_id]
    is_begin = body.is_whole and not any(part.is_cut for part in parts if part.name == "text")
    begin = eot if is_begin or parts[0].name != "text" else []
    right = writer.tokenizer.encode(body.right[: 12 * MOST_RIGHT_TOKENS])
    return {
        "ids": begin + [id_ for part in parts for id_ in part.ids],
        "right_ids": [int(id_) for id_ in right[:MOST_RIGHT_TOKENS]],
        "parts": [
            {"name": part.name, "text": part.text, "tokens": len(part.ids), "cut": part.is_cut}
            for part in parts
        ],
        "window": window,
        "reserved": reserved,
        "sections": list(writer.sections),
        "fields": field_names(writer.template) if writer.template else [],
    }


def _arrange(writer: Writer, body: ContextBody, budget: int) -> list[Part]:
    """Return the parts in their order, of at most `budget` tokens."""
    tokenizer = writer.tokenizer
    room = budget // 2
    pinned: list[Part] = []
    if body.keywords is not None or body.category is not None:
        config = WriteConfig(keywords=body.keywords, category=body.category)
        pinned.append(_first(tokenizer, "keywords", writer.begin("", config), room))
        room -= len(pinned[-1].ids)
    if writer.template and any(body.fields.values()):
        begin = begin_record(writer.template, body.fields)
        pinned.append(_first(tokenizer, "fields", begin, room))
        room -= len(pinned[-1].ids)
    note = [_first(tokenizer, "note", _line(body.note), room)] if body.note.strip() else []
    room -= sum(len(part.ids) for part in note)
    texts = [("memory", body.memory)] if body.memory.strip() else []
    recent = body.left[-6 * budget :]
    texts += [("lore", entry.text) for entry in body.lore if _occurs(entry, recent)]
    for name, text in texts:
        pinned.append(_first(tokenizer, name, _line(text), room))
        room -= len(pinned[-1].ids)
    left = budget - sum(len(part.ids) for part in [*pinned, *note])
    kept = _last(tokenizer, body.left, left)
    if not note:
        return [*pinned, kept]
    place = _line_start(kept.text, body.note_lines)
    before, after = kept.text[:place], kept.text[place:]
    split = [Part("text", before, _encode(tokenizer, before), kept.is_cut)] if before else []
    return [*pinned, *split, *note, Part("text", after, _encode(tokenizer, after), kept.is_cut)]


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return [int(id_) for id_ in tokenizer.encode(text)]


def _line(text: str) -> str:
    return text.strip("\n") + "\n"


def _occurs(entry: Lore, recent: str) -> bool:
    names = [re.escape(key.strip()) for key in entry.keys if key.strip()]
    return bool(
        entry.text.strip()
        and names
        and re.search(rf"(?<!\w)(?:{'|'.join(names)})(?!\w)", recent, re.IGNORECASE)
    )


def _first(tokenizer: Tokenizer, name: str, text: str, room: int) -> Part:
    """Return the part of a text that has room, from its beginning."""
    ids = _encode(tokenizer, text)
    if len(ids) <= room:
        return Part(name, text, ids)
    kept = ids[: max(0, room)]
    return Part(name, tokenizer.decode(kept).rstrip("\ufffd"), kept, True)


def _last(tokenizer: Tokenizer, text: str, room: int) -> Part:
    """Return the end of a text that has room, from the beginning of a line or word."""
    near = text[-12 * room :] if room > 0 else ""
    ids = _encode(tokenizer, near)
    if len(ids) <= room and len(near) == len(text):
        return Part("text", text, ids)
    kept = tokenizer.decode(ids[-room:] if room > 0 else []).lstrip("\ufffd")
    line = kept.find("\n") + 1
    if not 0 < line <= len(kept) // _BEGINNING:
        line = max(0, kept.find(" "))
    kept = kept[line:]
    return Part("text", kept, _encode(tokenizer, kept), True)


def _line_start(text: str, lines: int) -> int:
    """Return where the last `lines` lines of a text begin, besides the one being written."""
    place = len(text)
    for _ in range(lines + 1):
        place = text.rfind("\n", 0, max(0, place - 1)) + 1
        if place == 0:
            break
    return place


class TokensBody(BaseModel):
    """A text to encode."""

    model: str = ""
    text: Annotated[str, Field(max_length=10_000)]


@router.post("/tokens")
def encode(request: Request, body: TokensBody) -> dict[str, Any]:
    _, writer = server_of(request).find(body.model)
    return {"ids": _encode(writer.tokenizer, body.text)}


class CopiedBody(BaseModel):
    """A text to look up in what a model was trained on."""

    model: str = ""
    text: Text
    min_tokens: Annotated[int, Field(ge=4, le=1000)] = 12


@router.post("/copied")
def find_copied(request: Request, body: CopiedBody) -> dict[str, Any]:
    """Return the spans of a text that stand in the training text of a run's model.

    The places are characters of the text. Raises RunError when the training text is gone.
    """
    _, writer = server_of(request).find(body.model)
    text = _training_text(writer.path)
    found = find_copies(text, [Passage("", body.text)], body.min_tokens).samples[0]
    return {"spans": [vars(span) for span in found.spans], "share": found.share}


@lru_cache(maxsize=2)
def _training_text(path: Path) -> TrainingText:
    run = run_of(path)
    if run is None:
        raise RunError(
            f"{path.name} is not a run of this machine, so its training text is unknown.",
            fix="Copies are found for models that were trained here.",
        )
    return open_training_text(run.folder)


class Kept(BaseModel):
    """A passage to keep for training, and who wrote it."""

    text: Text
    prompt: Text = ""
    machine_written: bool = True
    document: Annotated[str, Field(max_length=40)] = ""
    model: str = ""


@router.post("/kept")
def keep(request: Request, body: Kept) -> dict[str, Any]:
    """Append a passage to kept.jsonl beside the documents."""
    record = body.model_dump()
    path, passages = server_of(request).documents.keep(record)
    return {"file": str(path), "passages": passages}


class Presets(BaseModel):
    """All named presets of sampling options."""

    presets: Annotated[dict[str, dict[str, Any]], Field(max_length=200)]


@router.get("/presets")
def list_presets(request: Request) -> dict[str, Any]:
    return {"presets": server_of(request).documents.presets()}


@router.post("/presets")
def keep_presets(request: Request, body: Presets) -> dict[str, Any]:
    server_of(request).documents.keep_presets(body.presets)
    return {"presets": body.presets}
