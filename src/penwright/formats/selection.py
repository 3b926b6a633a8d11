"""Select documents by language, words, columns, length, and likeness to others."""

from __future__ import annotations

import math
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from penwright.config import DataConfig
from penwright.document import Document, Source
from penwright.errors import DataError, MissingExtraError, UsageError
from penwright.formats.decode import read_lines
from penwright.wording import Warn

CATEGORY_NAMES = ("category", "subreddit", "genre", "label", "class", "tag", "topic", "author")

LANGUAGE_SAMPLE = 2000
"""Characters of a document that its language is detected from."""
FEWEST_LETTERS = 20
"""The fewest letters for which a language is detected; shorter texts are kept."""


def speaks(language: str) -> Callable[[str], bool]:
    """Return a test for texts in `language` (py3langid; Lui and Baldwin 2012)."""
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
        if sum(letter.isalpha() for letter in sample) < FEWEST_LETTERS:
            return True
        return bool(py3langid.classify(sample)[0] == language)

    return verdict


def read_blocklist(path: str) -> str:
    """Return a pattern of the words or phrases in a file, one a line; # begins a comment."""
    lines = (line.strip() for line in read_lines(path, None, lambda _: None))
    words = sorted({line for line in lines if line and not line.startswith("#")}, key=len)
    if not words:
        raise DataError(f"{path} has no words in it.", fix="Write one word or phrase a line.")
    inner = "|".join(r"\s+".join(map(re.escape, word.split())) for word in reversed(words))
    return rf"(?<!\w)(?:{inner})(?!\w)"


def mask(text: str, pattern: re.Pattern[str]) -> str:
    """Replace each letter of the words that `pattern` finds by `*`."""
    return pattern.sub(lambda found: re.sub(r"\S", "*", found.group()), text)


def category_of(data: DataConfig) -> Callable[[Document], str | None]:
    """Return a function for a document's category: in the named column, or the first known one."""
    if data.category_column is not None:
        column = data.category_column
        return lambda document: document.fields.get(column)

    def known(document: Document) -> str | None:
        plain = {name.lower(): value for name, value in document.fields.items()}
        return next((plain[name] for name in CATEGORY_NAMES if name in plain), None)

    return known


class ColumnFilter:
    """A filter of documents by their columns (`where`) and categories (`drop_category`).

    Raises UsageError for a condition that compares nothing.
    """

    def __init__(self, data: DataConfig) -> None:
        self._conditions = [parse_condition(text) for text in data.where]
        self._category = category_of(data)
        self._column = data.category_column
        self._unwanted = {name.lower(): name for name in data.drop_category}
        self._unmet = dict(self._unwanted)
        self._unseen = {column for column, _ in self._conditions}
        self._without_category = bool(self._unwanted)

    def why_not(self, document: Document) -> str | None:
        """Return the option that leaves a document out, or None."""
        fields = document.fields
        if self._unseen:
            self._unseen -= fields.keys()
        if self._unwanted:
            name = self._category(document)
            self._without_category &= name is None
            self._unmet.pop((name or "").lower(), None)
            if name is not None and name.lower() in self._unwanted:
                return "drop-category"
        if not all(name in fields and holds(fields[name]) for name, holds in self._conditions):
            return "where"
        return None

    def check(self, warn: Warn) -> None:
        """Warn of categories that no document had; raises DataError for a column that none had."""
        if self._unseen:
            raise _no_column(sorted(self._unseen)[0], "to choose by")
        if self._without_category:
            if self._column is not None:
                raise _no_column(self._column, "of categories")
            raise DataError("No document has a category to drop.", fix=_NAME_IT)
        for name in self._unmet.values():
            warn(f"No document is of the category '{name}', which was to be dropped.")


_NAME_IT = "Name the column that holds it with --category-column."
_CONDITION = re.compile(r"\s*(.+?)\s*(>=|<=|!=|==?|>|<)\s*(.*?)\s*", re.DOTALL)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
    "=": operator.eq, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def parse_condition(text: str) -> tuple[str, Callable[[str], bool]]:
    """Parse `score>=5` into a column and a test of its value.

    A number is compared with numbers only: other values are unequal to it. Other values are
    compared as text, which suits dates such as 2019-01-31. Raises UsageError.
    """
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise UsageError(
            f"--where '{text}' compares nothing.", fix='Write it as "score>=5" or "lang=en".'
        )
    column, sign, wanted = found.groups()
    compare, number = _COMPARE[sign], _number(wanted)

    def holds(value: str) -> bool:
        if number is None:
            return compare(value.strip(), wanted)
        given = _number(value)
        return sign == "!=" if given is None else compare(given, number)

    return column, holds


def _no_column(name: str, purpose: str) -> DataError:
    return DataError(
        f"There is no column '{name}' {purpose}.",
        fix="`penwright inspect` lists the columns; texts of more than 200 characters are none.",
    )


def best_of_each(documents: Iterable[Document], data: DataConfig, count: int) -> set[int]:
    """Return the numbers of the first `count` documents of each category, by `order_by` if given.

    Larger numbers come first; equal ones in the order of the file. Raises DataError when no
    document has a category, or the column to order by.
    """
    category = category_of(data)
    groups: dict[str, list[tuple[float, int]]] = defaultdict(list)
    ordered = data.order_by is None
    for number, document in enumerate(first_pieces(documents)):
        group = category(document)
        if group is None:
            raise DataError(f"{document.source}: this document has no category.", fix=_NAME_IT)
        value = document.fields.get(data.order_by or "")
        ordered = ordered or value is not None
        rank = _number(value)
        groups[group].append((math.inf if rank is None else -rank, number))
    if not ordered:
        raise _no_column(str(data.order_by), "to order by")
    return {number for group in groups.values() for _, number in sorted(group)[:count]}


def first_pieces(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield only the first piece of documents that come in pieces."""
    begins = True
    for document in documents:
        if begins:
            yield document
        begins = not document.more


def _number(value: str | None) -> float | None:
    """Return a text as a number, or None."""
    try:
        number = float(value or "")
    except ValueError:
        return None
    return None if math.isnan(number) else number


_RUN = 3
"""Words in a run (shingle)."""
_FEWEST_WORDS = 8
"""The fewest words for which texts are compared; shorter ones are alike by chance."""
_HASHES = 128
_BANDS = 16


class NearIndex:
    """An index of texts that finds near duplicates: MinHash over runs of words (Broder 1997).

    `threshold` is the least share of their runs of words that two texts have in common. Raises
    MissingExtraError without rensa.
    """

    def __init__(self, threshold: float) -> None:
        try:
            import rensa  # type: ignore[import-untyped]
        except ImportError:
            raise MissingExtraError("Looking for near duplicates", "dedup") from None
        self._rensa = rensa
        self._threshold = threshold
        self._index = rensa.RMinHashLSH(threshold, _HASHES, _BANDS)
        self._sketches: dict[int, Any] = {}
        self._count = 0

    def add(self, text: str, *, alike: bool) -> int | None:
        """Add a text; return the number (from 0) of the earlier text most like it, or None.

        Every text is numbered; a text like an earlier one is kept in the index only with `alike`.
        """
        number = self._count
        self._count += 1
        words = text.lower().split()
        if len(words) < _FEWEST_WORDS:
            return None
        sketch = self._rensa.RMinHash(num_perm=_HASHES, seed=0)
        sketch.update([" ".join(words[i : i + _RUN]) for i in range(len(words) - _RUN + 1)])
        found = [
            (sketch.jaccard(self._sketches[other]), -other) for other in self._index.query(sketch)
        ]
        likeness, other = max(found, default=(0.0, 0))
        is_like = likeness >= self._threshold
        if alike or not is_like:
            self._index.insert(number, sketch)
            self._sketches[number] = sketch
        return -other if is_like else None


Size = Callable[[str], int]
"""A function that counts the tokens of a text."""

AROUND = 2
"""The number of end-of-text tokens around a document."""


def short_enough(
    documents: Iterable[Document], most: int, size: Size, warn: Warn
) -> Iterator[Document]:
    """Yield documents of at most `most` tokens, end-of-text tokens included; count the others."""
    begins, keeps = True, True
    left_out: list[Source] = []
    for document in documents:
        if begins:
            # One that comes in pieces is longer than any limit.
            keeps = not document.more and (
                AROUND + sum(size(span.text) for span in document.spans) <= most
            )
            left_out += [] if keeps else [document.source]
        begins = not document.more
        if keeps:
            yield document
    tell_of_long(left_out, most, warn)


def tell_of_long(left_out: list[Source], most: int, warn: Warn) -> None:
    """Warn how many documents were left out, and where the first is."""
    if len(left_out) == 1:
        warn(f"{left_out[0]}: 1 document of more than {most:,} tokens was left out.")
    elif left_out:
        warn(
            f"{left_out[0]}: {len(left_out):,} documents of more than {most:,} tokens were left "
            "out, this one first."
        )


class Room:
    """The words and tokens left of --max-words and --max-tokens for a dialogue."""

    def __init__(self, data: DataConfig, size: Size | None) -> None:
        self._words = data.max_words
        self._tokens = None if data.max_tokens is None else data.max_tokens - AROUND
        self._size = size

    def takes(self, text: str) -> bool:
        """Subtract the length of a text; return whether there was room for it."""
        if self._words is not None:
            self._words -= len(text.split())
        if self._tokens is not None and self._size is not None:
            self._tokens -= self._size(text)
        return min(self._words or 0, self._tokens or 0) >= 0
