"""Texts that begin with their keywords: made from a table, and taken apart again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from penwright.config import KeywordsConfig, build
from penwright.errors import DataError, UsageError, suggest
from penwright.formats.keyword_file import decode_file
from penwright.formats.keyword_table import Encoded, encode
from penwright.sections import NAMES, Marks
from penwright.wording import Warn, count


def encode_keywords(
    *data: str | Path, output: str | Path, warn: Warn = lambda _: None, **options: Any
) -> Encoded:
    """Write a line for each row of the tables `data`: its keywords, then its title or text.

    `options` are those of `penwright keywords encode`. Raises DataError and OutOfRoomError.
    """
    return run_encode(data, Path(output), build(KeywordsConfig, options), warn)


def run_encode(
    paths: Sequence[str | Path], output: Path, config: KeywordsConfig, warn: Warn
) -> Encoded:
    """Encode, as `config` asks."""
    if output.resolve() in {Path(path).resolve() for path in paths}:
        raise UsageError(f"{output} would replace the data.", fix="Choose another --output.")
    return encode(paths, output, config, warn)


def decode_keywords(
    path: str | Path,
    sections: Sequence[str] = NAMES,
    *,
    marks: Marks | None = None,
    warn: Warn = lambda _: None,
) -> Iterator[dict[str, str]]:
    """These sections of every text in a file, as a stream; texts without all of them are left out.

    Raises UsageError for a section that there is not, DataError for a file that cannot be read or
    has no such text.
    """
    for name in sections:
        if name not in NAMES:
            raise UsageError(
                f"There is no section '{name}'.",
                fix=suggest(name, NAMES) or f"There is: {', '.join(NAMES)}.",
            )
    wanted = tuple(sections)
    some = wanted == NAMES
    lacking = kept = 0
    for found in decode_file(path, marks or Marks(), warn):
        if some or all(name in found for name in wanted):
            kept += 1
            yield {name: found[name] for name in wanted if name in found}
        else:
            lacking += 1
    if lacking:
        warn(
            f"{path}: {count(lacking, 'text', 'was')} left out, without a section that was asked "
            "for."
        )
    if not kept:
        raise DataError(
            f"{path} has no text with sections in it.",
            fix="It should be what `penwright keywords encode` wrote, or a model that learned it.",
        )
