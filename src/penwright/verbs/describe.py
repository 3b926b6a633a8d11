"""Describe a model, and the runs with their results; tell models from data by name. No torch."""

from __future__ import annotations

import glob
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penwright import report
from penwright.errors import ModelError, RunError, UsageError, suggest
from penwright.runs import RUNS, Run, find_run, list_runs

if TYPE_CHECKING:
    from penwright.weights.describing import Description


def names_model(name: str | Path) -> bool:
    """Return whether `name` is a model: a path to one, a run, a size, base, or a name on the Hub.

    The rule of `weights.names`; what lies there and is no model is data, and so is what is
    written as a file, a pattern or an address.
    """
    from penwright.formats.catalog import SUFFIXES
    from penwright.formats.corpora import PAIR_SUFFIXES
    from penwright.formats.streams import kind_suffix
    from penwright.remote import is_remote
    from penwright.weights import names

    text = str(name)
    path = Path(name).expanduser()
    separated = "/" in text or "\\" in text or isinstance(name, Path)
    if not separated and text in ("base", *names.HUB_NAMES):
        return True
    if path.is_dir():
        from penwright.tokens.store import HEADER

        if (path / HEADER).is_file():
            return False
    if path.exists():
        return names.kind_of(path) is not None
    if not separated and (RUNS / text / "run.json").is_file():
        return True
    as_data = is_remote(text) or glob.has_magic(text) or kind_suffix(text) in SUFFIXES
    return not as_data and not any(Path(text + end).exists() for end in PAIR_SUFFIXES)


def describe(name: str | Path) -> Description:
    """Describe a model from its headers; raise ModelError, with near names, if it is missing."""
    from penwright.weights import describing, names

    if not str(name):
        raise UsageError("There is nothing to look at.", fix="Name data or a model.")
    try:
        return describing.describe(name)
    except ModelError as error:
        is_hub = names.resolve(name).kind == "hub"
        if not is_hub or str(name) in names.KNOWN or "/" in str(name):
            raise
        beside = [item.name for item in Path().iterdir()]
        known = [*names.KNOWN, *(run.name for run in list_runs()), *beside]
        near = suggest(str(name), known)
        raise ModelError(
            f"'{name}' is no file or folder, no run, and no model on this machine.",
            fix=near or error.fix,
        ) from None


@dataclass(frozen=True)
class Summary:
    """One line about a run."""

    name: str
    status: str
    created: str
    model: str
    step: int
    steps: int
    perplexity_before: float | None
    perplexity_after: float | None
    seconds: float | None
    folder: str
    resume: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the line for a program."""
        return asdict(self)


def summarise(folder: Path = RUNS) -> tuple[list[Summary], list[str]]:
    """Return every run under `folder`, oldest first, and a sentence for each damaged one."""
    summaries, damaged = [], []
    for run in list_runs(folder):
        try:
            summaries.append(_summary(run))
        except (RunError, KeyError) as error:
            damaged.append(f"{run.folder} cannot be read: {error}")
    return summaries, damaged


def write_report(name: str | Path) -> Path:
    """Write the HTML report of a run, given by name or folder, again; return its path."""
    return report.write(find_run(name).folder)


def _summary(run: Run) -> Summary:
    info, status = run.info, run.status
    result = info.get("result", {})
    return Summary(
        name=run.name,
        status=status,
        created=info["created"],
        model=info["model"]["name"],
        step=result.get("steps") or run.last_step(),
        steps=info["plan"]["steps"],
        perplexity_before=result.get("perplexity_before"),
        perplexity_after=result.get("perplexity_after"),
        seconds=result.get("seconds"),
        folder=str(run.folder),
        resume=f"penwright finetune --resume --name {run.name}"
        if status == "interrupted"
        else None,
    )
