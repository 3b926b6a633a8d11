"""Several data sets one after another, each at a lower rate, and each a run of its own."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from penwright import weights
from penwright.config import CrossTrainConfig, FinetuneConfig, build
from penwright.errors import RunError, UsageError
from penwright.runs import RUNS, Run, spell
from penwright.train import Observer
from penwright.train.parallel import need_one_process
from penwright.verbs.finetune import FinishedRun, finished, run_finetune
from penwright.verbs.observers import Logged
from penwright.verbs.run_info import name_for

Paths = Sequence[str | Path]


@dataclass(frozen=True)
class _Stage:
    """A data set of a sequence, the folder of its run, and that of the run before."""

    number: int
    paths: Paths
    folder: Path
    before: Path | None

    @property
    def run(self) -> Run | None:
        """The run in the folder, if one has begun there."""
        return Run(self.folder) if (self.folder / "run.json").is_file() else None


def cross_train(
    data: Sequence[str | Path | Paths],
    *,
    falling: float = 0.5,
    observer: Observer | None = None,
    **options: Any,
) -> list[FinishedRun]:
    """Teach a model one data set after another: each item of `data` is a path, or several paths.

    The runs are NAME-1, NAME-2 and so on; each goes on from the best weights of the one before,
    and its learning rate is `falling` times the other's. `options` are those of `finetune`. The
    same call with `resume=True` goes on where it was stopped or killed, and ends as it would have.
    Raises a PenwrightError that says what to do, and Interrupted, after saving, when stopped.
    """
    sets = [[item] if isinstance(item, (str, Path)) else list(item) for item in data]
    given = [repr(data), f"falling={falling!r}", *(f"{k}={v!r}" for k, v in options.items())]
    command = f"penwright.cross_train({', '.join(given)})"
    return run_sequence(sets, options | {"falling": falling}, observer or Logged(), command)


def run_sequence(
    sets: Sequence[Paths], options: Mapping[str, Any], observer: Observer, command: str
) -> list[FinishedRun]:
    """Bring every stage of a sequence to its end; those that are finished already stay."""
    need_one_process("A sequence")
    config: CrossTrainConfig = build(CrossTrainConfig, options)
    if not sets:
        raise UsageError("There is no data to learn from.", fix="Name a file or a folder.")
    if not config.falling > 0:
        raise UsageError(f"--falling is {config.falling:g}; it must be above 0.", fix="Give 0.5.")
    if config.checkpoint:
        raise UsageError("A sequence goes on from its newest checkpoint; leave --checkpoint out.")
    stages = _plan(sets, config)
    if not config.resume and not config.overwrite:
        _check_free(stages)
    done: list[FinishedRun] = []
    for stage in stages:
        run = stage.run if config.resume else None
        if run is not None and _is_stale(stage, run):
            if not config.overwrite:
                raise RunError(
                    f"{run.folder} is of another sequence.", fix="Add --overwrite to replace it."
                )
            run = None
        if run is not None and run.status == "finished":
            done.append(finished(run))
            continue
        observer.on_message(
            f"Data set {stage.number} of {len(stages)}: {shlex.join(map(str, stage.paths))}"
        )
        asked = _asked(stage, stages, options, resume=run is not None)
        done.append(run_finetune(stage.paths, asked, observer, command))
    return done


def _plan(sets: Sequence[Paths], config: FinetuneConfig) -> list[_Stage]:
    base = config.output_dir or RUNS / (config.name or name_for(sets[0]))
    folders = [base.with_name(f"{base.name}-{number}") for number in range(1, len(sets) + 1)]
    befores = [None, *folders[:-1]]
    return [
        _Stage(number, *each)
        for number, each in enumerate(zip(sets, folders, befores, strict=True), 1)
    ]


def _check_free(stages: Sequence[_Stage]) -> None:
    """Raise RunError where a run is in the way, before the first stage has taken its time."""
    for stage in stages:
        if stage.run is not None:
            raise RunError(
                f"There is a run in {stage.folder} already.",
                fix="Add --resume to go on with the sequence, --overwrite to replace it, or "
                "choose another --name.",
            )


def _is_stale(stage: _Stage, run: Run) -> bool:
    """Return whether the run learned other data, or from weights that have been replaced since."""
    if run.info["data"]["paths"] != [str(path) for path in stage.paths]:
        return True
    if stage.before is None:
        return False
    before = weights.open(spell(stage.before), dtype=torch.float32).model
    return bool(run.info["model"].get("digest") != weights.digest(before))


def _asked(
    stage: _Stage, stages: Sequence[_Stage], options: Mapping[str, Any], *, resume: bool
) -> dict[str, Any]:
    """Return the options of one stage."""
    asked = {**options, "name": None, "output_dir": stage.folder, "resume": resume}
    falling = asked.pop("falling", CrossTrainConfig.falling)
    if stage.before is None:
        return asked
    first = Run(stages[0].folder).info["plan"]["learning_rate"]
    rate = float(f"{first * falling ** (stage.number - 1):.6g}")
    return asked | {"model": spell(stage.before), "learning_rate": rate}
