"""Documents that are written on the page: trees of changes, each kept as an append-only log.

A document is a file ID.jsonl. A line of it is one record:

    {"node": {"id", "parent", "changes", "author", "time", ...}}   a node of the tree
    {"head": ID}                                                   the node whose text is shown
    {"set": {"title": ...}}                                        the title, memory, notes, ...
    {"snapshot": ID, "text": TEXT}                                 the text of a node

The text of a node is that of its parent after `changes`, a list of [from, to, text]: places in the
parent's text in ascending order, counted in UTF-16 units as browsers count. The root is null, the
empty text. `author` is "human" or "model"; a model's node may hold its tokens with
log-probabilities, seed, settings and run. Nothing is ever rewritten: undo moves the head, retry
adds a sibling.

Each append is one write, synced before it is answered. A line that a crash cut off is passed over,
and counted in `damaged`. A node is known by its id: sent again, it is not appended again.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penwright.errors import DataError
from penwright.files import disk_errors, read_json, write_json
from penwright.runs import now

Change = Sequence[Any]
"""[from, to, text]."""
Node = dict[str, Any]

SNAPSHOT_EVERY = 256
"""Nodes between two snapshots."""
AUTHORS = ("human", "model")
UNTITLED = "Untitled"
_ID = re.compile(r"[0-9a-f]{16}")
_NODE_ID = re.compile(r"[0-9a-zA-Z_-]{6,40}")


class UnknownDocumentError(DataError):
    """There is no document or node of this id."""


@dataclass
class Document:
    """A document in memory."""

    id: str
    head: str | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    damaged: int = 0
    """Lines of the log that could not be read."""
    size: int = 0
    """Bytes of the log that have been read."""
    ends_whole: bool = True
    """Whether the log ends with a line break."""
    texts: dict[str | None, str] = field(default_factory=lambda: {None: ""})
    """The texts of snapshots."""
    recent: tuple[str | None, str] = (None, "")
    """The node whose text was asked for last, and its text."""
    since_snapshot: int = 0

    @property
    def title(self) -> str:
        return str(self.settings.get("title") or UNTITLED)

    @property
    def name(self) -> str:
        """The title; of a document without one, the first words of its text."""
        if self.title != UNTITLED:
            return self.title
        words = " ".join(self.text_of(self.head)[:60].split())
        return (words if len(words) < 49 else f"{words[:48].rsplit(' ', 1)[0]}…") or UNTITLED

    def text_of(self, node: str | None) -> str:
        """Return the text of a node. Raises UnknownDocumentError when there is no such node."""
        wanted, path = node, list[Node]()
        while node not in self.texts and node != self.recent[0]:
            if node is None or node not in self.nodes:
                raise UnknownDocumentError(f"The document {self.id} has no node '{node}'.")
            path.append(self.nodes[node])
            node = path[-1]["parent"]
        text = self.recent[1] if node == self.recent[0] else self.texts[node]
        for step in reversed(path):
            text = apply_changes(text, step["changes"])
        self.recent = wanted, text
        return text

    def read(self, record: Mapping[str, Any]) -> None:
        """Take in one record of the log."""
        if "node" in record:
            node = record["node"]
            self.nodes[node["id"]] = node
            self.since_snapshot += 1
        if "head" in record:
            self.head = record["head"]
        if "set" in record:
            self.settings |= record["set"]
        if "snapshot" in record:
            self.texts[record["snapshot"]] = record["text"]
            self.since_snapshot = 0


def apply_changes(text: str, changes: Iterable[Change]) -> str:
    """Return `text` after `changes`. Raises DataError for changes that do not fit."""
    data = text.encode("utf-16-le")
    parts: list[bytes] = []
    place = 0
    for start, end, new in changes:
        if not place <= 2 * start <= 2 * end <= len(data):
            raise DataError(f"A change from {start} to {end} does not fit the text.")
        parts += [data[place : 2 * start], new.encode("utf-16-le", "surrogatepass")]
        place = 2 * end
    try:
        return b"".join([*parts, data[place:]]).decode("utf-16-le")
    except UnicodeDecodeError:
        raise DataError("A change divides a character.") from None


class Documents:
    """The documents of a folder. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Document] = {}
        self._lock = threading.RLock()

    def summaries(self) -> list[dict[str, Any]]:
        """Return id, title and time of the last change of every document, the newest first."""
        with self._lock:
            paths = [p for p in self._folder.glob("*.jsonl") if _ID.fullmatch(p.stem)]
            found = sorted(((p.stat().st_mtime, p.stem) for p in paths), reverse=True)
            return [
                {"id": id_, "title": self.open(id_).name, "modified": modified}
                for modified, id_ in found
            ]

    def create(self, title: str, text: str = "") -> Document:
        """Make a document; a text becomes its first node."""
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            document = Document(secrets.token_hex(8))
            self._open[document.id] = document
            records: list[dict[str, Any]] = [{"set": {"title": title}}]
            if text:
                node = check_node({"parent": None, "changes": [[0, 0, text]], "author": "human"})
                records.append({"node": node, "head": node["id"]})
            self._write(document, records)
            return document

    def open(self, id_: str) -> Document:
        """Return a document, with what another process may have appended to it."""
        with self._lock:
            if not _ID.fullmatch(id_):
                raise UnknownDocumentError("There is no such document.")
            document = self._open.setdefault(id_, Document(id_))
            try:
                with self._path(document).open("rb") as file:
                    file.seek(document.size)
                    added = file.read()
            except FileNotFoundError:
                del self._open[id_]
                raise UnknownDocumentError("There is no such document.") from None
            _read_lines(document, added)
            return document

    def append(
        self, id_: str, nodes: Sequence[Mapping[str, Any]], expected: str | None
    ) -> tuple[Document, bool]:
        """Append a chain of nodes, and move the head to the last if the head is `expected`.

        Returns the document, and whether the head was moved: if another tab was faster, the nodes
        become siblings of its own. Raises DataError for a node that does not fit the tree.
        """
        with self._lock:
            document = self.open(id_)
            checked = [check_node(node) for node in nodes]
            new = [node for node in checked if node["id"] not in document.nodes]
            known = set(document.nodes) | {None}
            text = document.text_of(new[0]["parent"]) if new and new[0]["parent"] in known else ""
            for number, node in enumerate(new):
                if node["parent"] not in known:
                    raise DataError(f"There is no node '{node['parent']}' to continue.")
                if number and node["parent"] != new[number - 1]["id"]:
                    text = document.text_of(node["parent"])
                text = apply_changes(text, node["changes"])
                known.add(node["id"])
            moved = document.head == expected
            records: list[dict[str, Any]] = [{"node": node} for node in new]
            last = checked[-1]["id"] if checked else document.head
            if moved and last != document.head:
                records.append({"head": last})
            if new and document.since_snapshot + len(new) >= SNAPSHOT_EVERY:
                records.append({"snapshot": new[-1]["id"], "text": text})
            self._write(document, records)
            return document, moved

    def move(self, id_: str, head: str | None) -> Document:
        """Show another node, as undo, redo and a walk through the branches do."""
        with self._lock:
            document = self.open(id_)
            document.text_of(head)
            if head != document.head:
                self._write(document, [{"head": head}])
            return document

    def set(self, id_: str, values: Mapping[str, Any]) -> Document:
        """Keep the title, memory, notes and other settings of a document."""
        with self._lock:
            document = self.open(id_)
            self._write(document, [{"set": dict(values)}])
            return document

    def remove(self, id_: str) -> None:
        """Put a document aside: its file is renamed, and no longer listed."""
        with self._lock:
            path = self._path(self.open(id_))
            path.rename(path.with_suffix(".removed"))
            del self._open[id_]

    def export(self, id_: str) -> list[dict[str, Any]]:
        """Return all records of a document, as `restore` takes them."""
        with self._lock:
            document = self.open(id_)
            nodes = [{"node": node} for node in document.nodes.values()]
            return [{"set": document.settings}, *nodes, {"head": document.head}]

    def restore(self, records: Sequence[Mapping[str, Any]]) -> Document:
        """Make a document of exported records. Raises DataError for those that do not fit."""
        with self._lock:
            draft = Document("")
            checked = [_check_record(record) for record in records]
            for record in checked:
                draft.read(record)
            for node in draft.nodes:
                draft.texts[node] = draft.text_of(node)
            draft.text_of(draft.head)
            document = self.create(draft.title)
            self._write(document, checked)
            return document

    def keep(self, record: Mapping[str, Any]) -> tuple[Path, int]:
        """Append a passage to the file of kept ones; returns its path and number of lines."""
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / "kept.jsonl"
            with disk_errors(path), path.open("ab+") as file:
                file.write(json.dumps(dict(record), ensure_ascii=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            with path.open("rb") as file:
                return path, sum(1 for _ in file)

    def presets(self) -> dict[str, Any]:
        """Return the named presets of sampling options."""
        path = self._folder / "presets.json"
        return read_json(path) if path.is_file() else {}

    def keep_presets(self, presets: Mapping[str, Any]) -> None:
        """Write all named presets."""
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_json(self._folder / "presets.json", presets)

    def _write(self, document: Document, records: Sequence[dict[str, Any]]) -> None:
        if not records:
            return
        lines = [json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n" for r in records]
        data = "".join(lines).encode()
        if not document.ends_whole:
            data = b"\n" + data
        path = self._path(document)
        with disk_errors(path), path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.open(document.id)

    def _path(self, document: Document) -> Path:
        return self._folder / f"{document.id}.jsonl"


def _read_lines(document: Document, added: bytes) -> None:
    """Take in new bytes of a log; an unfinished last line is looked at again when there is more."""
    whole = added[: added.rfind(b"\n") + 1]
    for line in whole.splitlines():
        if not line.strip():
            continue
        try:
            document.read(_check_record(json.loads(line)))
        except (ValueError, DataError, RecursionError):
            document.damaged += 1
    document.size += len(whole)
    document.ends_whole = len(whole) == len(added)
    if document.head is not None and document.head not in document.nodes:
        document.head = next(reversed(document.nodes), None)


def _check_record(record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise DataError("A record is not an object.")
    checked = dict(record)
    if "node" in record:
        checked["node"] = check_node(record["node"])
    settings, text = record.get("set", {}), record.get("text", "")
    if not isinstance(settings, dict) or not isinstance(text, str):
        raise DataError("A record has values of a wrong type.")
    return checked


def check_node(node: Any) -> Node:
    """Return a node with an id and a time. Raises DataError for an invalid one."""
    if not isinstance(node, Mapping):
        raise DataError("A node is not an object.")
    id_, parent = node.get("id") or secrets.token_hex(8), node.get("parent")
    for name in (id_, parent):
        if name is not None and not (isinstance(name, str) and _NODE_ID.fullmatch(name)):
            raise DataError("The id of a node is 6 to 40 letters and digits.")
    if node.get("author") not in AUTHORS:
        raise DataError("The author of a node is human or model.")
    changes = node.get("changes")
    if not isinstance(changes, list) or not all(map(_is_change, changes)):
        raise DataError("The changes of a node are a list of [from, to, text].")
    return {**node, "id": id_, "parent": parent, "time": node.get("time") or now()}


def _is_change(change: Any) -> bool:
    if not isinstance(change, (list, tuple)) or len(change) != 3:
        return False
    start, end, text = change
    return type(start) is int and type(end) is int and isinstance(text, str)
