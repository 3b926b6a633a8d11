"""Routes of the documents; all of them need the server's token."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import Base64Bytes, BaseModel, Field
from starlette.responses import Response

from penwright import formats
from penwright.config import DataConfig
from penwright.errors import DataError
from penwright.formats.decode import find_encoding, guess_encoding, read_blocks
from penwright.formats.streams import refuse_suffix
from penwright.serve.documents import Document, Documents
from penwright.serve.server import server_of

router = APIRouter(prefix="/penwright/documents")

BOOKS = (".docx", ".epub", ".odt", ".rtf")
"""Files that are more than text; any other file is read as text."""

Title = Annotated[str, Field(max_length=400)]


class New(BaseModel):
    """A document to make: empty, or of a text."""

    title: Title = "Untitled"
    text: str = ""


class Append(BaseModel):
    """Nodes to append, and the head that the client believes the document to have."""

    nodes: Annotated[list[dict[str, Any]], Field(max_length=10_000)]
    expected: str | None = None


class Move(BaseModel):
    """The node to show; null is the empty text."""

    head: str | None


class Settings(BaseModel):
    """The title and whatever else the page keeps with a document."""

    values: dict[str, Any]


class Import(BaseModel):
    """A file's content: a text, the records of a JSON export, or a file in base64 and its name."""

    title: Title = "Untitled"
    text: str | None = None
    records: list[dict[str, Any]] | None = None
    name: Title = ""
    data: Base64Bytes | None = None


@router.get("")
def list_documents(request: Request) -> Response:
    return JSONResponse(_documents(request).summaries())


@router.post("")
def create(request: Request, new: New) -> Response:
    return _show(_documents(request).create(new.title, new.text))


@router.post("/import")
def import_document(request: Request, given: Import) -> Response:
    if given.records is not None:
        return _show(_documents(request).restore(given.records))
    notes: list[str] = []
    text = given.text or ""
    if given.data is not None:
        text = _read_file(given.name, given.data, notes)
    made = _documents(request).create(given.title, text)
    return JSONResponse(_describe(made) | {"notes": notes})


def _read_file(name: str, data: bytes, notes: list[str]) -> str:
    """Return the text of a file: of a docx or an epub as `finetune` reads it, of others all of it.

    `notes` gets a sentence on what was guessed. Raises DataError for what is no text.
    """
    suffix = Path(name).suffix.lower()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"text{suffix}"
        path.write_bytes(data)
        try:
            if suffix in BOOKS:
                found = list(formats.read([path], DataConfig(), notes.append))
                text = "\n\n".join(document.text.strip("\n") for document in found)
                notes.append(f"Only the text of {path} was taken, no formatting and no images.")
            else:
                refuse_suffix(str(path), suffix)
                find_encoding(str(path), None)
                text = _decode(str(path), notes)
        except DataError as error:
            raise DataError(error.message.replace(str(path), name), fix=error.fix) from None
    notes[:] = [note.replace(str(path), name) for note in notes]
    return text


def _decode(path: str, notes: list[str]) -> str:
    try:
        return "".join(read_blocks(path, None, notes.append))
    except DataError:
        encoding = guess_encoding(path)
        text = "".join(read_blocks(path, encoding, notes.append))
        notes.append(
            f"{path} is not UTF-8, so it was read as {encoding}. "
            "Where letters look wrong, save it as UTF-8 and import it again."
        )
        return text


@router.get("/{id_}")
def open_document(request: Request, id_: str, tokens: bool = False) -> Response:
    """Return a document with all its nodes; their tokens only where they are asked for."""
    document = _documents(request).open(id_)
    nodes = list(document.nodes.values())
    if not tokens:
        nodes = [{key: node[key] for key in node if key != "tokens"} for node in nodes]
    return JSONResponse(_describe(document) | {"nodes": nodes})


@router.get("/{id_}/nodes/{node}")
def open_node(request: Request, id_: str, node: str) -> Response:
    """Return a node with its tokens and its text."""
    document = _documents(request).open(id_)
    text = document.text_of(node)
    return JSONResponse(document.nodes.get(node, {"id": node}) | {"text": text})


@router.post("/{id_}/append")
def append(request: Request, id_: str, given: Append) -> Response:
    document, moved = _documents(request).append(id_, given.nodes, given.expected)
    return JSONResponse({"head": document.head, "moved": moved})


@router.post("/{id_}/move")
def move(request: Request, id_: str, given: Move) -> Response:
    return _show(_documents(request).move(id_, given.head))


@router.post("/{id_}/settings")
def keep_settings(request: Request, id_: str, given: Settings) -> Response:
    return JSONResponse({"settings": _documents(request).set(id_, given.values).settings})


@router.post("/{id_}/remove")
def remove(request: Request, id_: str) -> Response:
    _documents(request).remove(id_)
    return JSONResponse({"removed": id_})


@router.get("/{id_}/export")
def export(request: Request, id_: str, format: Literal["txt", "md", "json"] = "txt") -> Response:
    """Return the text that is shown, or with `json` the whole tree."""
    documents = _documents(request)
    if format == "json":
        return JSONResponse({"records": documents.export(id_), "machine_written": True})
    document = documents.open(id_)
    kind = "text/markdown" if format == "md" else "text/plain"
    return PlainTextResponse(document.text_of(document.head), media_type=kind)


def _documents(request: Request) -> Documents:
    return server_of(request).documents


def _show(document: Document) -> JSONResponse:
    return JSONResponse(_describe(document))


def _describe(document: Document) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": document.id,
        "title": document.title,
        "head": document.head,
        "settings": document.settings,
        "text": document.text_of(document.head),
    }
    if document.damaged:
        shown["damaged"] = document.damaged
    return shown
