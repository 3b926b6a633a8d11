"""The formats that Penwright reads: one table, from which a file's format is found."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from penwright.config import DataConfig, FormatName
from penwright.formats.books import (
    open_docx,
    open_epub,
    open_html,
    open_markdown,
    open_odt,
    open_rtf,
    open_subtitles,
)
from penwright.formats.coqa import is_coqa, open_coqa
from penwright.formats.json_records import open_json, open_jsonl
from penwright.formats.keywords.keyword_file import is_keyword_text, open_keywords
from penwright.formats.messengers import (
    is_chatml,
    is_discord,
    is_telegram,
    is_whatsapp,
    open_chatml,
    open_discord,
    open_telegram,
    open_whatsapp,
)
from penwright.formats.news import open_story
from penwright.formats.pairs import PAIR_SUFFIXES, open_pairs
from penwright.formats.parquet import open_parquet
from penwright.formats.plain import open_npz, open_plain
from penwright.formats.reader import Input, Reader
from penwright.formats.streams import kind_suffix, read_head, refuse_suffix
from penwright.formats.tables import open_csv, open_xlsx


@dataclass(frozen=True)
class Format:
    """One format: its reader, the names of its files, and a line for the guide.

    Where several formats share a suffix, `recognize` tells them apart by the first 64 KiB of the
    file; it also finds the format of a file whose suffix is unknown.
    """

    open: Callable[[Input, DataConfig], Reader]
    suffixes: tuple[str, ...]
    help: str
    recognize: Callable[[bytes], bool] | None = None


def _is_json_line(head: bytes) -> bool:
    first = head.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].strip()
    try:
        return first.startswith(b"{") and isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


_JSON = (".json",)
_TEXT = (".txt", ".text")
_MARKED_UP = (".fountain", ".rst", ".org", ".adoc", ".tex")

FORMATS: Mapping[FormatName, Format] = {
    "coqa": Format(open_coqa, _JSON, "CoQA: a passage, then questions and answers", is_coqa),
    "telegram": Format(open_telegram, _JSON, "Telegram's export: a chat", is_telegram),
    "discord": Format(open_discord, (*_JSON, ".csv"), "DiscordChatExporter's: a chat", is_discord),
    "json": Format(open_json, _JSON, "JSON: a list of records, or one record after another"),
    "jsonl": Format(open_jsonl, (".jsonl", ".ndjson"), "JSON: a record a line", _is_json_line),
    "csv": Format(open_csv, (".csv", ".tsv", ".tab"), "rows of columns"),
    "xlsx": Format(open_xlsx, (".xlsx", ".xlsm"), "rows of columns, from the first sheet"),
    "parquet": Format(open_parquet, (".parquet",), "rows of columns"),
    "keywords": Format(
        open_keywords, _TEXT, "texts that begin with their keywords", is_keyword_text
    ),
    "whatsapp": Format(open_whatsapp, _TEXT, "WhatsApp's export: a chat", is_whatsapp),
    "chatml": Format(open_chatml, _TEXT, "conversations in ChatML", is_chatml),
    "markdown": Format(open_markdown, (".md", ".markdown"), "a file is a document"),
    "docx": Format(open_docx, (".docx",), "a file is a document"),
    "odt": Format(open_odt, (".odt",), "a file is a document"),
    "rtf": Format(open_rtf, (".rtf",), "a file is a document"),
    "html": Format(open_html, (".html", ".htm", ".xhtml"), "a page is a document"),
    "subtitles": Format(open_subtitles, (".srt", ".vtt"), "what is said, a line a caption"),
    "epub": Format(open_epub, (".epub",), "a book is a document"),
    "pairs": Format(
        open_pairs,
        (*PAIR_SUFFIXES, *PAIR_SUFFIXES.values()),
        "a file of prompts beside a file of the texts that answer them, a line each",
    ),
    "story": Format(open_story, (".story",), "an article, then its highlights"),
    "npz": Format(open_npz, (".npz",), "texts that gpt-2-simple has encoded"),
    "text": Format(open_plain, (*_TEXT, *_MARKED_UP), "plain text"),
}
"""The formats by name. Of those that share a suffix, the first that recognizes a file reads it."""

SUFFIXES = frozenset(suffix for kind in FORMATS.values() for suffix in kind.suffixes)


def detect(path: str | Path) -> FormatName:
    """Return the format of a file: by its suffix, and by its beginning where that is not enough."""
    suffix = kind_suffix(path)
    refuse_suffix(str(path), suffix)
    claims = [name for name, kind in FORMATS.items() if suffix in kind.suffixes]
    if len(claims) == 1:
        return claims[0]
    head = read_head(str(path))
    for name in claims or FORMATS:
        recognize = FORMATS[name].recognize
        if recognize is not None and recognize(head):
            return name
    return claims[-1] if claims else "text"
