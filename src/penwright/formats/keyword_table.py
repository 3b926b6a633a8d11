"""Encode a table of titles as a file of texts that begin with their keywords.

Rows are streamed. The lines of a row depend on the row, its number and the seed; the order of all
lines depends on the seed: the file is the same, byte for byte, for any number of processes.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import marshal
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from penwright import formats
from penwright.config import DataConfig, KeywordsConfig
from penwright.errors import DataError, UsageError
from penwright.files import atomic_file, disk_errors
from penwright.formats.catalog import find_inputs
from penwright.formats.keyword_extractors import Extractor, choose_extractor, load_extractor, tidy
from penwright.formats.reader import Input, place
from penwright.formats.records import RecordReader, text_of
from penwright.sections import Marks, build_line, slug
from penwright.wording import Warn, count
from penwright.workers import spread

BATCH = 256
"""Rows in a job."""
_FEW_JOBS = 4
"""Jobs that are done in this process before others are started."""
_IN_MEMORY = 1 << 26
"""Characters of lines that are sorted in memory."""
_TARGET = "penwright.formats.keyword_table:make_work"

Sections = Mapping[str, str]


class Columns(NamedTuple):
    """The column of each section, and the column that keywords are extracted from."""

    title: str | None
    body: str | None
    category: str | None
    keywords: str | None
    source: str | None


@dataclass(frozen=True)
class Encoded:
    """The counts of an encoded table, and its files."""

    rows: int
    lines: int
    says: str
    held_out: Path | None = None
    """The second file, where some rows were held out."""


def encode(
    paths: Sequence[str | Path], output: Path, config: KeywordsConfig, warn: Warn
) -> Encoded:
    """Write the lines of all rows to `output`, shuffled.

    The lines of a share `held_out` of the rows go to a second file beside it, one line a row: all
    lines of a row are in the same file, since they have the same title.

    Raises DataError for rows that cannot be read, UsageError for invalid options, and
    OutOfRoomError when the file cannot be written.
    """
    check(config)
    readers = [_open(item, config) for item in find_inputs(paths, warn=warn)]
    columns = [_columns(reader, config) for reader in readers]
    extractor = choose_extractor(config.extractor, config.spacy_model)
    if config.keywords_field is not None:
        says = f"Keywords are those of column '{config.keywords_field}'."
        extractor = Extractor("none", None, says)
    warn(extractor.says)
    count = 0

    def lines(config: KeywordsConfig, warn: Warn, held_out: bool) -> Iterator[tuple[int, str]]:
        nonlocal count
        border = int(config.held_out * (1 << 64))
        rows = enumerate(_read(readers, columns, warn))
        mine = (row for row in rows if (_key(config.seed, row[0], -1) < border) == held_out)
        for rows_done, result in _work(_jobs(mine), config, extractor):
            count += rows_done
            yield from result

    written = write_in_order(lines(config, warn, False), output)
    second = output.with_suffix(f".held-out{output.suffix}") if config.held_out else None
    if second is not None:
        once = replace(config, repeat=1)
        measured = write_in_order(lines(once, lambda _: None, True), second)
        if count and not (written and measured):
            raise DataError(
                f"{paths[0]} has too few rows to hold some out.", fix="Say --held-out 0."
            )
        written += measured
    if not count:
        raise DataError(f"{paths[0]} has no row with text in it.")
    return Encoded(count, written, extractor.says, second)


def check(config: KeywordsConfig) -> None:
    """Raise UsageError for numbers out of range."""
    Marks(config.start_token, config.end_token)
    if config.repeat < 1 or config.max_keywords < 0:
        raise UsageError("A row has at least one line, and a line no fewer than 0 keywords.")
    if not 0 <= config.held_out < 1:
        raise UsageError(f"held_out is a share from 0 to below 1, not {config.held_out}.")
    if not 0 <= config.keyword_dropout <= 1:
        raise UsageError(f"keyword_dropout is a share from 0 to 1, not {config.keyword_dropout}.")


def _open(item: Input, config: KeywordsConfig) -> RecordReader:
    wanted = config.title_field or config.body_field
    data = DataConfig(
        format=config.format, header=config.header, encoding=config.encoding, text_column=wanted
    )
    reader = formats.open_reader(item, data)
    if not isinstance(reader, RecordReader):
        raise DataError(
            f"{item.path} is {reader.choice.format}, not a table.",
            fix="Give a CSV, JSONL, JSON or Parquet file; --format says which it is.",
        )
    names = reader.choice.columns
    for name in (config.body_field, config.category_field, config.keywords_field):
        if name is not None and name not in names:
            listed = ", ".join(names)
            raise DataError(
                f"{item.path} has no column '{name}'.", fix=f"Its columns are: {listed}."
            )
    return reader


def _columns(reader: RecordReader, config: KeywordsConfig) -> Columns:
    title = config.title_field
    if title is None and config.body_field is None:
        title = reader.choice.learn[-1]
    source = config.keywords_from or title or config.body_field
    if source is not None and source not in reader.choice.columns:
        raise DataError(
            f"{reader.choice.path} has no column '{source}'.",
            fix=f"Its columns are {', '.join(reader.choice.columns)}.",
        )
    return Columns(title, config.body_field, config.category_field, config.keywords_field, source)


def _read(
    readers: Sequence[RecordReader], columns: Sequence[Columns], warn: Warn
) -> Iterator[dict[str, str]]:
    """Yield the sections of each row, and under `source` the text that keywords come from."""
    empty = 0
    for reader, names in zip(readers, columns, strict=True):
        given = [(name, column) for name, column in names._asdict().items() if column is not None]
        for record in reader.records(warn):
            where = place(reader.choice.path, record.line, reader.unit)
            row = {n: text_of(where, record, c) for n, c in given if c in record.values}
            if any(row.get(name, "").strip() for name in ("title", "body")):
                yield row
            else:
                empty += 1
    if empty:
        warn(f"{count(empty, 'row', 'was')} left out, without text.")


def _jobs(rows: Iterator[tuple[int, Sections]]) -> Iterator[list[tuple[int, Sections]]]:
    while job := list(itertools.islice(rows, BATCH)):
        yield job


def _work(
    jobs: Iterator[list[tuple[int, Sections]]], config: KeywordsConfig, extractor: Extractor
) -> Iterator[tuple[int, list[tuple[int, str]]]]:
    """Yield each job's row count and lines with sort keys; in this process while jobs are few."""
    setup = {
        "extractor": tuple(extractor),
        "separator": config.keyword_separator,
        "dropout": config.keyword_dropout,
        "repeat": config.repeat,
        "most": config.max_keywords,
        "longest": config.keyword_length_max,
        "start": config.start_token,
        "end": config.end_token,
        "seed": config.seed,
    }
    return spread(_TARGET, setup, jobs, config.work, few=_FEW_JOBS)


def make_work(setup: Mapping[str, Any]) -> Callable[[Any], Any]:
    """Return one process's function from numbered rows to their count and lines with sort keys."""
    extractor = Extractor(*setup["extractor"])
    extract = None if extractor.name == "none" else load_extractor(extractor, setup["longest"])
    marks = Marks(setup["start"], setup["end"])

    def work(job: list[tuple[int, Sections]]) -> tuple[int, list[tuple[int, str]]]:
        if extract is None:
            found = [tidy(row.get("keywords", "").split(setup["separator"])) for _, row in job]
        else:
            found = extract([row.get("source", "") for _, row in job])
        return len(job), [
            (_key(setup["seed"], number, variant), line)
            for (number, row), keywords in zip(job, found, strict=True)
            for variant, line in enumerate(make_lines(row, keywords, number, setup, marks))
        ]

    return work


def make_lines(
    row: Sections, keywords: Sequence[str], number: int, setup: Mapping[str, Any], marks: Marks
) -> list[str]:
    """Return the lines of one row, each with some of its keywords: a function of row and seed."""
    chance = random.Random(f"{setup['seed']} {number}")
    sections = {name: row[name].strip("\n") for name in ("title", "body") if name in row}
    if "category" in row:
        sections["category"] = slug(row["category"], lower=True)
    lines = []
    dropout = setup["dropout"]
    for _ in range(setup["repeat"]):
        kept = [word for word in keywords if not dropout or chance.random() >= dropout]
        chance.shuffle(kept)
        chosen = kept[: chance.randint(0, setup["most"])]
        lines.append(build_line({**sections, "keywords": " ".join(chosen)}, marks))
    return lines


def _key(seed: int, number: int, variant: int) -> int:
    text = f"{seed} {number} {variant}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def write_in_order(lines: Iterable[tuple[int, str]], output: Path, room: int = _IN_MEMORY) -> int:
    """Write lines in the order of their 64-bit keys, in bounded memory; returns their number.

    When they are more than fit in `room` characters they go to files by the first bits of their
    keys, each of which is then put in order by itself.
    """
    with contextlib.ExitStack() as stack:
        with disk_errors(output):
            output.parent.mkdir(parents=True, exist_ok=True)
        files: list[Any] = []
        waiting: list[tuple[int, str]] = []
        size = count = 0
        for item in lines:
            count += 1
            waiting.append(item)
            size += len(item[1])
            if size >= room:
                if not files:
                    folder = stack.enter_context(tempfile.TemporaryDirectory(dir=output.parent))
                    places = [Path(folder) / str(number) for number in range(64)]
                    files = [stack.enter_context(place.open("w+b")) for place in places]
                _spread(waiting, files)
                waiting, size = [], 0
        with (
            atomic_file(output) as temporary,
            temporary.open("w", encoding="utf-8", newline="\n") as file,
        ):
            if not files:
                file.writelines(line for _, line in sorted(waiting))
            else:
                _spread(waiting, files)
                for part in files:
                    file.writelines(line for _, line in sorted(_gather(part)))
    return count


def _spread(items: Iterable[tuple[int, str]], files: Sequence[Any]) -> None:
    for key, line in items:
        marshal.dump((key, line), files[key * len(files) >> 64])


def _gather(file: Any) -> Iterator[tuple[int, str]]:
    file.flush()
    end = file.tell()
    file.seek(0)
    while file.tell() < end:
        yield marshal.load(file)
