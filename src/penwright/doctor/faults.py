"""Faults that a document's text shows by itself, each found by a pattern."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from penwright.document import Document
from penwright.formats.clean.steps import CONTROL, NEWLINES, TAGS

EXAMPLES = 5
"""Places kept of each fault."""


@dataclass(frozen=True)
class Fault:
    """A pattern, and how often it must be there (a share of the words) to be worth a word."""

    pattern: re.Pattern[str]
    says: str
    fix: str
    hint: tuple[str, ...]
    """Unless one of these stands in the text, the pattern need not be tried."""
    share: float = 0.0


FAULTS = {
    "marker": Fault(
        re.compile(r"<\|(?:end|start)oftext\|>"),
        "hold an end-of-text marker as ordinary text",
        "If it should end documents, read it from a .txt file (or with --format text).",
        ("oftext|>",),
    ),
    "mojibake": Fault(
        re.compile(r"Ã[\x80-\xbf©¨¤¶¼±§]|â€[™œ\x9d\x9c\x99“”¦]|Â[\xa0-\xbf]"),
        "hold text that was once read in a wrong encoding (such as cafÃ© for café)",
        "Mend it with --clean mojibake.",
        ("Ã", "â€", "Â"),
    ),
    "entities": Fault(
        re.compile(r"&(?:amp|lt|gt|quot|apos|nbsp|#\d{2,5}|#x[0-9a-fA-F]{2,5});"),
        "hold HTML entities (such as &amp;)",
        "Undo them with --clean entities.",
        ("&",),
    ),
    "tags": Fault(
        TAGS,
        "hold HTML tags",
        "Take them out with --clean tags, or the model will write them too.",
        ("</", "<br", "<p"),
    ),
    "tokenized": Fault(
        re.compile(r"\w (?:n['’]t|['’](?:s|re|ve|ll|m|d))\b|\w [,.!?;:](?= |\n|\Z)|`` "),
        "have spaces before their punctuation",
        "Mend it with --clean detokenize.",
        (" ,", " .", " n't", "`` ", " '"),
        share=0.02,
    ),
    "replaced": Fault(
        re.compile("\ufffd"),
        "hold the sign for a character that was lost (U+FFFD)",
        "Go back to the source of the text and read it with --encoding, such as cp1252.",
        ("\ufffd",),
    ),
    "control": Fault(
        CONTROL,
        "hold control characters",
        "Take them out with --clean control, unless the model should write them.",
        tuple(map(chr, (*range(9), 11, 12, *range(14, 32), 127))),
    ),
    "newline": Fault(
        NEWLINES,
        "spell line breaks out (as \\n or <newline>)",
        "Make them line breaks with --clean newlines, or the model will spell them out too.",
        ("\\n", "<newline>", "<br"),
    ),
    "news": Fault(
        re.compile(r"\(CNN[^)\n]{0,40}\)|(?:PUBLISHED|UPDATED):[\s.]*\d{1,2}:\d{2}"),
        "hold a newspaper's datelines and time stamps",
        "Take them out with --clean news.",
        ("(CNN", "PUBLISHED", "UPDATED"),
    ),
}


@dataclass
class Faults:
    """Which faults were found, in how many documents, and where first."""

    documents: Counter[str] = field(default_factory=Counter)
    hits: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    def look(self, document: Document, *, new: bool) -> None:
        """Look through a document, or a further piece of one (then not `new`)."""
        text = document.text
        for name, fault in FAULTS.items():
            if any(hint in text for hint in fault.hint):
                hits = sum(1 for _ in fault.pattern.finditer(text))
                if hits:
                    self.note(name, document, hits, new=new)
        self._look_at_spans(document, new=new)

    def note(self, name: str, document: Document, hits: int = 1, *, new: bool = True) -> None:
        """Count a fault."""
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
