"""Find the place on disk or on the Hub that a model's name refers to. No torch.

A name is a path if there is a model at it or it is written as a path, else a run of that name,
else a size or `base`, else a name on the Hub. A size or `base` never refers to a folder of the same
name; `./base` does.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from penwright import runs
from penwright.errors import ModelError, suggest

Kind = Literal["huggingface", "run", "openai_tf", "keras", "nanogpt", "adapter", "hub"]

SIZES = {"124M": "gpt2", "355M": "gpt2-medium", "774M": "gpt2-large", "1558M": "gpt2-xl"}
"""OpenAI's sizes and their names on the Hub."""
HUB_NAMES = {**SIZES, "117M": "gpt2", "345M": "gpt2-medium", "1542M": "gpt2-xl"}
KNOWN = ("base", *SIZES, *SIZES.values(), "distilgpt2", "openai-gpt")
_ALSO_CALLED = {"gpt2-small": "124M"}
_HUB_NAME = re.compile(r"[\w][\w.-]{0,95}(/[\w][\w.-]{0,95})?", re.ASCII)


@dataclass(frozen=True)
class Place:
    """The path of a model on disk or, of kind `hub`, a repository.

    `notes` are sentences for the user about a choice that was made.
    """

    kind: Kind
    path: Path = Path()
    repository: str = ""
    notes: tuple[str, ...] = ()


def base_folder() -> Path:
    """Return the folder of the bundled model."""
    return Path(str(resources.files("penwright") / "assets" / "base"))


def kind_of(path: Path) -> Kind | None:
    """Return the kind of model at `path`, or None when there is none."""
    if path.is_file():
        if path.suffix.lower() in (".h5", ".hdf5"):
            return "keras"
        if path.suffix == ".pt":
            return "nanogpt"
        return "openai_tf" if path.suffix == ".index" else None
    if not path.is_dir():
        return "openai_tf" if path.with_name(path.name + ".index").is_file() else None
    if (path / "run.json").is_file():
        return "run"
    if (path / "config.json").is_file():
        return "huggingface"
    if (path / "adapter_config.json").is_file():
        return "adapter"
    if (path / "ckpt.pt").is_file():
        return "nanogpt"
    if any(path.glob("*.index")):
        return "openai_tf"
    return None


def resolve(name: str | Path, runs_dir: str | Path = runs.RUNS) -> Place:
    """Return the place that `name` refers to; raises ModelError, which suggests similar names."""
    text = str(name)
    path = Path(name).expanduser()
    separators = {"/", os.sep} | ({os.altsep} if os.altsep else set())
    is_path = isinstance(name, Path) or any(mark in text for mark in separators)
    if is_path or text not in ("base", *HUB_NAMES):
        kind = kind_of(path)
        if kind is not None:
            return Place(kind, path)
        if path.is_dir() and (found := _newest_checkpoint(path)):
            return found
    if is_path:
        return _resolve_missing_path(text, path, Path(runs_dir))
    run = Path(runs_dir) / text
    if text and (run / "run.json").is_file():
        return Place("run", run)
    if text == "base":
        return Place("huggingface", base_folder())
    if path.is_file():
        raise ModelError(f"{text} is not a model file that Penwright can open.", fix=_KNOWN_FILES)
    if not _HUB_NAME.fullmatch(text):
        raise unknown(text, runs_dir)
    return Place("hub", repository=HUB_NAMES.get(text, text))


def _newest_checkpoint(folder: Path) -> Place | None:
    """Return the newest `checkpoint-500` in a folder of transformers' Trainer, if any."""
    found = {
        int(number): (item, kind)
        for item in folder.glob("checkpoint-*")
        if (number := item.name.removeprefix("checkpoint-")).isdecimal() and (kind := kind_of(item))
    }
    if not found:
        return None
    path, kind = found[max(found)]
    others = [found[number][0].name for number in sorted(found)[:-1]]
    rest = f"; to use {' or '.join(others)}, name it" if others else ""
    return Place(kind, path, notes=(f"{folder} holds checkpoints: {path.name} is used{rest}.",))


_KNOWN_FILES = (
    "It opens folders with a config.json, TensorFlow checkpoints (.index), Keras files (.h5) and "
    "nanoGPT's ckpt.pt."
)


def _resolve_missing_path(text: str, path: Path, runs_dir: Path) -> Place:
    """Return the repository `user/name`; raises ModelError for any other path."""
    if path.exists():
        raise ModelError(f"There is no model in {text}.", fix=_KNOWN_FILES)
    first = text.split("/")[0]
    if _HUB_NAME.fullmatch(text) and first != runs_dir.name and not Path(first).is_dir():
        return Place("hub", repository=text)
    near = suggest(path.name, _siblings(path.parent))
    raise ModelError(f"There is no model at {text}.", fix=near)


def _siblings(folder: Path) -> list[str]:
    try:
        return [item.name for item in folder.iterdir() if kind_of(item) is not None]
    except OSError:
        return []


def unknown(name: str, runs_dir: str | Path = runs.RUNS) -> ModelError:
    """Return the error for an unknown name; it suggests a run, a size or a known name."""
    known = [*KNOWN, *(run.name for run in runs.list_runs(Path(runs_dir)))]
    near = suggest(_ALSO_CALLED.get(name, name), known)
    fix = near or "`penwright runs` lists your runs; known models are: " + ", ".join(KNOWN) + "."
    return ModelError(f"There is no model '{name}'.", fix=fix)


def checkpoint_of(run: Path) -> Path:
    """Return a run's best checkpoint, else its latest; raises ModelError when it has none."""
    folder = runs.Run(run)
    for pointer in ("best", "latest"):
        found = folder.pointed(pointer)
        if found is not None and (found / "config.json").is_file():
            return found
    raise ModelError(
        f"The run {run.name} has no checkpoint yet.",
        fix="Wait for its first one, or continue the run with --resume.",
    )
