"""Find what texts copied word for word from a run's training text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np

from penwright import report
from penwright.config import CopiedConfig, build, flat_values
from penwright.dataset.tasks import sample_prompts
from penwright.dataset.training_text import TrainingText, open_training_text
from penwright.errors import DataError, PenwrightError, UsageError
from penwright.files import write_json, write_text
from penwright.index.repeats import CopiedText, counted_tokens, find_copied
from penwright.report.samples import copied_page
from penwright.runs import COPIED, COPIED_PAGE
from penwright.tokens import Tokenizer
from penwright.tokens.store import Int64
from penwright.verbs.generate import load_with
from penwright.wording import Warn, count, log

_DELIMITER = "=" * 20
_HELD_OUT_TEXTS = 200
_MOST_TOKENS = 4_000_000
_SHOWN = 300  # characters of a span in the terminal


class Passage(NamedTuple):
    """A text that was written, after its prompt."""

    prompt: str
    text: str


@dataclass(frozen=True)
class CopiedSpan:
    """A stretch of a text, [start, end) in characters, and where the training text has it."""

    start: int
    end: int
    tokens: int
    """Tokens of the span that hold a letter or a digit."""
    source: str
    """File and line, or the number of the document."""
    before: str
    """The text before it in the source."""
    after: str


@dataclass(frozen=True)
class SampleCopies:
    """One text and the spans of it that are copied."""

    prompt: str
    text: str
    share: float
    longest: int
    spans: tuple[CopiedSpan, ...]


@dataclass(frozen=True)
class Copied:
    """Spans that texts copied. Lengths count tokens that hold a letter or a digit."""

    run: str
    folder: str
    min_tokens: int
    longest: int
    """The longest copied span."""
    share: float
    """The share of all tokens that stand in copied spans."""
    samples: tuple[SampleCopies, ...]
    held_out: HeldOut | None
    """The same figures of people's text of the same kind, which was not trained on."""

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{count(len(self.samples), 'text')}: {self.share:.1%} of the tokens are copied "
            f"from the training text; the longest span is {count(self.longest, 'token')}."
        ]
        if self.held_out:
            human = self.held_out
            lines.append(
                f"{count(human.texts, 'held-out text')} of the same length: {human.share:.1%}; "
                f"the longest {count(human.longest, 'token')}."
            )
        lines.append(f"Spans of {self.min_tokens} tokens or more, white space not counted.")
        for number, sample in enumerate(self.samples, 1):
            for span in sample.spans:
                text = " ".join(sample.text[span.start : span.end].split())
                lines.append(f"\nText {number}, {count(span.tokens, 'token')}, {span.source}")
                lines.append(f"    {shorten(text, _SHOWN, placeholder=' ...')}")
        return "\n".join(lines)


@dataclass(frozen=True)
class HeldOut:
    """Figures of held-out text, cut to the length of the samples."""

    longest: int
    share: float
    texts: int


def copied(
    run: str | Path,
    samples: str | Path | None = None,
    *,
    warn: Warn = log,
    **options: Any,
) -> Copied:
    """Find what the texts in the file `samples` copied from the training text of `run`.

    Without `samples` the run's model writes some. `options` are those of `penwright copied`.
    Raises RunError when the training text is gone, DataError when there are no samples.
    """
    return run_copied(run, samples, build(CopiedConfig, options), warn)


def run_copied(
    name: str | Path, samples: str | Path | None, config: CopiedConfig, warn: Warn
) -> Copied:
    """Find the copies as `config` asks."""
    if config.min_tokens < 1:
        raise UsageError(f"--min-tokens must be at least 1, not {config.min_tokens}.")
    passages = None if samples is None else read_passages(Path(samples))
    text = open_training_text(name, warn)
    if passages is not None:
        return find_copies(text, passages, config.min_tokens)
    found = find_copies(text, _write(text, config), config.min_tokens)
    write_json(text.run.folder / COPIED, found.as_json())
    report.write(text.run.folder)
    return found


def record_copies(text: TrainingText, warn: Warn) -> None:
    """Keep what the last samples of the text's run copied as copied.json, for the report.

    Training text of more than four million tokens is left to `penwright copied`, since indexing it
    takes a while.
    """
    samples = sorted((text.run.folder / "samples").glob("step-*.json"))
    try:
        if samples and text.n_tokens <= _MOST_TOKENS:
            found = find_copies(text, read_passages(samples[-1]), CopiedConfig().min_tokens)
            write_json(text.run.folder / COPIED, found.as_json())
    except PenwrightError as error:
        warn(f"Copied text was not looked for: {error.message}")


def read_passages(path: Path) -> list[Passage]:
    """Read texts from a file that `penwright generate` or a run wrote, or from plain text.

    JSON and JSONL hold records with "text" and perhaps "prompt"; plain text holds one text, or
    several with lines of `====================` between. Raises DataError for anything else.
    """
    try:
        content = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"There is no file '{path}'.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder.", fix="Name a file of samples.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: byte {error.start} does not fit.") from None
    if path.suffix in (".json", ".jsonl"):
        passages = list(_records(path, content))
    else:
        passages = [Passage("", part.strip("\n")) for part in content.split(f"\n{_DELIMITER}\n")]
    if not any(passage.text.strip() for passage in passages):
        raise DataError(f"{path} has no text in it.", fix="Name a file with samples.")
    return passages


def _records(path: Path, content: str) -> Iterator[Passage]:
    try:
        if path.suffix == ".json":
            found = json.loads(content)
            records = found if isinstance(found, list) else [found]
        else:
            records = [json.loads(line) for line in content.splitlines() if line.strip()]
    except ValueError as error:
        raise DataError(f"{path} is not valid {path.suffix[1:].upper()}: {error}.") from None
    for number, record in enumerate(records, 1):
        prompt, text = "", record
        if isinstance(record, dict):
            prompt, text = record.get("prompt", ""), record.get("text")
        if not isinstance(text, str) or not isinstance(prompt, str):
            raise DataError(
                f'{path}: record {number} has no "text".',
                fix="Name what `penwright generate --json` wrote, or plain text.",
            )
        yield Passage(prompt, text)


def find_copies(text: TrainingText, passages: Sequence[Passage], min_tokens: int) -> Copied:
    """Find the spans of at least `min_tokens` tokens that `passages` copied from `text`."""
    encoded, begins, found = _look_up(text, passages, min_tokens)
    places = text.places([span.position for one in found for span in one.spans])
    samples = tuple(
        _describe(text, passage, ids, one, places)
        for passage, ids, one in zip(passages, encoded, found, strict=True)
    )
    longest, share = _figures(found)
    length = int(np.median([len(ids) - at for ids, at in zip(encoded, begins, strict=True)]))
    held_out = _measure_held_out(text, min_tokens, max(1, length))
    return Copied(
        text.run.name, str(text.run.folder), min_tokens, longest, share, samples, held_out
    )


def count_copied(
    text: TrainingText, passages: Sequence[Passage], min_tokens: int = CopiedConfig().min_tokens
) -> Int64:
    """Return for each passage its copied and its counted tokens, int64 [n, 2]."""
    _, _, found = _look_up(text, passages, min_tokens)
    return np.array([(one.copied, one.counted) for one in found], dtype=np.int64).reshape(-1, 2)


def _look_up(
    text: TrainingText, passages: Sequence[Passage], min_tokens: int
) -> tuple[list[list[int]], list[int], list[CopiedText]]:
    """Return the tokens of passages, how many are the prompt's, and what was copied."""
    tokenizer = text.tokenizer
    encoded = [tokenizer.encode(one.prompt + one.text) for one in passages]
    begins = [
        _count_tokens(tokenizer, ids, len(one.prompt.encode()))
        for ids, one in zip(encoded, passages, strict=True)
    ]
    counted = counted_tokens(tokenizer)
    return encoded, begins, find_copied(text.index, encoded, counted, min_tokens, begins)


def _write(text: TrainingText, config: CopiedConfig) -> list[Passage]:
    """Write `config.n` texts with the run's model, from beginnings of held-out documents."""
    writer = load_with(text.run.folder, config.compute, text.warn)
    prompts = sample_prompts(text.held_out, text.tokenizer) if len(text.held_out) else [""]
    count = -(-config.n // len(prompts))
    samples = writer.generate(prompts, count, raw=True, **flat_values(config.sampling))
    return [Passage(sample.prompt, sample.text) for sample in samples][: config.n]


def write_page(found: Copied) -> Path:
    """Write the copied spans beside their sources as RUN/copied.html, and return its path."""
    path = Path(found.folder) / COPIED_PAGE
    write_text(path, copied_page(found.as_json()))
    return path


def _figures(found: Sequence[CopiedText]) -> tuple[int, float]:
    """Return the longest span, and the share of counted tokens that are copied."""
    counted = sum(one.counted for one in found)
    share = sum(one.copied for one in found) / counted if counted else 0.0
    return max((one.longest for one in found), default=0), share


def _count_tokens(tokenizer: Tokenizer, ids: Sequence[int], size: int) -> int:
    """Count the leading tokens that begin within the first `size` bytes."""
    ends = np.cumsum([len(tokenizer.token_bytes(token)) for token in ids])
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]]) if len(ends) else ends
    return int((starts < size).sum())


def _describe(
    text: TrainingText,
    passage: Passage,
    ids: Sequence[int],
    found: CopiedText,
    places: dict[int, str],
) -> SampleCopies:
    """Return one text with its spans in characters."""
    whole = text.tokenizer.decode_bytes(ids)
    shift = len(whole.decode("utf-8", "replace")) - len(passage.text)  # prompt, and a first space
    ends = np.cumsum([0, *(len(text.tokenizer.token_bytes(token)) for token in ids)])

    def character(token: int) -> int:
        return max(0, len(whole[: ends[token]].decode("utf-8", "replace")) - shift)

    spans = tuple(
        CopiedSpan(
            start=character(span.start),
            end=character(span.end),
            tokens=span.length,
            source=places[span.position],
            before=before,
            after=after,
        )
        for span in found.spans
        for before, after in [text.around(span.position, span.position + span.end - span.start)]
    )
    share = found.copied / found.counted if found.counted else 0.0
    return SampleCopies(passage.prompt, passage.text, share, found.longest, spans)


def _measure_held_out(text: TrainingText, min_tokens: int, length: int) -> HeldOut | None:
    """Measure the overlap of held-out texts of `length` tokens with the training text."""
    windows = []
    for start, end in text.held_out.ranges.tolist():
        windows += [(at, min(at + length, end)) for at in range(start, end, length)]
    if not windows:
        return None
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), _HELD_OUT_TEXTS)).astype(int)
    ids = [text.store.tokens(*windows[number]) for number in np.unique(chosen).tolist()]
    found = find_copied(text.index, ids, counted_tokens(text.tokenizer), min_tokens)
    return HeldOut(*_figures(found), len(ids))
