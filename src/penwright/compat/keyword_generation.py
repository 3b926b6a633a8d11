"""Offer gpt-2-keyword-generation's functions over Penwright.

    from penwright.compat.keyword_generation import encode_keywords, decode_texts

Parameters keep their names, defaults and meaning; `dropout` is applied, as documented there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from penwright.config import KeywordsConfig
from penwright.document import END_OF_TEXT, START_OF_TEXT
from penwright.errors import UsageError, suggest
from penwright.formats.keyword_extractors import find_models
from penwright.sections import BEGINS, MARKS, NAMES, SECTION, Marks, parse
from penwright.verbs.prepare import decode_keywords, run_encode

__all__ = ["build_pattern", "decode_file", "decode_texts", "encode_keywords"]

_DELIMITER = "=" * 20 + "\n"


def encode_keywords(
    csv_path: str | Path,
    model: str = "en_core_web_sm",
    category_field: str | None = None,
    keywords_field: str | None = None,
    title_field: str | None = None,
    body_field: str | None = None,
    keyword_gen: str = "title",
    keyword_sep: str = ",",
    dropout: float = 0.5,
    repeat: int = 3,
    max_keywords: int = 3,
    keyword_length_max: int = 20,
    out_path: str | Path = "csv_encoded.txt",
    start_token: str = START_OF_TEXT,
    end_token: str = END_OF_TEXT,
) -> None:
    """Write `repeat` lines for each row of a CSV file to `out_path`.

    `keyword_gen` is the column that keywords are extracted from. Without the spaCy `model` YAKE
    extracts them, or else a statistic; a line says which. Raises DataError and UsageError.
    """
    config = KeywordsConfig(
        title_field=title_field,
        body_field=body_field,
        category_field=category_field,
        keywords_field=keywords_field,
        keyword_separator=keyword_sep,
        keywords_from=None if keywords_field is not None else keyword_gen,
        spacy_model=model if model in find_models() or Path(model).is_dir() else None,
        keyword_dropout=dropout,
        repeat=repeat,
        max_keywords=max_keywords,
        keyword_length_max=keyword_length_max,
        start_token=start_token,
        end_token=end_token,
        format="csv",
    )
    run_encode([csv_path], Path(out_path), config, _say)


def build_pattern(
    sections: Sequence[str], start_token: str = START_OF_TEXT, end_token: str = END_OF_TEXT
) -> re.Pattern[str]:
    """Return a pattern for a whole text; its groups are these sections, in the order of a line.

    A group holds a section with its escapes, which `decode_texts` undoes.
    """
    _check(sections)
    content = f"((?:(?!{BEGINS.pattern}|{re.escape(end_token)}).)*)"
    # BEGINS has a group, which must not be one of the pattern's groups.
    content = content.replace(BEGINS.pattern, BEGINS.pattern.replace("(", "(?:", 1))
    wanted = [f".*?{re.escape(SECTION + MARKS[n])}{content}" for n in NAMES if n in sections]
    inner = "".join(wanted)
    return re.compile(f"{re.escape(start_token)}{inner}.*?{re.escape(end_token)}", re.DOTALL)


def decode_texts(
    texts: str | Sequence[str],
    sections: Sequence[str] = ("title",),
    start_token: str = START_OF_TEXT,
    end_token: str = END_OF_TEXT,
) -> list[str] | list[tuple[str, ...]]:
    """Return these sections of each text: strings, or tuples for several sections.

    Texts that lack one of them or do not begin with `start_token` are left out.
    """
    _check(sections)
    marks = Marks(start_token, end_token)
    all_texts = [texts] if isinstance(texts, str) else texts
    parsed = [parse(text, marks) for text in all_texts if text.startswith(start_token)]
    whole = [found for found in parsed if all(name in found for name in sections)]
    if len(sections) == 1:
        return [found[sections[0]] for found in whole]
    return [tuple(found[name] for name in sections) for found in whole]


def decode_file(
    file_path: str | Path,
    out_file: str | Path = "texts_decoded.txt",
    doc_delim: str = _DELIMITER,
    sections: Sequence[str] = ("title",),
    start_token: str = START_OF_TEXT,
    end_token: str = END_OF_TEXT,
) -> None:
    """Write these sections of every text in a file, each text followed by `doc_delim`.

    Several sections of a text are written on a line each. The file is read as a stream.
    """
    _check(sections)
    if Path(out_file).resolve() == Path(file_path).resolve():
        raise UsageError(f"{out_file} would replace its source.", fix="Choose another out_file.")
    marks = Marks(start_token, end_token)
    texts = decode_keywords(file_path, sections, marks=marks, warn=_say)
    with Path(out_file).open("w", encoding="utf-8", newline="\n") as file:
        for found in texts:
            text = "\n".join(found[name] for name in sections)
            file.write(f"{text}\n{doc_delim}")


def _check(sections: Sequence[str]) -> None:
    if not sections or isinstance(sections, str):
        raise UsageError("Name sections in a list.", fix=f"There is: {', '.join(NAMES)}.")
    for name in sections:
        if name not in NAMES:
            near = suggest(name, NAMES) or f"There is: {', '.join(NAMES)}."
            raise UsageError(f"There is no section '{name}'.", fix=near)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
