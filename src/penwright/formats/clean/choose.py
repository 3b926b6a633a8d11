"""Cleaning steps that leave documents out: by language, by words, by category."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from penwright.config import DataConfig
from penwright.errors import DataError, MissingExtraError, UsageError
from penwright.formats.decode import read_lines
from penwright.formats.document import Document

CATEGORY_NAMES = ("category", "subreddit", "genre", "label", "class", "tag", "topic", "author")

LANGUAGE_SAMPLE = 2000
"""Characters that a document's language is told from."""
SHORTEST = 20
"""A text of fewer letters is too short to tell, and stays."""


def speaks(language: str) -> Callable[[str], bool]:
    """Whether a text is in this language (py3langid; Lui and Baldwin 2012)."""
    try:
        import py3langid  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtraError("--language", "clean") from None
    known = {name for name, _ in py3langid.rank("a")}
    if language not in known:
        raise UsageError(
            f"There is no language '{language}'.",
            fix=f"Languages are two letters: {', '.join(sorted(known))}.",
        )

    def verdict(text: str) -> bool:
        sample = text[:LANGUAGE_SAMPLE]
        if sum(letter.isalpha() for letter in sample) < SHORTEST:
            return True
        return bool(py3langid.classify(sample)[0] == language)

    return verdict


def read_blocklist(path: str) -> str:
    """A pattern of the words or phrases in a file, one a line; # begins a remark."""
    lines = (line.strip() for line in read_lines(path, None, lambda _: None))
    words = sorted({line for line in lines if line and not line.startswith("#")}, key=len)
    if not words:
        raise DataError(f"{path} has no words in it.", fix="Write one word or phrase a line.")
    inner = "|".join(r"\s+".join(map(re.escape, word.split())) for word in reversed(words))
    return rf"(?<!\w)(?:{inner})(?!\w)"


def mask(text: str, pattern: re.Pattern[str]) -> str:
    """The text with a `*` for each letter of the words that `pattern` finds."""
    return pattern.sub(lambda found: re.sub(r"\S", "*", found.group()), text)


def category_of(data: DataConfig) -> Callable[[Document], str | None]:
    """What tells a document's category: the named column, or the first with a known name."""
    if data.category_column is not None:
        column = data.category_column
        return lambda document: document.fields.get(column)

    def known(document: Document) -> str | None:
        plain = {name.lower(): value for name, value in document.fields.items()}
        return next((plain[name] for name in CATEGORY_NAMES if name in plain), None)

    return known


def best_of_each(documents: Iterable[Document], data: DataConfig, count: int) -> set[int]:
    """The numbers of the first `count` documents of each category, by `order_by` where given.

    Larger numbers come first; equal ones in the order of the file. Raises DataError when no
    document has a category, or the column to order by.
    """
    category = category_of(data)
    groups: dict[str, list[tuple[float, int]]] = defaultdict(list)
    ordered = data.order_by is None
    for number, document in enumerate(first_pieces(documents)):
        group = category(document)
        if group is None:
            raise DataError(
                f"{document.source}: this document has no category.",
                fix="Name the column that holds it with --category-column.",
            )
        value = document.fields.get(data.order_by or "")
        ordered = ordered or value is not None
        groups[group].append((-_number(value), number))
    if not ordered:
        raise DataError(f"There is no column '{data.order_by}' to order by.")
    return {number for group in groups.values() for _, number in sorted(group)[:count]}


def first_pieces(documents: Iterable[Document]) -> Iterator[Document]:
    """Of documents that come in pieces, the first piece only."""
    begins = True
    for document in documents:
        if begins:
            yield document
        begins = not document.more


def _number(value: str | None) -> float:
    try:
        return float(value) if value else float("-inf")
    except ValueError:
        return float("-inf")
