"""The text that a run was trained on, opened again and indexed, to look other texts up in it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from penwright import formats
from penwright.config import DataConfig, FinetuneConfig, build
from penwright.dataset.store_cache import is_store, open_kept
from penwright.dataset.training import TrainingData, open_training_data, split_data
from penwright.doctor.examine import LINES_KEPT
from penwright.document import Source
from penwright.errors import DataError, OutOfRoomError, PenwrightError, RunError
from penwright.files import cache_folder
from penwright.index.suffix_index import SuffixIndex
from penwright.runs import Run, find_run
from penwright.tokens import Split, Store, Tokenizer
from penwright.tokens.store import Int64
from penwright.weights.names import resolve
from penwright.weights.opening import read_place
from penwright.wording import Warn

SHORT_TEXT = 1_000_000
"""Tokens that are indexed in about a second."""
_CONTEXT = 30  # tokens shown before and after a span


@dataclass(frozen=True)
class TrainingText:
    """The text that a run was trained on, with its index, and the text that it held out."""

    run: Run
    tokenizer: Tokenizer
    store: Store
    ranges: Int64
    """The stretches of the store that were trained on, int64 [n, 2]."""
    held_out: Split
    sources: Callable[[], Iterator[Source]] | None
    """Reads where each document came from; None where the files are gone."""
    lines: bool
    """Whether line breaks of a document are those of its file."""
    warn: Warn

    @property
    def n_tokens(self) -> int:
        """Tokens that were trained on."""
        return int((self.ranges[:, 1] - self.ranges[:, 0]).sum())

    @cached_property
    def index(self) -> SuffixIndex:
        """The index of the training text: beside the store, else in the cache."""
        beside, elsewhere = self._homes
        try:
            return SuffixIndex.open_or_build(self.store, self.ranges, beside)
        except OutOfRoomError as error:
            self.warn(f"{error.message} The index goes to {elsewhere}.")
            return SuffixIndex.open_or_build(self.store, self.ranges, elsewhere)

    @property
    def kept_index(self) -> SuffixIndex | None:
        """The index, if it was built before."""
        kept = (SuffixIndex.open_kept(self.store, self.ranges, home) for home in self._homes)
        return next((index for index in kept if index is not None), None)

    @property
    def _homes(self) -> tuple[Path, Path]:
        return self.store.folder / "index", cache_folder() / "indexes"

    def read(self, start: int, end: int) -> str:
        """Decode the tokens [start, end) of the store."""
        return self.tokenizer.decode(self.store.tokens(start, end).tolist())

    def around(self, start: int, end: int) -> tuple[str, str]:
        """Return some text before and after [start, end), within the document."""
        document = self._document_of(start)
        first, last = self.store.offsets[[document, document + 1]].tolist()
        before = self.read(max(first + 1, start - _CONTEXT), max(first + 1, start))
        return before, self.read(min(end, last - 1), min(end + _CONTEXT, last - 1))

    def places(self, positions: Sequence[int]) -> dict[int, str]:
        """Return the file and line, where known, of these positions of the store."""
        numbers = {at: self._document_of(at) for at in positions}
        wanted, found = set(numbers.values()), dict[int, Source]()
        for number, source in enumerate(self.sources() if wanted and self.sources else ()):
            if number in wanted:
                found[number] = source
                if len(found) == len(wanted):
                    break
        return {at: self._name(at, number, found.get(number)) for at, number in numbers.items()}

    def _name(self, position: int, number: int, source: Source | None) -> str:
        if source is None:
            return f"document {number + 1:,}"
        if source.line is None or not self.lines:
            return str(source)
        text = self.store.tokens(int(self.store.offsets[number]), position)
        breaks = int(self.tokenizer.line_breaks[text].sum())
        return str(source._replace(line=source.line + breaks))

    def _document_of(self, position: int) -> int:
        return int(np.searchsorted(self.store.offsets, position, side="right")) - 1


def open_training_text(name: str | Path, warn: Warn = lambda _: None) -> TrainingText:
    """Open what the run `name` was trained on.

    Raises RunError when there is no such run, or its text is gone or has changed.
    """
    run = find_run(name)
    tokenizer = read_place(resolve(run.folder)).tokenizer()
    config: FinetuneConfig = build(FinetuneConfig, run.info["config"])
    about = run.info["data"]
    share, is_there = about["held_out"]["share"], True
    try:
        opened = open_training_data(about["paths"], config, tokenizer, lambda _: None, share)
    except DataError as error:
        kept = open_kept(about["fingerprint"], tokenizer)
        if kept is None:
            raise RunError(
                f"The text that {run.name} was trained on cannot be read: {error.message}",
                fix="Put the files back where they were; the token store is made again from them.",
            ) from None
        warn(f"{error.message} Its token store is still there, and is used.")
        opened, is_there = split_data(kept, config, share, tokenizer), False
    if opened.data.fingerprint != about["fingerprint"]:
        raise RunError(
            f"The files that {run.name} was trained on have changed since.",
            fix="Put the old ones back, or train again.",
        )
    return training_text(run, tokenizer, opened, warn, files_exist=is_there)


class KeptIndex:
    """The index of the training text of a run's model, if it was built or takes no time to build.

    It is opened in the background when it is first asked for. Nothing is encoded, and the index of
    a long text is not built: `penwright copied` does that.
    """

    def __init__(self, model: Path) -> None:
        places = (model, *model.parents[:2])
        self._run = next((place for place in places if (place / "run.json").is_file()), None)
        self._index: SuffixIndex | None = None
        self.says = "its index is not open yet" if self._run else ""

    @property
    def index(self) -> SuffixIndex | None:
        """The index, once it is open."""
        if self._run is not None:
            threading.Thread(target=self._open, args=(self._run,), daemon=True).start()
            self._run = None
        return self._index

    def _open(self, folder: Path) -> None:
        try:
            run = Run.open(folder)
            config: FinetuneConfig = build(FinetuneConfig, run.info["config"])
            tokenizer = read_place(resolve(folder)).tokenizer()
            about = run.info["data"]
            kept = open_kept(about["fingerprint"], tokenizer)
            if kept is None:
                self.says = "its token store is gone"
                return
            opened = split_data(kept, config, about["held_out"]["share"], tokenizer)
            text = training_text(run, tokenizer, opened)
            is_short = text.n_tokens <= SHORT_TEXT
            self._index = text.index if is_short else text.kept_index
            self.says = f"`penwright copied {run.name}` makes an index of it"
        except PenwrightError as error:
            self.says = error.message


def training_text(
    run: Run,
    tokenizer: Tokenizer,
    opened: TrainingData,
    warn: Warn = lambda _: None,
    *,
    files_exist: bool = True,
) -> TrainingText:
    """Return the text that `run` is trained on, given its opened data."""
    paths = run.info["data"]["paths"]
    config: FinetuneConfig = build(FinetuneConfig, run.info["config"])
    return TrainingText(
        run,
        tokenizer,
        opened.data.store,
        np.unique(opened.training.alternatives[0].ranges, axis=0),
        opened.held_out,
        sources=partial(read_sources, paths, config.data, tokenizer)
        if files_exist and not any(map(is_store, paths))
        else None,
        lines=all(choice.format in LINES_KEPT for choice in opened.data.reading.choices),
        warn=warn,
    )


def read_sources(
    paths: Sequence[str], config: DataConfig, tokenizer: Tokenizer
) -> Iterator[Source]:
    """Read the files again for where each document came from."""
    continues = False
    for document in formats.read(paths, config, lambda _: None, size=tokenizer.count):
        if not continues:
            yield document.source
        continues = document.more
