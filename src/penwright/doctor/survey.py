"""Counts over a data set in one pass: faults in texts, lengths, and the cost in tokens.

A document takes a few bytes of memory whatever its length.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from penwright.document import Document
from penwright.formats.clean_steps import CONTROL, NEWLINES, TAGS
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.store import Store

EXAMPLES = 5
"""Places kept for each kind of finding."""


@dataclass(frozen=True)
class Fault:
    """A pattern in texts, reported when it has at least `share` matches per word."""

    pattern: re.Pattern[str]
    says: str
    fix: str
    hint: tuple[str, ...]
    """Strings of which every match contains one: a fast test before the pattern."""
    share: float = 0.0
    step: str = ""
    """The cleaning step that mends it."""


FAULTS = {
    "marker": Fault(
        re.compile(r"<\|(?:end|start)oftext\|>"),
        "hold an end-of-text marker as ordinary text",
        "Take it out with --clean markers: a row is a document without it. In a plain text file it "
        "ends documents with --documents marker.",
        ("oftext|>",),
        step="markers",
    ),
    "mojibake": Fault(
        re.compile(r"Ã[\x80-\xbf©¨¤¶¼±§]|â€[™œ\x9d\x9c\x99“”¦]|Â[\xa0-\xbf]"),
        "hold text that was once read in a wrong encoding (such as cafÃ© for café)",
        "Mend it with --clean mojibake.",
        ("Ã", "â€", "Â"),
        step="mojibake",
    ),
    "entities": Fault(
        re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,5});"),
        "hold HTML entities (such as &amp;)",
        "Undo them with --clean entities.",
        ("&",),
        step="entities",
    ),
    "tags": Fault(
        TAGS,
        "hold HTML tags",
        "Take them out with --clean tags, or the model will write them too.",
        ("</", "<br", "<p"),
        step="tags",
    ),
    "tokenized": Fault(
        re.compile(r"\w (?:n['’]t|['’](?:s|re|ve|ll|m|d))\b|\w [,.!?;:](?= |\n|\Z)|`` "),
        "have spaces before their punctuation",
        "Mend it with --clean detokenize.",
        (" ,", " .", " n't", "`` ", " '"),
        share=0.02,
        step="detokenize",
    ),
    "replaced": Fault(
        re.compile("\ufffd"),
        "hold the sign for a character that was lost (U+FFFD)",
        "Go back to the source of the text and read it with --encoding, such as cp1252.",
        ("\ufffd",),
    ),
    "control": Fault(
        CONTROL,
        "hold control characters or placeholders of pictures",
        "Take them out with --clean control, unless the model should write them.",
        tuple(map(chr, (*range(9), 11, 12, *range(14, 32), 127, 0xFFFC))),
        step="control",
    ),
    "newline": Fault(
        NEWLINES,
        "spell line breaks out (as \\n or <newline>)",
        "Make them line breaks with --clean newlines, or the model will spell them out too.",
        ("\\n", "<newline>", "<br"),
        step="newlines",
    ),
    "news": Fault(
        re.compile(r"\(CNN[^)\n]{0,40}\)|(?:PUBLISHED|UPDATED):[\s.]*\d{1,2}:\d{2}"),
        "hold a newspaper's datelines and time stamps",
        "Take them out with --clean news.",
        ("(CNN", "PUBLISHED", "UPDATED"),
        step="news",
    ),
}


@dataclass
class Faults:
    """Counts of faults: documents, matches and first places."""

    documents: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    def look(self, document: Document, *, new: bool) -> None:
        """Count the faults of a document; `new` is false for a further piece of the same one."""
        text = document.text
        for name, fault in FAULTS.items():
            if any(hint in text for hint in fault.hint):
                hits = sum(1 for _ in fault.pattern.finditer(text))
                if hits:
                    self.note(name, document, hits, new=new)
        self._look_at_spans(document, new=new)

    def note(self, name: str, document: Document, hits: int = 1, *, new: bool = True) -> None:
        """Count one fault of a document."""
        self.hits[name] += hits
        self.documents[name] += new
        places = self.places.setdefault(name, [])
        if len(places) < EXAMPLES and new:
            places.append(str(document.source))

    def _look_at_spans(self, document: Document, *, new: bool) -> None:
        spans = document.spans
        for before, after in pairwise(spans):
            if after.learn and before.text[-1].isalnum() and after.text[0].isalnum():
                self.note("glued", document, new=new)
                break
        if spans and spans[0].learn and new:
            self.note("no prompt", document)
        elif spans and new:
            self.note("prompt", document)


_UNUSUAL = re.compile(r"[^\x00-\x7f]")

Int64 = npt.NDArray[np.int64]


@dataclass
class Survey:
    """Counts for each document, in reading order."""

    paths: list[str] = field(default_factory=list)
    """The files, in reading order."""
    faults: Faults = field(default_factory=Faults)
    unusual: Counter[str] = field(default_factory=Counter)
    """Occurrences of each character beyond ASCII."""
    torn: list[int] = field(default_factory=list)
    """Numbers of documents that begin in the middle of a word of the line before them."""
    _path: array[int] = field(default_factory=lambda: array("l"))
    _line: array[int] = field(default_factory=lambda: array("q"))
    _digest: array[int] = field(default_factory=lambda: array("q"))
    _characters: array[int] = field(default_factory=lambda: array("q"))
    _words: array[int] = field(default_factory=lambda: array("q"))

    def __len__(self) -> int:
        return len(self._line)

    @property
    def digests(self) -> Int64:
        """Return a 64-bit hash of each text; equal hashes are duplicates."""
        return np.array(self._digest, dtype=np.int64)

    @property
    def characters(self) -> Int64:
        """Return the number of characters of each document."""
        return np.array(self._characters, dtype=np.int64)

    @property
    def words(self) -> Int64:
        """Return the number of words, split at white space, of each document."""
        return np.array(self._words, dtype=np.int64)

    def place(self, number: int, further: int = 0) -> str:
        """Return file and line of document `number` (from 0), or `further` lines on."""
        line = self._line[number]
        path = self.paths[self._path[number]]
        return f"{path}:{line + further}" if line else path

    def add(self, path: str, line: int | None, digest: bytes, characters: int, words: int) -> None:
        """Append one document."""
        if not self.paths or self.paths[-1] != path:
            self.paths.append(path)
        self._path.append(len(self.paths) - 1)
        self._line.append(line or 0)
        self._digest.append(int.from_bytes(digest[:8], "little", signed=True))
        self._characters.append(characters)
        self._words.append(words)


def survey(documents: Iterable[Document]) -> Survey:
    """Survey all documents; the pieces of a long one count together."""
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
    """The end of a document: path, line and last character."""

    path: str
    line: int
    character: str

    def goes_on_in(self, document: Document) -> bool:
        """Return whether `document` begins in the same line with the rest of a word.

        A capital begins a text of its own, such as a title that ends without a full stop.
        """
        source = document.source
        same = source.line is not None and (source.path, source.line) == self[:2]
        return same and self.character.isalnum() and document.text[:1].islower()


@dataclass(frozen=True)
class Bin:
    """The number of documents with `low` to `high` tokens, both included."""

    low: int
    high: int
    count: int


@dataclass(frozen=True)
class Lengths:
    """The lengths of documents in tokens, without the end-of-text tokens."""

    shortest: int
    median: int
    mean: float
    longest: int
    histogram: tuple[Bin, ...]


def measure_lengths(tokens: Int64) -> Lengths:
    """Summarise the lengths of one document or more; bins double in width."""
    counts = np.bincount([int(n).bit_length() for n in tokens.tolist()])
    filled = np.flatnonzero(counts)
    bins = tuple(
        Bin(low=(1 << i) >> 1, high=max((1 << i) - 1, 0), count=int(counts[i]))
        for i in range(int(filled[0]), int(filled[-1]) + 1)
    )
    return Lengths(
        int(tokens.min()),
        int(np.median(tokens)),
        float(tokens.mean()),
        int(tokens.max()),
        bins,
    )


CHUNK = 1 << 22
COSTLY = 3
"""Minimum number of tokens of a costly character."""
MOST_SHOWN = 20


@dataclass(frozen=True)
class Costly:
    """A character that takes `tokens` tokens, and its number of occurrences."""

    character: str
    tokens: int
    count: int


def white_space_share(store: Store, tokenizer: Tokenizer) -> float:
    """Return the share of tokens that are only white space."""
    counts = np.zeros(store.vocab_size, np.int64)
    for start in range(0, store.n_tokens, CHUNK):
        line = store.tokens(start, min(start + CHUNK, store.n_tokens))
        counts += np.bincount(line, minlength=store.vocab_size)
    counts[store.eot_id] = 0
    used = np.flatnonzero(counts).tolist()
    blank = sum(int(counts[i]) for i in used if tokenizer.token_bytes(i).isspace())
    return blank / max(int(counts.sum()), 1)


def find_costly(characters: Counter[str], tokenizer: Tokenizer) -> tuple[Costly, ...]:
    """Return the characters that take the most tokens in all, the costliest first."""
    common = [character for character, _ in characters.most_common(1000)]
    sizes = [len(ids) for ids in tokenizer.encode_batch(common)] if common else []
    found = [
        Costly(character, size, characters[character])
        for character, size in zip(common, sizes, strict=True)
        if size >= COSTLY
    ]
    found.sort(key=lambda item: (-item.tokens * item.count, item.character))
    return tuple(found[:MOST_SHOWN])
