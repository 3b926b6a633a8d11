"""Prompts in one file, the texts that answer them in another, a line each (WritingPrompts)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from penwright.config import DataConfig
from penwright.document import Document
from penwright.errors import DataError
from penwright.formats.decode import find_encoding, read_lines
from penwright.formats.reader import Choice, Input
from penwright.formats.records import Record, make_documents
from penwright.formats.rows import Layout, first_words, pair_layout
from penwright.wording import Warn

PAIR_SUFFIXES = {".wp_source": ".wp_target", ".source": ".target", ".src": ".tgt"}
"""A file of prompts, a line each, and the file beside it with the texts that answer them."""

SEPARATOR = " <sep> "
"""Stands between prompt and story unless another is given."""

NEWLINE = "<newline>"
"""Stands for a line break inside a line; it counts as a word."""


@dataclass(frozen=True)
class PairReader:
    """A file of prompts and the file of their texts."""

    choice: Choice
    item: Input
    layout: Layout
    encoding: str | None
    skip_empty: bool
    max_words: int | None

    def documents(self, warn: Warn) -> Iterator[Document]:
        """Yield a document per line; raises DataError when the files differ in lines."""
        yield from make_documents(
            self.item.path, self.layout, self._records(warn), self.skip_empty, warn
        )

    def _records(self, warn: Warn) -> Iterator[Record]:
        target = self.item.target or ""
        prompts = read_lines(self.item.path, self.encoding, warn)
        texts = read_lines(target, self.encoding, warn)
        for number, (prompt, text) in enumerate(itertools.zip_longest(prompts, texts), 1):
            if prompt is None or text is None:
                raise _unequal(self.item, self.encoding)
            kept = first_words(text, self.max_words) if self.max_words else text
            values = {"prompt": prompt, "story": kept.replace(NEWLINE, "\n")}
            yield Record(number, values)


def open_pairs(item: Input, data: DataConfig) -> PairReader:
    """Open a pair of files; raises DataError when one is missing or empty."""
    if item.target is None:
        raise DataError(
            f"{item.path} is not one of a pair of files.",
            fix="Pairs are called NAME.wp_source and NAME.wp_target.",
        )
    encoding = find_encoding(item.path, data.encoding)
    find_encoding(item.target, data.encoding)
    separator = SEPARATOR if data.separator is None else data.separator
    layout = replace(pair_layout("prompt", "story", separator, data.learn), max_words=None)
    choice = Choice(
        item.path,
        "pairs",
        encoding,
        says=f"each line is a prompt, and its story stands on the same line of {item.target}; "
        f"a document is {layout.template!r}",
        columns=("prompt", "story"),
        template=layout.template,
        learn=layout.learned,
        prompt_format=layout.prompt_format,
    )
    return PairReader(choice, item, layout, data.encoding, data.skip_empty, data.max_words)


def _unequal(item: Input, encoding: str | None) -> DataError:
    def count(path: str) -> int:
        return sum(1 for _ in read_lines(path, encoding, lambda _: None))

    prompts, texts = count(item.path), count(item.target or "")
    return DataError(
        f"{item.path} has {prompts:,} lines, but {item.target} has {texts:,}.",
        fix="Line N of one belongs to line N of the other, so the counts must be equal.",
    )
