"""A text that a person and a model write in turns: its versions, kept as they come."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penwright.config import WriteConfig
from penwright.errors import UsageError
from penwright.files import read_json
from penwright.serve.documents import Change, Document, Documents
from penwright.verbs import provenance

if TYPE_CHECKING:
    from penwright.verbs.generate import Writer

Node = dict[str, Any]


class Session:
    """A document of the folder of documents, which the page opens too, and the place in it.

    Every change is appended and synced before it is shown. A text that the model writes is a
    chain of nodes, so that a kill loses at most the last moment; the nodes after the first have
    `part`, and undo, redo and alternatives take the chain as one.
    """

    def __init__(self, documents: Documents, title: str) -> None:
        self._documents = documents
        known = [one["id"] for one in documents.summaries() if one["title"] == title]
        self.is_new = not known
        self._id = known[0] if known else documents.create(title).id
        self._redo: dict[str | None, str] = {}

    @property
    def document(self) -> Document:
        """The document as it is kept."""
        return self._documents.open(self._id)

    @property
    def text(self) -> str:
        """The text at this place."""
        document = self.document
        return document.text_of(document.head)

    @property
    def before(self) -> str:
        """The text before the newest change."""
        head = self.document.head
        return self.document.text_of(self._parent(self._first(head))) if head else ""

    def append(self, text: str, author: str, **more: Any) -> None:
        """Add `text` to the end, as a node of its own."""
        end = _units(self.text)
        self._add([[end, end, text]], author, **more)

    def replace(self, text: str) -> None:
        """Replace the whole text by an edited one; keep what has changed."""
        before = self.text
        if text != before:
            self._add(_changes(before, text), "human")

    def _add(self, changes: list[Change], author: str, **more: Any) -> None:
        head = self.document.head
        node = {"parent": head, "changes": changes, "author": author, **more}
        self._documents.append(self._id, [node], head)

    def undo(self) -> bool:
        """Go back to the text before the newest change; returns whether there is one."""
        head = self.document.head
        if head is None:
            return False
        first = self._first(head)
        self._move(self._parent(first))
        self._redo[self._parent(first)] = first
        return True

    def redo(self) -> bool:
        """Take back an undo, or go on to the newest change; returns whether there is one."""
        head = self.document.head
        following = self._redo.get(head) or next(reversed(self._children(head)), None)
        if following is None:
            return False
        self._move(self._last(following))
        return True

    def turn(self, step: int) -> tuple[int, int]:
        """Go to the next alternative of the newest change, or with -1 to the one before.

        Returns its number, from 1 on, and how many there are; 0 and 0 without any change.
        """
        head = self.document.head
        if head is None:
            return 0, 0
        first = self._first(head)
        alternatives = self._children(self._parent(first))
        place = (alternatives.index(first) + step) % len(alternatives)
        if step:
            self._move(self._last(alternatives[place]))
        return place + 1, len(alternatives)

    def stream(self, writer: Writer, config: WriteConfig) -> Iterator[str]:
        """Let the model go on with the text; yields the pieces, whose text is not kept yet."""
        number = sum(
            node["author"] == "model" and not node.get("part")
            for node in self.document.nodes.values()
        )
        sampling = replace(config.sampling, seed=config.sampling.seed + number)
        return writer.stream_with(
            self._as_prompt(writer, config), replace(config, sampling=sampling, raw=True)
        )

    def _as_prompt(self, writer: Writer, config: WriteConfig) -> str:
        """Return the text as the model reads it: what stands first, in the form of its data."""
        path: list[Node] = []
        node = self.document.head
        while node is not None:
            path.append(self.document.nodes[node])
            node = path[-1]["parent"]
        begin = self.document.text_of(path[-1]["id"]) if path else ""
        if path and path[-1]["author"] == "model":
            begin = ""
        text = self.text
        if not text.startswith(begin):
            return text
        return writer.begin(begin, config) + text[len(begin) :]

    def save(self, path: Path, label: dict[str, Any]) -> None:
        """Write the text as Markdown, with its label; an older version of it is replaced.

        Raises UsageError when there is a file of another origin.
        """
        beside = provenance.sidecar(path)
        if path.exists():
            ours = beside.exists() and read_json(beside, UsageError).get("document") == self._id
            if not ours:
                raise UsageError(f"{path} exists already.", fix="Give another --document.")
        content = f"# {self.document.title}\n\n{self.text.strip()}\n"
        provenance.write_labelled(path, content, {**label, "document": self._id})

    def _move(self, node: str | None) -> None:
        self._documents.move(self._id, node)

    def _parent(self, node: str) -> str | None:
        parent: str | None = self.document.nodes[node]["parent"]
        return parent

    def _first(self, node: str) -> str:
        while self.document.nodes[node].get("part"):
            node = self.document.nodes[node]["parent"]
        return node

    def _last(self, node: str) -> str:
        while True:
            parts = [
                one["id"]
                for one in self.document.nodes.values()
                if one["parent"] == node and one.get("part")
            ]
            if not parts:
                return node
            node = parts[-1]

    def _children(self, node: str | None) -> list[str]:
        return [
            one["id"]
            for one in self.document.nodes.values()
            if one["parent"] == node and not one.get("part")
        ]


def _units(text: str) -> int:
    """Return the length of a text in UTF-16 units, as documents count places."""
    return len(text.encode("utf-16-le")) // 2


def _changes(before: str, after: str) -> list[Change]:
    """Return the changes by line between two texts."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    places = [0]
    for line in old:
        places.append(places[-1] + _units(line))
    found = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [
        [places[a], places[b], "".join(new[c:d])] for kind, a, b, c, d in found if kind != "equal"
    ]
