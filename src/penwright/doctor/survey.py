"""One pass over the documents: what is counted of each, in a few bytes a document."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penwright.doctor.faults import Faults
from penwright.document import Document

_UNUSUAL = re.compile(r"[^\x00-\x7f]")

Int64 = npt.NDArray[np.int64]


@dataclass
class Survey:
    """Figures of each document, in the order of reading."""

    paths: list[str] = field(default_factory=list)
    """The files, in the order in which they were met."""
    faults: Faults = field(default_factory=Faults)
    unusual: Counter[str] = field(default_factory=Counter)
    """How often each character beyond ASCII is there."""
    torn: list[int] = field(default_factory=list)
    """Numbers of documents that begin in the line, and right after the letter, where one ended."""
    _path: array[int] = field(default_factory=lambda: array("l"))
    _line: array[int] = field(default_factory=lambda: array("q"))
    _digest: array[int] = field(default_factory=lambda: array("q"))
    _characters: array[int] = field(default_factory=lambda: array("q"))
    _words: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self._line)

    @property
    def digests(self) -> Int64:
        """Half of a 128-bit hash of each text: equal texts are duplicates."""
        return np.array(self._digest, dtype=np.int64)

    @property
    def characters(self) -> Int64:
        """Characters of each document."""
        return np.array(self._characters, dtype=np.int64)

    @property
    def words(self) -> Int64:
        """Words, set apart by white space, of each document."""
        return np.array(self._words, dtype=np.int64)

    def place(self, number: int) -> str:
        """Where document `number` (from 0) stands: file and line."""
        line = self._line[number]
        path = self.paths[self._path[number]]
        return f"{path}:{line}" if line else path

    def add(self, path: str, line: int | None, digest: bytes, characters: int, words: int) -> None:
        """Note one document."""
        if not self.paths or self.paths[-1] != path:
            self.paths.append(path)
        self._path.append(len(self.paths) - 1)
        self._line.append(line or 0)
        self._digest.append(int.from_bytes(digest[:8], "little", signed=True))
        self._characters.append(characters)
        self._words.append(words)


def survey(documents: Iterable[Document]) -> Survey:
    """Count every document; the pieces of a long one together."""
    found = Survey()
    digest, characters, words = hashlib.md5(usedforsecurity=False), 0, 0
    first: Document | None = None
    before = _End("", 0, "")
    for document in documents:
        text = document.text
        if first is None and before.goes_on_in(document):
            found.torn.append(len(found))
        found.faults.look(document, new=first is None)
        if not text.isascii():
            found.unusual.update(_UNUSUAL.findall(text))
        first = first or document
        digest.update(text.encode("utf-8", "surrogatepass"))
        characters += len(text)
        words += len(text.split())
        if not document.more:
            source = first.source
            found.add(source.path, source.line, digest.digest(), characters, words)
            digest, characters, words = hashlib.md5(usedforsecurity=False), 0, 0
            first = None
        line = (document.source.line or 0) + text.count("\n")
        before = _End(document.source.path, line, text[-1:])
    return found


class _End(NamedTuple):
    """Where a document ended."""

    path: str
    line: int
    character: str

    def goes_on_in(self, document: Document) -> bool:
        """Whether a document begins in the same line with what looks like the rest of a word.

        A capital begins a text of its own, such as a title that ends without a full stop.
        """
        source = document.source
        same = source.line is not None and (source.path, source.line) == self[:2]
        return same and self.character.isalnum() and document.text[:1].islower()


def count_duplicates(digests: Int64) -> tuple[int, list[tuple[int, int]]]:
    """How many documents repeat an earlier one, and pairs (first, repeated) in order."""
    if len(digests) == 0:
        return 0, []
    order = np.argsort(digests, kind="stable")
    same = digests[order][1:] == digests[order][:-1]
    begins = np.flatnonzero(np.concatenate([[True], ~same]))
    group = np.cumsum(np.concatenate([[True], ~same])) - 1
    firsts = order[begins][group]
    repeated = order[1:][same]
    pairs = sorted(zip(firsts[1:][same].tolist(), repeated.tolist(), strict=True), key=_second)
    return len(pairs), pairs


def _second(pair: tuple[int, int]) -> int:
    return pair[1]
