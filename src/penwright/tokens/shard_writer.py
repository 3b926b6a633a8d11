"""Write a store shard by shard, and find out how far an interrupted one came."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from penwright.errors import DataError
from penwright.tokens.blocks import Block, join_digests
from penwright.tokens.store import (
    HEADER,
    SIZES,
    Array,
    Int64,
    map_tensors,
    shard_dtypes,
    shard_name,
    sum_file,
    token_dtype,
    write_file,
    write_tensors,
)

PLAN = "plan.json"
MARKS = "marks.json"


class Mark(NamedTuple):
    """A place in the input where a Document, or a chunk of one, ended, and the counts before it."""

    chunks: int = 0
    tokens: int = 0
    learned: int = 0
    """Learned tokens so far of the document that goes on there."""
    bytes: int = 0
    """Bytes of text of those tokens."""
    length: int = 0
    """All tokens so far of that document."""
    digest: int = 0
    """Digest of those tokens."""


class StoreWriter:
    """Collects blocks into shards under a folder that is not a store until `finish`.

    `plan` says what is being made. Shards that are in the folder already and were made by the
    same plan count as written. The caller goes on at `mark`, which is somewhat before their end;
    tokens that they hold already are passed over.
    """

    def __init__(
        self, folder: Path, plan: Mapping[str, Any], sizes: Int64, *, resume: bool
    ) -> None:
        self.folder = folder
        self._plan = dict(plan)
        self._room: int = plan["shard_tokens"]
        self._dtype = np.uint16 if token_dtype(len(sizes)) == "U16" else np.uint32
        self._sizes = sizes
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(".*.tmp"):  # by a process that was killed
            left.unlink()
        self.entries: list[dict[str, Any]] = []
        self.n_tokens = self.n_documents = self.n_learned = self.n_bytes = 0
        self._marks: list[Mark] = []
        if resume and self._same_plan():
            self._count_written(len(sizes))
            self._read_marks()
        else:
            self._start_anew()
        self.mark = self._marks[-1] if self._marks else Mark()
        """The end of the input that need not be given again."""
        self._came_to = self.mark
        self._to_pass = self.n_tokens - self.mark.tokens
        self._empty_shard()

    def add(self, block: Block, groups_D: Int64, chunks: int, *, whole: bool) -> Int64:
        """Take a block; returns how many tokens each document that ends in it has learned.

        `groups_D` are the groups of those documents. `chunks` of the input end in it, and the
        last of them with it when it is `whole`.
        """
        learned_D, bytes_D, digests_D = self._close(block, chunks)
        position = min(self._to_pass, len(block.tokens_N))
        self._to_pass -= position
        ended = int(np.searchsorted(block.ends_D, position, side="right"))
        while True:
            after = min(position + self._room - self._filled, len(block.tokens_N))
            place = slice(self._filled, self._filled + after - position)
            self._tokens[place] = block.tokens_N[position:after]
            self._learn[place] = block.learn_N[position:after]
            now = int(np.searchsorted(block.ends_D, after, side="right"))
            self._ends.append(block.ends_D[ended:now] + (self.n_tokens + self._filled - position))
            self._learned.append(learned_D[ended:now])
            self._bytes.append(bytes_D[ended:now])
            self._groups.append(groups_D[ended:now])
            self._digests.append(digests_D[ended:now])
            self._filled += after - position
            position, ended = after, now
            if self._filled < self._room:
                break
            self._write_shard()
        if whole:
            self.mark = self._came_to
        return learned_D

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self.entries and not self._filled

    def finish(self, header: Mapping[str, Any]) -> None:
        """Write what is left, then the header, which makes the folder a store."""
        if self._filled or not self.entries:
            self._write_shard()
        sizes = write_tensors(self.folder / SIZES, {"sizes": self._sizes})
        content = {
            **header,
            "documents": self.n_documents,
            "tokens": self.n_tokens,
            "learned": self.n_learned,
            "bytes": self.n_bytes,
            "shard_tokens": self._room,
            "sizes": sizes,
            "shards": self.entries,
        }
        write_file(self.folder / HEADER, [_json(content)])
        for name in (PLAN, MARKS):
            (self.folder / name).unlink()

    def discard(self) -> None:
        """Delete everything that was written."""
        self._delete_own()
        self.folder.rmdir()

    def _close(self, block: Block, chunks: int) -> tuple[Int64, Int64, Int64]:
        """Return the learned tokens, bytes and digest of each document that ends in `block`."""
        before = self._came_to
        learned, size = block.learned.copy(), block.bytes.copy()
        learned[0] += before.learned
        size[0] += before.bytes
        digests = block.digests.copy()
        digests[0] = join_digests(before.digest, before.length, int(digests[0]))
        goes_on = before.length if not len(block.ends_D) else -int(block.ends_D[-1])
        self._came_to = Mark(
            before.chunks + chunks,
            before.tokens + len(block.tokens_N),
            int(learned[-1]),
            int(size[-1]),
            goes_on + len(block.tokens_N),
            int(digests[-1]),
        )
        return learned[:-1], size[:-1], digests[:-1].view(np.int64)

    def _write_shard(self) -> None:
        per_document = (self._ends, self._learned, self._bytes, self._groups, self._digests)
        ends, learned, size, groups, digests = map(_join, per_document)
        tensors: dict[str, Array] = {
            "ends": ends,
            "learned": learned,
            "bytes": size,
            "groups": groups,
            "digests": digests,
            "tokens": self._tokens[: self._filled],
            "learn": np.packbits(self._learn[: self._filled], bitorder="little"),
        }
        entry = write_tensors(self.folder / shard_name(len(self.entries)), tensors)
        self._count(entry, self._filled, tensors)
        self._marks.append(self.mark)
        write_file(self.folder / MARKS, [json.dumps(self._marks).encode()])
        self._empty_shard()

    def _empty_shard(self) -> None:
        self._tokens = np.empty(self._room, self._dtype)
        self._learn = np.empty(self._room, np.bool_)
        self._filled = 0
        self._ends: list[Int64] = []
        self._learned: list[Int64] = []
        self._bytes: list[Int64] = []
        self._groups: list[Int64] = []
        self._digests: list[Int64] = []

    def _count(self, entry: Mapping[str, Any], tokens: int, tensors: Mapping[str, Array]) -> None:
        self.entries.append({**entry, "tokens": tokens, "documents": len(tensors["ends"])})
        self.n_tokens += tokens
        self.n_documents += len(tensors["ends"])
        self.n_learned += int(tensors["learned"].sum())
        self.n_bytes += int(tensors["bytes"].sum())

    def _same_plan(self) -> bool:
        path = self.folder / PLAN
        return path.is_file() and path.read_bytes() == _json(self._plan)

    def _count_written(self, vocab_size: int) -> None:
        """Take over the shards from the first on, as long as they are whole and full."""
        while True:
            path = self.folder / shard_name(len(self.entries))
            if not path.is_file():
                return
            try:
                tensors = map_tensors(path, shard_dtypes(vocab_size))
            except DataError:
                return
            if len(tensors["tokens"]) != self._room:
                return
            self._count({"file": path.name, **sum_file(path)}, self._room, tensors)

    def _read_marks(self) -> None:
        """Read the marks of the shards that are there; fewer when they were not all noted."""
        path = self.folder / MARKS
        if path.is_file():
            marks = [Mark(*mark) for mark in json.loads(path.read_bytes())]
            self._marks = marks[: len(self.entries)]
        missing = len(self.entries) - len(self._marks)
        self._marks += self._marks[-1:] * missing or [Mark()] * missing

    def _start_anew(self) -> None:
        self._delete_own()
        write_file(self.folder / PLAN, [_json(self._plan)])

    def _delete_own(self) -> None:
        for path in self.folder.iterdir():
            if path.name.startswith((PLAN, MARKS, SIZES, HEADER, "shard-")):
                path.unlink()


def _join(parts: list[Int64]) -> Int64:
    return np.concatenate([np.empty(0, np.int64), *parts])


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
