"""Write texts for very many prompts, in bounded memory, to a file that can be continued.

Prompts are written in chunks. A chunk is a pure function of its prompts, the settings and the
model, so a run that was killed writes its last chunk again, keeps the rows of it that are in the
file, and ends with the same bytes as one that was not.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from penwright.config import GenerateConfig, GenerateFilesConfig, build, flat_values
from penwright.errors import DataError, RunError, UsageError
from penwright.files import disk_errors, lock_file, refuse_existing, sha256, stamp
from penwright.formats.prompts import PromptFile, PromptRow, open_prompts
from penwright.sample import Seams
from penwright.verbs.generate import Text, Writer, load_with, make_record
from penwright.wording import Warn, count, name_list
from penwright.workers import usable_cores
from penwright.workers.engines import NUMBER, Processes

CHUNK = 256
"""Texts in a chunk; a kill loses the work of one at most."""
_MOST_PROBLEMS = 20
"""Number of broken rows that are listed, of many."""


@dataclass(frozen=True)
class Prompts:
    """The prompts of a command: those given one by one, then those of a file."""

    given: tuple[str, ...]
    file: PromptFile | None = None
    total: int = 0
    broken: int = 0
    """Number of rows of the file that have no prompt; they are left out."""

    def __iter__(self) -> Iterator[PromptRow]:
        for prompt in self.given:
            yield PromptRow(None, prompt)
        if self.file is not None:
            yield from (row for row in self.file.rows(lambda _: None) if not row.problem)

    @property
    def identity(self) -> dict[str, Any]:
        """The prompts' part of what must be the same to continue a file."""
        given = hashlib.sha256(json.dumps(self.given).encode()).hexdigest()
        if self.file is None:
            return {"prompts": given}
        return {
            "prompts": [given, sha256(Path(self.file.path))],
            "prompt_column": self.file.column,
        }

    def require_all(self) -> None:
        """Raise DataError when rows were left out, after everything else is written."""
        if self.broken and self.file is not None:
            raise DataError(
                f"{count(self.broken, 'row')} of {self.file.name} had no prompt that can be read; "
                f"the other {self.total:,} are written.",
                fix="The lines are named above.",
            )


@contextmanager
def collect_prompts(config: GenerateFilesConfig, warn: Warn) -> Iterator[Prompts]:
    """Read the prompts of a command once, to count them; without any, there is one empty prompt.

    `warn` is told of each row that has no prompt. Raises DataError for a file without prompts.
    """
    given = config.prompt or (() if config.prompts else ("",))
    with contextlib.ExitStack() as stack:
        file = None
        if config.prompts is not None:
            file = stack.enter_context(open_prompts(config.prompts, config.prompt_column, warn))
        elif config.prompt_column is not None:
            raise UsageError("--prompt-column needs a file of --prompts.")
        total, broken = len(given), 0
        for row in file.rows(warn) if file else ():
            if row.problem:
                broken += 1
                if broken <= _MOST_PROBLEMS:
                    warn(f"{row.problem} It is left out.")
                continue
            total += 1
        if broken > _MOST_PROBLEMS:
            warn(f"... and {count(broken - _MOST_PROBLEMS, 'more row')} without a prompt.")
        if file is not None and total == len(given):
            raise DataError(f"{file.name} has no prompts.", fix="Write one on each line.")
        yield Prompts(given, file, total, broken)


def write_texts(
    writer: Writer,
    prompts: Prompts,
    config: GenerateFilesConfig,
    *,
    skip: int = 0,
    on_text: Callable[[int, str], None] | None = None,
    warn: Warn | None = None,
) -> Iterator[Text]:
    """Write `config.n` texts for each prompt, in order; yield all but the first `skip` texts."""
    if config.devices > 1:
        yield from _write_on_devices(writer, prompts, config, skip, warn)
        return
    label = writer.label(config.sampling)
    for first, chunk in _chunks(prompts, config, chunk_size(config), skip):
        part = replace(config, prompt=tuple(row.prompt for row in chunk))
        for place, text in enumerate(writer.generate_each(part, first, on_text, warn)):
            if first + place >= skip:
                yield make_record(text, chunk[place // config.n], writer, label)


def _write_on_devices(
    writer: Writer, prompts: Prompts, config: GenerateFilesConfig, skip: int, warn: Warn | None
) -> Iterator[Text]:
    """Write the texts of `write_texts` in one process for each device."""
    label, devices = writer.label(config.sampling), config.devices
    share = -(-prompts.total // devices) * config.n
    chunks = _chunks(prompts, config, min(chunk_size(config), share), skip)
    options = {k: str(v) if isinstance(v, Path) else v for k, v in flat_values(config).items()}
    setup = (str(writer.name), options | {"prompts": None, "output": None, "prompt": ()})
    threads = max(1, usable_cores() // devices)
    with Processes(f"{__name__}:make_work", setup, devices, threads) as engine:
        jobs = ((first, [(row.line, row.prompt) for row in chunk]) for first, chunk in chunks)
        for first, texts, notes in engine.map(jobs):
            if warn is not None:
                for note in notes:
                    warn(note)
            for place, (seams, values) in enumerate(texts):
                if first + place >= skip:
                    yield Text(**values, seams=seams and Seams(**seams), label=label)


def make_work(setup: tuple[str, dict[str, Any]]) -> Callable[[Any], Any]:
    """Open the model in a process of its own; return the function that writes a chunk."""
    import torch

    model, values = setup
    config: GenerateFilesConfig = build(GenerateFilesConfig, values)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ[NUMBER]) % torch.cuda.device_count())
    writer = load_with(model, config.compute, lambda _: None)

    def write(job: tuple[int, list[tuple[int | None, str]]]) -> Any:
        first, rows = job
        chunk = [PromptRow(*row) for row in rows]
        part = replace(config, prompt=tuple(row.prompt for row in chunk))
        notes: list[str] = []
        texts = []
        for place, text in enumerate(writer.generate_each(part, first, None, notes.append)):
            values = asdict(make_record(text, chunk[place // config.n], writer, {}))
            del values["label"]
            texts.append((values.pop("seams"), values))
        return first, texts, notes

    return write


def _chunks(
    prompts: Prompts, config: GenerateConfig, size: int, skip: int
) -> Iterator[tuple[int, list[PromptRow]]]:
    """Yield prompts whose texts are not all among the first `skip`, with the first text's number.

    `size` is the number of texts in a chunk.
    """
    rows = iter(prompts)
    each = max(1, size // config.n)
    for first in itertools.count(0, each * config.n):
        chunk = list(itertools.islice(rows, each))
        if not chunk:
            return
        if first + len(chunk) * config.n > skip:
            yield first, chunk


def chunk_size(config: GenerateConfig) -> int:
    """Return the number of texts in a chunk, all those of a prompt together."""
    wanted = CHUNK if config.batch_size is None else 8 * config.batch_size
    return max(1, wanted // config.n) * config.n


def identify(writer: Writer, prompts: Prompts, config: GenerateConfig) -> dict[str, Any]:
    """Return what must be the same for a file to be continued, by option."""
    label = writer.label(config.sampling)
    return {
        **label.pop("settings"),
        **label,
        **prompts.identity,
        "files_of_the_model": stamp(writer.path),
        "n": config.n,
        "raw": config.raw,
        "keywords": config.keywords,
        "category": config.category,
        "batch_size": config.batch_size,
        "strip": config.strip,
        "retry_empty": config.retry_empty,
        "chunk": chunk_size(config),
    }


def unfinished(path: Path) -> Path:
    """Return the path of the file that lies beside an output until it is complete."""
    return path.with_name(f"{path.name}.unfinished")


def check_output(path: Path) -> None:
    """Raise UsageError for an output that exists and is complete or somebody else's."""
    if not unfinished(path).exists():
        refuse_existing(path)


@contextmanager
def continue_file(path: Path, identity: Mapping[str, Any]) -> Iterator[tuple[int, IO[str]]]:
    """Open a file of rows to append to; yield the number of rows in it and the file.

    Half a last row, left by a kill, is cut off. Beside the file lies `unfinished(path)` with
    `identity`, until the block ends without an error. Raises UsageError when the file there was
    begun with another identity, RunError while another process writes it.
    """
    state = unfinished(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with state.open("a+", encoding="utf-8") as lock:
            try:
                lock_file(lock)
            except OSError:
                raise RunError(
                    f"Another process is writing {path}.", fix="Wait for it, or stop it."
                ) from None
            lock.seek(0)
            before = lock.read()
            if before.endswith("\n"):
                _compare(path, json.loads(before), identity)
            else:
                refuse_existing(path)
                lock.truncate(0)
                lock.write(json.dumps(identity) + "\n")
                _sync(lock)
            done = _repair(path)
            with path.open("a", encoding="utf-8", newline="\n") as rows:
                yield done, rows
                _sync(rows)
        state.unlink()


def _sync(file: IO[str]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _compare(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    now = json.loads(json.dumps(now))
    other = [name for name in now if before.get(name) != now[name]]
    if not other:
        return
    shown = [
        f"{name} {before.get(name)!r}, now {now[name]!r}"
        if len(f"{before.get(name)}{now[name]}") < 80
        else f"other {name.replace('_', ' ')}"
        for name in other
    ]
    raise UsageError(
        f"{path} was begun with {name_list(shown)}.",
        fix="Give the same options and files to continue it, or choose another --output.",
    )


def _repair(path: Path) -> int:
    """Return the number of whole rows in the file, after cutting off half a last one."""
    if not path.exists():
        return 0
    lines, end = 0, 0
    with path.open("rb+") as file:
        for line in file:
            if line.endswith(b"\n"):
                lines, end = lines + 1, end + len(line)
        file.truncate(end)
    return lines
