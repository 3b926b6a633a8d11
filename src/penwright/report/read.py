"""Read a run folder into RunData, the values of a report, in spite of damaged files.

A report is most wanted when something went wrong, so a missing figure, a damaged line or half a
sample file never stops it; what could not be read is said in `RunData.unreadable`.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penwright.errors import RunError
from penwright.files import read_json
from penwright.report.series import Series
from penwright.runs import COPIED, QUALITY, RECIPE, RUNS, Run, now, spell
from penwright.wording import amount

# The columns of metrics.jsonl that the report uses.
COLUMNS = (
    "loss",
    "lr",
    "grad_norm",
    "tokens_per_s",
    "memory_mb",
    "gpu_memory_mb",
    "cpu_percent",
    "gpu_percent",
    "mfu_percent",
    "epoch",
    "seconds",
    "tokens_seen",
)

_ON = {"held out": "on what was held out", "data": "on what was learned"}
_NAMES = {"token": "perplexity", "batch": "mean of batches' losses, as perplexity"}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A measurement on held-out text; `full` if all of that text was scored."""

    step: int
    loss: float
    perplexity: float | None
    bits_per_byte: float | None
    tokens: float | None
    seconds: float | None
    full: bool
    best: bool


@dataclass(frozen=True)
class SavedSample:
    """A text that the model wrote, its prompt, and why it stopped: end, stop or length."""

    prompt: str
    text: str
    finish_reason: str


@dataclass(frozen=True)
class Snapshot:
    """All samples of one step."""

    step: int
    samples: tuple[SavedSample, ...]


@dataclass(frozen=True)
class Compared:
    """A figure and its interval before and after the training, as text."""

    name: str
    before: str
    after: str
    beside: tuple[tuple[str, str], ...] = ()
    """The figure of human text and of baselines, by their names."""


@dataclass(frozen=True)
class RecipeText:
    """A text and its author: the data (human), the trained or the untrained model."""

    title: str
    prompt: str
    who: str
    text: str


@dataclass(frozen=True)
class RecipeOutcome:
    """The figures and texts with which a recipe ended."""

    figures: tuple[Compared, ...]
    texts: tuple[RecipeText, ...]


@dataclass(frozen=True, kw_only=True)
class RunData:
    """The values of a report. `handle` names the run on the command line; `curves` is by column.

    A figure that is missing has no place in its Series; one that was not a number is NaN.
    """

    name: str
    handle: str
    status: str
    written: str
    run: Mapping[str, Any]
    curves: Mapping[str, Series] = field(default_factory=dict)
    evaluations: tuple[Measurement, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    outcome: RecipeOutcome | None = None
    copied: Mapping[str, Any] | None = None
    """The output of `penwright copied --json` for the run's samples."""
    quality: Mapping[str, Any] | None = None
    """Figures of what the run's model writes, by author."""
    previous: RunData | None = None
    """The run that this one is compared with, if it is still there."""
    unreadable: tuple[str, ...] = ()

    def part(self, key: str) -> Mapping[str, Any]:
        """Return an object of run.json, or an empty one."""
        value = self.run.get(key)
        return value if isinstance(value, Mapping) else {}


def number(value: object) -> float | None:
    """Return `value` as a float if it is a number within 1e100, else None."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and -1e100 < value < 1e100:
        return float(value)
    return None


def read(run_dir: Path, *, with_previous: bool = True) -> RunData:
    """Read a run folder; raises RunError when it has no run.json or that is damaged."""
    run = Run.open(run_dir)
    info = run.info
    metrics = run_dir / "metrics.jsonl"
    lines: Iterable[str] = ()
    if metrics.exists():
        with metrics.open(encoding="utf-8", errors="replace", newline="\n") as lines:
            curves, evaluations, damaged = read_metrics(lines)
    else:
        curves, evaluations, damaged = {}, (), 0
    snapshots, damaged_files = _read_samples(run_dir / "samples")
    unreadable = list(damaged_files)
    if damaged:
        unreadable.insert(0, f"{damaged:,} line{'s' * (damaged != 1)} of metrics.jsonl")
    outcome = None
    try:
        outcome = read_outcome(run_dir / RECIPE)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        unreadable.append(RECIPE)
    copied = _read_part(run_dir / COPIED, _IN_COPIED)
    quality = _read_part(run_dir / QUALITY, {"columns"})
    for part, name in ((copied, COPIED), (quality, QUALITY)):
        if part is None and (run_dir / name).exists():
            unreadable.append(name)
    folder = run_dir.resolve()
    return RunData(
        name=folder.name,
        handle=_handle(run_dir, folder),
        status=run.status,
        written=now(),
        run=info,
        curves=curves,
        evaluations=evaluations,
        snapshots=snapshots,
        outcome=outcome,
        copied=copied,
        quality=quality,
        previous=_read_previous(run_dir, info) if with_previous else None,
        unreadable=tuple(unreadable),
    )


def _handle(run_dir: Path, folder: Path) -> str:
    """Return the run's name on the command line: its name under runs/, else its path."""
    if folder.parent.name == RUNS.name:
        return folder.name
    return spell(run_dir)


def read_metrics(lines: Iterable[str]) -> tuple[dict[str, Series], tuple[Measurement, ...], int]:
    """Parse metrics.jsonl: curves, measurements and the number of damaged lines.

    A run that fell back to a checkpoint writes steps again: the later lines count. A last line
    without an end is one still being written, and no damage.
    """
    curves: defaultdict[str, Series] = defaultdict(Series)
    evaluations: dict[tuple[int, bool], Measurement] = {}
    newest = damaged = 0
    for line in lines:
        try:
            record = json.loads(line)
            kind, step = record["kind"], int(record["step"])
            if step < (kind == "step"):
                raise ValueError(step)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            damaged += line.endswith("\n") and bool(line.strip())
            continue
        if kind == "step":
            if step <= newest:
                _forget(curves, evaluations, step)
            newest = step
            for name in COLUMNS:
                if name in record:
                    value = number(record[name])
                    curves[name].append(step, math.nan if value is None else value)
        elif kind == "eval":
            evaluations[step, bool(record.get("full"))] = _evaluation(step, record)
    ordered = sorted(evaluations.values(), key=lambda item: (item.step, item.full))
    return dict(curves), tuple(ordered), damaged


def _forget(
    curves: Mapping[str, Series], evaluations: dict[tuple[int, bool], Measurement], step: int
) -> None:
    """Drop all values from `step` on."""
    for curve in curves.values():
        curve.forget(step)
    for key in [key for key in evaluations if key[0] >= step]:
        del evaluations[key]


def _evaluation(step: int, record: Mapping[str, Any]) -> Measurement:
    loss = number(record.get("loss"))
    perplexity = number(record.get("perplexity"))
    if perplexity is None and loss is not None and loss < 700:
        perplexity = math.exp(loss)
    return Measurement(
        step=step,
        loss=math.nan if loss is None else loss,
        perplexity=perplexity,
        bits_per_byte=number(record.get("bits_per_byte")),
        tokens=number(record.get("tokens")),
        seconds=number(record.get("seconds")),
        full=bool(record.get("full")),
        best=bool(record.get("best")),
    )


def _read_samples(folder: Path) -> tuple[tuple[Snapshot, ...], list[str]]:
    """Read the snapshots by step, and name the files that could not be read."""
    snapshots, damaged = [], []
    for path in sorted(folder.glob("step-*.json")):
        found = re.fullmatch(r"step-(\d+)", path.stem)
        try:
            items = json.loads(path.read_text(encoding="utf-8"))
            samples = tuple(
                SavedSample(
                    str(item["prompt"]), str(item["text"]), str(item.get("finish_reason", ""))
                )
                for item in items
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            damaged.append(f"samples/{path.name}")
            continue
        if found and samples:
            snapshots.append(Snapshot(int(found[1]), samples))
    return tuple(sorted(snapshots, key=lambda snapshot: snapshot.step)), damaged


_IN_COPIED = {"run", "min_tokens", "longest", "share", "samples", "held_out"}


def _read_part(path: Path, names: set[str]) -> Mapping[str, Any] | None:
    """Read a file of figures with these keys; None where there is none or it is damaged."""
    try:
        found = read_json(path)
    except RunError:
        return None
    return found if names <= found.keys() else None


def _read_previous(run_dir: Path, info: Mapping[str, Any]) -> RunData | None:
    """Read the run that run.json compares this one with; None where it is gone."""
    previous = info.get("previous")
    if not isinstance(previous, Mapping) or not isinstance(previous.get("name"), str):
        return None
    try:
        return read(run_dir.parent / Path(previous["name"]).name, with_previous=False)
    except RunError:
        return None


def read_outcome(path: Path) -> RecipeOutcome | None:
    """Read a recipe.json, or return None without one.

    Raises OSError for a file that cannot be read; for a damaged one ValueError, TypeError, KeyError
    or AttributeError.
    """
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    figures = (row for one in content["measured"] for row in _compare(one))
    texts = (text for one in content["writing"] for text in _texts(one))
    return RecipeOutcome(tuple(dict.fromkeys(figures)), tuple(texts))


def _compare(one: Mapping[str, Any]) -> Iterator[Compared]:
    before, after = (dict(_figures(one[side])) for side in ("before", "after"))
    others = {
        who: {name: _words(f["value"], f["low"], f["high"]) for name, f in them["figures"].items()}
        for who, them in one["after"].get("beside", {}).items()
    }
    for name, words in after.items():
        beside = tuple((who, them.get(name, "")) for who, them in others.items())
        yield Compared(f"{name}, {_ON[one['on']]}", before.get(name, "-"), words, beside)


def _figures(side: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield _NAMES[side["average"]], _words(side["perplexity"], side["low"], side["high"])
    for name, figure in side.get("metrics", {"figures": {}})["figures"].items():
        yield str(name), _words(figure["value"], figure["low"], figure["high"])


def _words(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "-"
    return amount(value) + (
        "" if low is None or high is None else f" [{amount(low)}, {amount(high)}]"
    )


def _texts(one: Mapping[str, Any]) -> Iterator[RecipeText]:
    human = [] if one["human"] is None else [one["human"]]
    for who, texts in (
        ("human", human),
        ("trained", one["texts"]),
        ("untrained", one["untrained"]),
    ):
        for number, text in enumerate(texts, 1):
            name = who if len(texts) == 1 else f"{who} {number}"
            yield RecipeText(str(one["title"]), str(one["prompt"]), name, str(text))
