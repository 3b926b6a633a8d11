"""Describe a new run for run.json and its model card, and check that a resumed one is the same."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import penwright
from penwright import files, runs, weights
from penwright.config import (
    ABOUT_THE_CALL,
    MAY_CHANGE,
    FinetuneConfig,
    build,
    flat_values,
    given_values,
)
from penwright.dataset.store_cache import Data
from penwright.dataset.tasks import find_template
from penwright.dataset.training import TrainingData
from penwright.doctor import count_repeats
from penwright.errors import RunError
from penwright.runs import RUNS, Run, list_runs, now
from penwright.train import Observer, TrainPlan, newest_sound
from penwright.train.plan import parse_every

_SETTINGS = (
    "steps", "batch_size", "max_length", "shape", "precision", "learning_rate", "schedule",
    "warmup_steps", "weight_decay", "clip", "seed",
)  # fmt: skip


def describe_run(
    opened: weights.OpenedModel,
    dataset: TrainingData,
    paths: Sequence[str | Path],
    config: FinetuneConfig,
    plan: TrainPlan,
    device: torch.device,
) -> dict[str, Any]:
    """Return what run.json says of a new run, but for its command."""
    return {
        "version": penwright.__version__,
        "created": now(),
        "status": "running",
        "model": {
            "name": opened.name,
            "n_parameters": opened.model.n_parameters,
            "config": opened.model.config.to_dict(),
            "tokenizer": opened.tokenizer.hash,
            "digest": weights.digest(opened.model),
        },
        "config": flat_values(config),
        "data": describe_data(dataset, paths),
        "machine": describe_machine(device),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "plan": plan.as_json(),
    }


def describe_data(opened: TrainingData, paths: Sequence[str | Path]) -> dict[str, Any]:
    """Return the names and numbers of a data set."""
    data, splits, share = opened
    training, held_out = splits.training, splits.held_out
    return {
        "paths": [str(path) for path in paths],
        "files": list(data.files),
        "reading": data.reading.as_json(),
        "documents": data.store.n_documents,
        "tokens": data.store.n_tokens,
        "learned": data.store.n_learned,
        "repeated": count_repeats(data.store),
        **({"cleaning": dict(data.cleaning)} if data.cleaning else {}),
        **({"warnings": list(data.warnings)} if data.warnings else {}),
        "training": {"documents": len(training), "tokens": training.n_tokens},
        **({"mix": [dict(source) for source in splits.mix]} if splits.mix else {}),
        "held_out": {
            "documents": len(held_out),
            "tokens": held_out.n_tokens,
            "share": share,
            **({"dropped": splits.dropped} if splits.dropped else {}),
            **({"leaked": splits.leaked, "moved": splits.moved} if splits.leaked else {}),
        },
        "fingerprint": data.fingerprint,
    }


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return the device, processor and system of this machine."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "device": device.type,
        "name": name,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (FileNotFoundError, StopIteration):
        return platform.processor() or platform.machine()


def model_card(run: Run) -> str:
    """Return the model card of a checkpoint of this run."""
    info = run.info
    result: Mapping[str, Any] = info.get("result", {})
    return weights.model_card(
        run.name,
        base_model=info["model"]["name"],
        data=[Path(file).name for file in info["data"]["files"]],
        documents=info["data"]["documents"],
        tokens=info["data"]["tokens"],
        settings={name: info["plan"][name] for name in _SETTINGS},
        perplexity_before=result.get("perplexity_before"),
        perplexity_after=result.get("perplexity_after"),
    )


def describe_form(opened: weights.OpenedModel, data: Data) -> dict[str, Any]:
    """Return what penwright.json says: how a prompt looks in the text that the model learned."""
    form: dict[str, Any] = dict(data.reading.form)
    if markers := opened.format.get("markers", ()):
        form["markers"] = list(markers)
    if template := find_template(data.reading.choices):
        form["template"] = template
    return form


def name_for(paths: Sequence[str | Path]) -> str:
    """Return a run's name from its data: `my stories.txt` gives `my-stories`."""
    first = Path(str(paths[0]).rstrip("/*"))
    return re.sub(r"[^\w.-]+", "-", first.name.split(".")[0]).strip("-.") or "run"


def folder_to_resume(config: FinetuneConfig) -> Path:
    """Return the folder of the run that is named, or of the last one that was interrupted."""
    if config.output_dir:
        return config.output_dir
    if config.name:
        return RUNS / config.name
    waiting = [run for run in list_runs() if run.status in ("interrupted", "failed")]
    if not waiting:
        raise RunError("There is no interrupted run to resume.", fix="Name one with --name.")
    return waiting[-1].folder


def as_it_began(options: Mapping[str, Any]) -> tuple[list[str], FinetuneConfig]:
    """Return the data and the options of the run that `options` resume, with their changes."""
    run = Run.open(folder_to_resume(build(FinetuneConfig, options)))
    stored = build(FinetuneConfig, run.info["config"])
    changed = flat_values(stored) | find_changes(options, stored, run)
    changed |= {"output_dir": run.folder, "model": run.info["model"]["name"]}
    return run.info["data"]["paths"], build(FinetuneConfig, changed)


def find_begun(folder: Path, command: str) -> Path | None:
    """Return the newest run in `folder` that this very command began and did not finish."""
    begun = [
        run.folder
        for run in list_runs(folder)
        if run.status in ("interrupted", "failed") and run.info.get("command") == command
    ]
    return begun[-1] if begun else None


def count_devices(options: Mapping[str, Any]) -> int:
    """Return the number of devices that `options` ask for, or that the run they resume has had."""
    asked: FinetuneConfig = build(FinetuneConfig, options)
    if asked.devices is None and asked.resume:
        asked = as_it_began(options)[1]
    return 1 if asked.devices is None else asked.devices


def choose_checkpoint(run: Run, wanted: str | None, observer: Observer) -> Path | None:
    """Return the checkpoint `wanted`, or the newest sound one; None before the first."""
    if wanted is None:
        return newest_sound(run, observer.on_message) if run.steps() else None
    folder = run.checkpoints / wanted
    if not (folder / "trainer.json").exists():
        can = [run.checkpoint(step).name for step in run.steps()]
        can = [name for name in can if (run.checkpoints / name / "trainer.json").exists()]
        raise RunError(
            f"{run.name} cannot be continued from '{wanted}'.",
            fix=f"It can from: {', '.join(can)}.",
        )
    if damage := runs.find_damage(folder):
        raise RunError(f"{damage}.", fix="Leave --checkpoint out to continue from a sound one.")
    for step in run.steps():
        if run.checkpoint(step).name > folder.name:
            observer.on_message(f"Leaving {run.checkpoint(step).name}, which comes later, behind.")
            files.remove_folder(run.checkpoint(step))
    run.point("latest", int(folder.name.removeprefix("step-")))
    return folder


def check_model(run: Run, opened: weights.OpenedModel, *, is_checkpoint: bool) -> None:
    """Raise RunError unless `opened` is the model that the run began with, or its checkpoint."""
    info = run.info["model"]
    if not is_checkpoint and weights.digest(opened.model) != info.get("digest"):
        raise RunError(
            f"{info['name']} has other weights than when {run.name} began with it.",
            fix="Put the old ones back, or start anew with --overwrite.",
        )
    if opened.tokenizer.hash != info["tokenizer"]:
        raise RunError(
            f"{opened.path} does not have the tokenizer that {run.name} began with.",
            fix="Put the old one back, or start anew with --overwrite.",
        )


def check_data(run: Run, data: Data) -> None:
    """Raise RunError unless `data` is what the run began with."""
    if data.fingerprint != run.info["data"]["fingerprint"]:
        raise RunError(
            f"The data is not what {run.name} began with.",
            fix=f"Put the old files back, or start a new run from it with --model {run.name}.",
        )


def find_changes(options: Mapping[str, Any], stored: FinetuneConfig, run: Run) -> dict[str, Any]:
    """Return the given options that differ from those that the run has.

    Raises RunError for one that may not change. Steps take the place of epochs, and epochs of
    steps.
    """
    old, began_with = flat_values(stored), run.info["model"]["name"]
    asked: FinetuneConfig = build(FinetuneConfig, options)
    if asked.model not in (None, stored.model, began_with):
        raise RunError(
            f"--model cannot change while {run.name} is resumed: it began with {began_with}.",
            fix="Leave it out, or start a new run with another --name.",
        )
    given = given_values(asked, options)
    changes = {
        name: value
        for name, value in given.items()
        if name not in ABOUT_THE_CALL and value != old[name]
    }
    for name in changes:
        if name not in MAY_CHANGE:
            flag = "--" + name.replace("_", "-")
            raise RunError(
                f"{flag} cannot change while {run.name} is resumed: it began with {old[name]}.",
                fix=f"Leave it out, or start a new run from it with --model {run.name}.",
            )
    if "steps" in changes:
        changes["epochs"] = given.get("epochs")
    elif "epochs" in changes:
        changes["steps"] = None
    return changes


def change_plan(plan: TrainPlan, changes: Mapping[str, Any], devices: int) -> TrainPlan:
    """Return the stored plan with what a resumed run may change."""
    direct: dict[str, Any] = {"devices": devices}
    if devices == 1:
        direct["parallel"] = "ddp"
    elif changes.get("parallel", "auto") != "auto":
        direct["parallel"] = changes["parallel"]
    direct |= {
        name: changes[name]
        for name in ("micro_batch", "keep", "patience", "sample_every", "sample_tokens")
        if name in changes
    }
    if changes.get("compile", "auto") != "auto":
        direct["compile"] = changes["compile"] == "on"
    if changes.get("steps") is not None:
        direct["steps"] = changes["steps"]
    elif changes.get("epochs") is not None:
        direct["steps"] = math.ceil(changes["epochs"] * plan.steps_per_epoch)
    if "save_every" in changes:
        direct["save_every"], direct["save_seconds"] = parse_every(changes["save_every"])
    return dataclasses.replace(plan, **direct)
