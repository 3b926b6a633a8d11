"""List the files that are read, and find the format of each in one table."""

from __future__ import annotations

import glob
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import groupby
from pathlib import Path

from penwright.config import DataConfig, FormatName
from penwright.document import MACHINE_WRITTEN
from penwright.errors import DataError, UsageError, suggest
from penwright.formats.books import (
    is_kindle,
    open_docx,
    open_epub,
    open_html,
    open_kindle,
    open_markdown,
    open_odt,
    open_rtf,
    open_subtitles,
)
from penwright.formats.corpora import PAIR_SUFFIXES, is_coqa, open_coqa, open_pairs, open_story
from penwright.formats.decode import is_text_file
from penwright.formats.keyword_file import is_keyword_text, open_keywords
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
from penwright.formats.plain import open_npz, open_plain
from penwright.formats.reader import Input, Reader
from penwright.formats.record_files import is_archive, open_json, open_jsonl, open_parquet
from penwright.formats.streams import kind_suffix, read_head, refuse_suffix
from penwright.formats.tables import open_csv, open_xlsx
from penwright.remote import exists, expand, inside, is_remote, list_folder
from penwright.wording import Warn


@dataclass(frozen=True)
class Format:
    """A format: its reader, the suffixes of its files, and a line for the guide.

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
    "json": Format(
        open_json, _JSON, "JSON: a list of records, or one record after another", is_archive
    ),
    "jsonl": Format(open_jsonl, (".jsonl", ".ndjson"), "JSON: a record a line", _is_json_line),
    "csv": Format(open_csv, (".csv", ".tsv", ".tab"), "rows of columns"),
    "xlsx": Format(open_xlsx, (".xlsx", ".xlsm"), "rows of columns, from the first sheet"),
    "parquet": Format(open_parquet, (".parquet",), "rows of columns"),
    "keywords": Format(
        open_keywords, _TEXT, "texts that begin with their keywords", is_keyword_text
    ),
    "whatsapp": Format(open_whatsapp, _TEXT, "WhatsApp's export: a chat", is_whatsapp),
    "chatml": Format(open_chatml, _TEXT, "conversations in ChatML", is_chatml),
    "kindle": Format(open_kindle, _TEXT, "My Clippings.txt: a highlight is a document", is_kindle),
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
"""The formats by name. Where some share a suffix, the first that recognizes a file reads it."""

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


MOST_LISTED = 8
"""Number of file types that a warning about skipped files lists."""

_LONGEST_NAME = 255  # bytes, of a file on nearly every file system


def find_inputs(
    paths: Sequence[str | Path | Input], patterns: Sequence[str] = (), warn: Warn = lambda _: None
) -> list[Input]:
    """Return files, folders (all the way down) and globs as inputs, each once, pairs together.

    The given order is kept, and `Input`s are passed through; the files of a folder or a glob are
    sorted. In a folder, the files whose names match one of `patterns` are read; without patterns
    those of known types, or all text files if no type is known. `warn` gets the number and the
    types of the skipped files. Raises DataError for a missing file, UsageError for no paths.
    """
    if not paths:
        raise UsageError("No data was given.", fix="Name a file, a folder or a pattern to read.")
    check_paths([path for path in paths if not isinstance(path, Input)])
    inputs: list[Input] = []
    for path in paths:
        if isinstance(path, Input):
            inputs.append(path)
            continue
        for is_story, names in groupby(_expand(str(path), patterns, warn), _is_story):
            if is_story:
                members = tuple(names)
                shown = members[0] if len(members) == 1 else str(path)
                inputs.append(Input(shown, members=members))
            else:
                inputs += map(_as_input, names)
    return list(dict.fromkeys(inputs))


def check_paths(paths: Sequence[object]) -> None:
    """Raise UsageError for arguments that are no paths: texts, lists and dicts from Python."""
    for path in paths:
        if not isinstance(path, (str, os.PathLike)):
            raise UsageError(
                f"Data is named by paths to files, but this is a {type(path).__name__}.",
                fix="Write it to a file, such as texts.jsonl, and give the file's name. Several "
                "names are given one by one.",
            )
        text = str(path)
        if "\n" in text or len(text.split("/")[-1]) > _LONGEST_NAME:
            raise UsageError(
                f"'{text[:40]}...' is a text; data is named by paths to files.",
                fix="Write the text to a file, such as story.txt, and give the file's name.",
            )


def _is_story(name: str) -> bool:
    return kind_suffix(name) == ".story"


def _expand(name: str, patterns: Sequence[str], warn: Warn) -> Iterator[str]:
    path = Path(name)
    if is_remote(name):
        for match in expand(name):
            names = list_folder(match)
            files = {file: inside(match, file) for file in names or ()}
            yield from (match,) if names is None else _folder(match, files, patterns, warn)
    elif path.is_dir():
        yield from _folder(name, _files_below(path), patterns, warn)
    elif path.exists():
        yield name
    elif glob.has_magic(name):
        # Path.glob takes no absolute patterns.
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207
        if not matches:
            raise DataError(
                f"Nothing matches '{name}'.",
                fix=f"The pattern is relative to {Path.cwd()}. Name a file, a folder or a pattern.",
            )
        for match in matches:
            below = _files_below(Path(match)) if Path(match).is_dir() else None
            yield from (match,) if below is None else _folder(match, below, patterns, warn)
    elif any(Path(name + suffix).exists() for suffix in PAIR_SUFFIXES):
        yield next(name + suffix for suffix in PAIR_SUFFIXES if Path(name + suffix).exists())
    else:
        raise DataError(f"There is no file or folder '{name}'.", fix=_nearby(path))


def _files_below(folder: Path) -> dict[str, str]:
    """Return the files below a folder, by their names relative to it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): str(path) for path in files}


def _folder(
    folder: str, below: Mapping[str, str], patterns: Sequence[str], warn: Warn
) -> Iterator[str]:
    """Yield the files of a folder that are read; hidden ones (`.name`) are not looked at.

    `below` has the paths of all its files by their names relative to it.
    """
    names = sorted((name for name in below if not _is_hidden(name)), key=Path)
    if not names:
        raise DataError(f"The folder '{folder}' has no files in it.", fix="Name another.")
    labels = {name for name in names if _is_label(name, below)}
    if patterns:
        chosen = [name for name in names if _matches(Path(name), patterns)]
    else:
        texts = [name for name in names if name not in labels]
        chosen = [name for name in texts if kind_suffix(name) in SUFFIXES]
        chosen = chosen or [name for name in texts if is_text_file(below[name])]
    others = Counter(
        "label of generated text" if name in labels else _suffix_or_name(Path(name))
        for name in set(names) - set(chosen)
    )
    if others:
        listed = ", ".join(f"{count:,} {kind}" for kind, count in others.most_common(MOST_LISTED))
        more = ", ..." if len(others) > MOST_LISTED else ""
        example = next((f"*{kind}" for kind, _ in others.most_common() if kind[0] == "."), "*")
        told = f"{others.total():,} of {len(names):,} files are not read: {listed}{more}."
        choose = f'Choose files by name, such as --files "{example}".'
        if not chosen:
            raise DataError(f"{folder}: {told}", fix=choose)
        warn(f"{folder}: {told} {choose}")
    yield from (below[name] for name in chosen)


def _suffix_or_name(path: Path) -> str:
    return path.suffix.lower() or path.name


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in Path(name).parts)


def _is_label(name: str, below: Mapping[str, str]) -> bool:
    """Return whether a file is what `generate` writes beside a text file, not a text itself."""
    return (
        name.endswith(".json")
        and name.removesuffix(".json") in below
        and f'"{MACHINE_WRITTEN}": true'.encode() in read_head(below[name])
    )


def _matches(path: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch(path.name, p) or fnmatch(path.as_posix(), p) for p in patterns)


def _as_input(name: str) -> Input:
    for source, target in PAIR_SUFFIXES.items():
        if name.endswith((source, target)):
            stem = name.removesuffix(source).removesuffix(target)
            prompts, texts = stem + source, stem + target
            missing = [half for half in (prompts, texts) if not _exists(half)]
            if not missing:
                return Input(prompts, texts)
            if source.startswith(".wp_"):
                raise DataError(
                    f"{name} needs the other half of the pair, {Path(missing[0]).name}, beside it."
                )
    return Input(name)


def _exists(name: str) -> bool:
    return exists(name) if is_remote(name) else Path(name).exists()


def _nearby(path: Path) -> str:
    folder = path.parent
    return suggest(path.name, (p.name for p in folder.iterdir())) if folder.is_dir() else ""
