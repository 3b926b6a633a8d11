"""List the runs with their results, and write the report of one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penwright import report
from penwright.errors import RunError
from penwright.runs import RUNS, Run, list_runs


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
        """The line for a program."""
        return asdict(self)


def summarise(folder: Path = RUNS) -> tuple[list[Summary], list[str]]:
    """Every run under `folder`, oldest first, and a sentence for each that is damaged."""
    summaries, damaged = [], []
    for run in list_runs(folder):
        try:
            summaries.append(_summary(run))
        except (RunError, KeyError) as error:
            damaged.append(f"{run.folder} cannot be read: {error}")
    return summaries, damaged


def write_report(name: str | Path) -> Path:
    """Write the HTML report of a run, given by name or folder, again; return its path."""
    folder = Path(name) if (Path(name) / "run.json").exists() else RUNS / name
    return report.write(Run.open(folder).folder)


def _summary(run: Run) -> Summary:
    info, status = run.info, run.status
    result = info.get("result", {})
    steps = [record["step"] for record in run.metrics()[-1:]]
    return Summary(
        name=run.name,
        status=status,
        created=info["created"],
        model=info["model"]["name"],
        step=result.get("steps") or (steps[0] if steps else 0),
        steps=info["plan"]["steps"],
        perplexity_before=result.get("perplexity_before"),
        perplexity_after=result.get("perplexity_after"),
        seconds=result.get("seconds"),
        folder=str(run.folder),
        resume=f"penwright finetune --resume --name {run.name}"
        if status == "interrupted"
        else None,
    )
