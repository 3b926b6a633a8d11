"""Documents -> a token store, in bounded memory; an interrupted preparation can be continued."""

from __future__ import annotations

import ctypes
import importlib
import itertools
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from penwright.config import WorkConfig
from penwright.document import Document
from penwright.errors import DataError, UsageError
from penwright.files import lock_file
from penwright.tokens.blocks import Batch, Block, Text, encode_block, group
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.shard_writer import StoreWriter
from penwright.tokens.store import FORMAT, HEADER, VERSION, Int64, Store
from penwright.tokens.vocabulary import Traits, Vocabulary
from penwright.workers import Work, spread

TARGET = "penwright.tokens.encode:make_work"
"""The work of processes that encode: texts as tuples in, blocks as bytes out."""
SHARD_TOKENS = 1 << 22
"""Tokens in a shard."""
_FEW_BATCHES = 64
"""Batches that are encoded before other processes are started, which takes them a moment."""
_PAUSE = 0.1  # seconds between two tries to take a lock
_RELEASE_EVERY = 32
"""Batches after which freed memory goes back to the system."""


def prepare(
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    folder: str | Path,
    *,
    meta: Mapping[str, object] | None = None,
    fingerprint: str = "",
    markers: Sequence[str] = (),
    work: WorkConfig = WorkConfig(),  # noqa: B008 - frozen
    shard_tokens: int = SHARD_TOKENS,
) -> Store:
    """Encode `documents` into a new store and open it.

    `meta` (anything JSON can write) is kept in the header. `fingerprint` names the data: a store
    in `folder` that has it is opened as it is, and a preparation with it that was interrupted
    continues where it stopped; without one it begins anew. `markers` that stand in the text
    become their one id. `work` says which processes encode; unless told otherwise, as many as
    there are cores once the data proves large. The store is the same, byte for byte, whatever
    their kind and number and however often it was interrupted.

    The store appears under its name only when it is whole; until then it is
    `<folder>.unfinished`. Raises DataError when `folder` is there already and is not this store,
    when a document has nothing to learn, or when there is no document; OutOfRoomError when the
    disk is full.
    """
    folder = Path(folder)
    markers = tuple(dict.fromkeys((*tokenizer.always, *markers)))
    lock = folder.with_name(folder.name + ".lock")
    with _locked(lock):
        if not folder.exists():
            header = _header(tokenizer, fingerprint, markers, meta or {})
            writer = StoreWriter(
                folder.with_name(folder.name + ".unfinished"),
                {**header, "shard_tokens": shard_tokens},
                tokenizer.token_sizes,
                resume=bool(fingerprint),
            )
            _write(writer, documents, tokenizer, markers, work)
            writer.finish(header)
            writer.folder.rename(folder)
            store = Store.open(folder, tokenizer.hash)
        else:
            store = _existing(folder, tokenizer, fingerprint)
        _remove_lock(lock)
    return store


def _header(
    tokenizer: Tokenizer, fingerprint: str, markers: Sequence[str], meta: Mapping[str, object]
) -> dict[str, Any]:
    identity = {"hash": tokenizer.hash, "vocab_size": tokenizer.vocab_size}
    return {
        "format": FORMAT,
        "version": VERSION,
        "tokenizer": {**identity, "eot_id": tokenizer.eot_id},
        "fingerprint": fingerprint,
        "markers": list(markers),
        "meta": dict(meta),
    }


def _write(
    writer: StoreWriter,
    documents: Iterable[Document],
    tokenizer: Tokenizer,
    markers: Sequence[str],
    work: WorkConfig,
) -> None:
    """Encode the documents that `writer` does not have yet, and hand them over.

    What was written stays when the work is interrupted, for the next time; it goes when the data
    is at fault, since other data would not continue it.
    """
    rest = iter(documents)
    begins = True
    for document in itertools.islice(rest, writer.mark.chunks):
        begins = not document.more
    batches = group(rest, tokenizer.word_ends, begins=begins)
    try:
        encoded = _encode(batches, tokenizer, markers, work)
        for number, (batch, block) in enumerate(encoded, start=1):
            learned = writer.add(block, batch.groups_D, batch.chunks, whole=batch.whole)
            _check_learned(learned, batch)
            if number % _RELEASE_EVERY == 0:
                _release()
        if writer.is_empty:
            raise DataError("There is no document to learn from.")
    except (DataError, UsageError):
        writer.discard()
        raise


def _encode(
    batches: Iterator[Batch], tokenizer: Tokenizer, markers: Sequence[str], work: WorkConfig
) -> Iterator[tuple[Batch, Block]]:
    """Yield the blocks of `batches`, in order; in this process alone while there are few."""
    waiting: deque[Batch] = deque()

    def texts() -> Iterator[list[Text]]:
        for batch in batches:
            waiting.append(batch)
            yield batch.texts

    parts = spread(
        TARGET,
        describe_work(tokenizer, markers),
        texts(),
        work,
        few=_FEW_BATCHES,
        here=encoder(tokenizer, markers),
    )
    while True:
        with _naming(waiting):
            part = next(parts, None)
        if part is None:
            return
        yield waiting.popleft(), unpack(part)


@contextmanager
def _naming(batches: Iterable[Batch]) -> Iterator[None]:
    """Name the document that holds half a surrogate pair."""
    try:
        yield
    except DataError as error:
        for document in itertools.chain.from_iterable(batch.owners for batch in batches):
            try:
                document.text.encode()
            except UnicodeEncodeError:
                raise DataError(
                    f"{document.source}: there is half of a surrogate pair in this document,"
                    " which is not Unicode text.",
                    fix=error.fix,
                ) from None
        raise


def _existing(folder: Path, tokenizer: Tokenizer, fingerprint: str) -> Store:
    """Open the store in `folder` if it has this fingerprint; None otherwise."""
    if (folder / HEADER).is_file() and fingerprint:
        store = Store.open(folder)
        same = store.header["tokenizer"]["hash"] == tokenizer.hash
        if same and store.header.get("fingerprint") == fingerprint:
            return store
    raise DataError(
        f"'{folder}' is there already.", fix="Choose another folder for the store, or delete it."
    )


def _check_learned(learned: Int64, batch: Batch) -> None:
    """Refuse a document in which only the closing end-of-text token is learned."""
    if (learned > 1).all():
        return
    ending = [owner for owner, (_, _, ends) in zip(*batch[:2], strict=True) if ends]
    source = ending[int(np.argmin(learned > 1))].source
    raise DataError(
        f"{source}: there is nothing to learn in this document.",
        fix="Remove it, or mark a part of it as learned.",
    )


def describe_work(tokenizer: Tokenizer, markers: Sequence[str]) -> tuple[Any, ...]:
    """Return what `make_work` needs to know, in values that marshal can write."""
    kind, words = type(tokenizer), tokenizer.vocabulary
    content = {name: getattr(words, name) for name in (f.name for f in fields(words))}
    content |= {name: dict(content[name]) for name in ("ids", "markers")}
    content["traits"] = {text: tuple(traits) for text, traits in words.traits.items()}
    return kind.__module__, kind.__name__, content, tuple(markers)


def make_work(setup: tuple[Any, ...]) -> Work:
    """Return the work of another process: texts to the fields of their block."""
    return encoder(rebuild_tokenizer(setup), setup[-1])


def rebuild_tokenizer(setup: tuple[Any, ...]) -> Tokenizer:
    """Return the tokenizer that `describe_work` described."""
    module, name, content, _ = setup
    traits = {text: Traits(*values) for text, values in content["traits"].items()}
    vocabulary = Vocabulary(**{**content, "traits": traits})
    tokenizer: Tokenizer = getattr(importlib.import_module(module), name)(vocabulary)
    return tokenizer


def encoder(tokenizer: Tokenizer, markers: Sequence[str]) -> Work:
    """Return the same work with a loaded tokenizer."""

    def work(texts: Sequence[Text]) -> tuple[Any, ...]:
        block = encode_block(tokenizer, texts, markers)
        bits = np.packbits(block.learn_N, bitorder="little")
        arrays = (block.tokens_N, bits, *block[2:])
        return block.tokens_N.dtype.str, *(array.tobytes() for array in arrays)

    return work


def unpack(parts: tuple[Any, ...]) -> Block:
    """Return the block that the work gave."""
    kind, tokens, learn, ends, learned, size, digests = parts
    tokens_N = np.frombuffer(tokens, kind)
    bits = np.unpackbits(np.frombuffer(learn, np.uint8), count=len(tokens_N), bitorder="little")
    return Block(
        tokens_N,
        bits.view(np.bool_),
        np.frombuffer(ends, np.int64),
        np.frombuffer(learned, np.int64),
        np.frombuffer(size, np.int64),
        np.frombuffer(digests, np.uint64),
    )


def _release() -> None:
    """Return what this process has freed, where the C library keeps it (glibc does).

    Reading text by blocks of some megabytes, each of another size, leaves glibc's heap full of
    holes that it neither fills nor returns: half a gigabyte after half a gigabyte of text. The
    call takes milliseconds.
    """
    trim = _find_trim()
    if trim is not None:
        trim(0)


@cache
def _find_trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library, or Windows
        return None
    return found


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, waiting for whoever holds it.

    The system lets go of it when the process ends, in whatever way.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        while True:
            try:
                lock_file(file)
                break
            except (BlockingIOError, PermissionError):  # the latter on Windows
                time.sleep(_PAUSE)
        yield


def _remove_lock(path: Path) -> None:
    """Delete a lock file that this process holds, where the system allows it."""
    if os.name != "nt":
        path.unlink(missing_ok=True)
