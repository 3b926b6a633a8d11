"""Describe a run for run.json and its model card: model, data, machine, plan."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import penwright
from penwright import weights
from penwright.config import FinetuneConfig, flat_values
from penwright.dataset.schema import find_template
from penwright.dataset.store_cache import Data
from penwright.dataset.training import TrainingData
from penwright.doctor import count_repeats
from penwright.runs import Run, now
from penwright.train import TrainPlan

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
