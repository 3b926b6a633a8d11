"""Which format a file has: by its name, else by what it begins with."""

from __future__ import annotations

import json
from pathlib import Path

from penwright.formats.files import SUFFIXES, kind_suffix, read_head
from penwright.formats.keywords.reader import is_keyword_text

_COQA = (b'"story"', b'"questions"', b'"input_text"')


def detect(path: str | Path) -> str:
    """The format's name, one of those that `--format` takes."""
    known = SUFFIXES.get(kind_suffix(path))
    if known == "json":
        head = read_head(str(path))
        return "coqa" if all(mark in head for mark in _COQA) else "json"
    if known not in (None, "text"):
        return str(known)
    head = read_head(str(path))
    if is_keyword_text(head[:100].decode("utf-8-sig", "replace")):
        return "keywords"
    if known is not None:
        return known
    first = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].strip()
    if first.startswith(b"{"):
        try:
            if isinstance(json.loads(first), dict):
                return "jsonl"
        except ValueError:
            return "text"
    return "text"
