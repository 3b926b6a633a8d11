"""Look at data before learning from it."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from penwright import formats
from penwright.config import FinetuneConfig, InspectConfig, build
from penwright.dataset.store_cache import Data, is_store, open_store
from penwright.dataset.training import open_training_data
from penwright.doctor import Examination, can_find_near, examine, find_near
from penwright.document import Document, Source, Span
from penwright.errors import UsageError
from penwright.formats.cleaning import REPORT
from penwright.tokens import BatchSchedule, Store, Tokenizer
from penwright.train.memory import Counts
from penwright.train.plan import choose_window
from penwright.weights import choose_model, read_shape
from penwright.wording import log

ALIKE = 0.8
"""Documents that share this fraction of their runs of words are near duplicates."""
_MOST_COMPARED = 20_000
_CHUNK = 1 << 20


def inspect(*data: str | Path, warn: Callable[[str], None] = log, **options: Any) -> Examination:
    """Examine `data`: its content, its faults, and the windows that training will see.

    `options` are those of `penwright inspect`. Raises DataError for data that cannot be read.
    """
    return run_inspect(data, build(InspectConfig, options), warn)


def run_inspect(
    paths: Sequence[str | Path],
    config: InspectConfig,
    warn: Callable[[str], None] = log,
) -> Examination:
    """Look at data as `finetune` with the same options would."""
    name = choose_model(config.model, warn)
    model, read_tokenizer = read_shape(name, warn)
    tokenizer = read_tokenizer()
    as_finetune = FinetuneConfig(max_length=config.max_length, data=config.data, fix=config.fix)
    opened = open_training_data(paths, as_finetune, tokenizer, warn)
    data, training = opened.data, opened.training
    shape, length = choose_window(training, model.n_positions, max_length=config.max_length)

    def documents() -> Iterator[Document]:
        if not any(map(is_store, paths)):
            return formats.read(paths, config.data, lambda _: None, size=tokenizer.count)
        return chain.from_iterable(read_one(path) for path in paths)

    def read_one(path: str | Path) -> Iterator[Document]:
        if is_store(path):
            return read_store(open_store(path), tokenizer, str(path))
        return formats.read([path], config.data, lambda _: None, size=tokenizer.count)

    return examine(
        data.reading,
        documents(),
        data.store,
        BatchSchedule(training, shape, 1, length, as_finetune.seed),
        tokenizer,
        windows=config.windows,
        held_out=opened.held_out,
        parameters=Counts.of(model).all,
        warnings=[text for text in data.warnings if not text.startswith(REPORT)],
        near=_find_near(documents, data, config.near),
        repeats=config.repeats,
    )


def _find_near(
    documents: Callable[[], Iterator[Document]], data: Data, threshold: float | None
) -> list[tuple[int, int]]:
    """Find near duplicates; unasked only in small data sets that are not cut into sections."""
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(
            f"--near must be from 0 to 1, not {threshold}.",
            fix="0.8 finds what is nearly the same.",
        )
    if threshold is None:
        few = 1 < data.store.n_documents <= _MOST_COMPARED and not data.reading.sections
        threshold = ALIKE if few and can_find_near() else 0.0
    return list(find_near(documents(), threshold)) if threshold > 0 else []


def read_store(store: Store, tokenizer: Tokenizer, name: str) -> Iterator[Document]:
    """Yield the documents of a store as text, long ones in chunks; their places are numbers."""
    for number, (start, end) in enumerate(
        zip(store.offsets[:-1].tolist(), store.offsets[1:].tolist(), strict=True), 1
    ):
        source = Source(name, number)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for first in range(start + 1, end - 1, _CHUNK):
            last = min(first + _CHUNK, end - 1)
            spans = _spans(store, tokenizer, decoder, first, last)
            yield Document(tuple(spans), source, more=last < end - 1)


def _spans(
    store: Store,
    tokenizer: Tokenizer,
    decoder: codecs.IncrementalDecoder,
    first: int,
    last: int,
) -> Iterator[Span]:
    tokens, learn = store.tokens(first, last), store.learn(first, last)
    borders = [0, *(np.flatnonzero(learn[1:] != learn[:-1]) + 1).tolist(), last - first]
    for a, b in pairwise(borders):
        text = decoder.decode(tokenizer.decode_bytes(tokens[a:b].tolist()))
        if text:
            yield Span(text, bool(learn[a]))
