"""Label generated text as machine-written: by which model, weights, seed and settings.

A JSON record has the label's keys beside its own. A text file has a sidecar, FILE.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import penwright
from penwright.config import SamplingConfig
from penwright.document import MACHINE_WRITTEN
from penwright.errors import RunError
from penwright.files import jsonable, read_json, refuse_existing, write_json, write_text


def label(model: str, weights: str, sampling: SamplingConfig) -> dict[str, Any]:
    """Return the record that tells who wrote a text; `weights` is their type, such as float32.

    Further keys may be added to it, such as the time or a file of prompts.
    """
    settings = asdict(sampling)
    return {
        MACHINE_WRITTEN: True,
        "model": model,
        "weights": weights,
        "seed": settings.pop("seed"),
        "settings": settings,
        "penwright": penwright.__version__,
    }


def is_labelled(record: object) -> bool:
    """Return whether a JSON value is labelled as machine-written."""
    return isinstance(record, Mapping) and record.get(MACHINE_WRITTEN) is True


def sidecar(path: Path) -> Path:
    """Return the path of a text file's label: story.md has story.md.json."""
    return path.with_name(path.name + ".json")


def refuse_existing_text(path: Path) -> None:
    """Raise UsageError when there is a file at `path`, or at its label's place another file."""
    refuse_existing(path)
    try:
        left_over = is_labelled(read_json(sidecar(path)))
    except RunError:
        left_over = False
    if not left_over:
        refuse_existing(sidecar(path))


def write_labelled(path: Path, text: str, record: Mapping[str, Any]) -> None:
    """Write a text file, after its label; raises OutOfRoomError."""
    write_json(sidecar(path), record)
    write_text(path, text)


def json_line(record: Mapping[str, Any]) -> str:
    """Return a record as one line of JSON, without its line end."""
    return json.dumps(jsonable(record), ensure_ascii=False)
