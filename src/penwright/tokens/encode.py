"""Documents -> a token store, in bounded memory; an interrupted preparation can be continued."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from penwright.config import WorkConfig
from penwright.document import Document
from penwright.errors import DataError, UsageError
from penwright.tokens.blocks import Batch, Block, Text, group
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.locking import locked, remove
from penwright.tokens.memory import release
from penwright.tokens.store import FORMAT, HEADER, VERSION, Int64, Store
from penwright.tokens.worker import TARGET, describe_work, encoder, unpack
from penwright.tokens.writing import Writer
from penwright.workers import spread

SHARD_TOKENS = 1 << 22
"""Tokens in a shard."""
_FEW_BATCHES = 64
"""Batches that are encoded before other processes are started, which takes them a moment."""
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
    with locked(lock):
        if not folder.exists():
            header = _header(tokenizer, fingerprint, markers, meta or {})
            writer = Writer(
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
        remove(lock)
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
    writer: Writer,
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
    for document in itertools.islice(rest, writer.mark.pieces):
        begins = not document.more
    batches = group(rest, tokenizer.word_ends, begins=begins)
    try:
        encoded = _encode(batches, tokenizer, markers, work)
        for number, (batch, block) in enumerate(encoded, start=1):
            learned = writer.add(block, batch.groups_D, batch.pieces, whole=batch.whole)
            _check_learned(learned, batch)
            if number % _RELEASE_EVERY == 0:
                release()
        if writer.is_empty:
            raise DataError("There is no document to learn from.")
    except (DataError, UsageError):
        writer.discard()
        raise


def _encode(
    batches: Iterator[Batch], tokenizer: Tokenizer, markers: Sequence[str], work: WorkConfig
) -> Iterator[tuple[Batch, Block]]:
    """The blocks of `batches`, in order; in this process alone while there are few."""
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
    """The store in `folder`, when it is the one that is asked for."""
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
