"""`open`: any name or path -> a model and its tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from penwright import runs
from penwright.errors import ModelError
from penwright.model.config import GPT2Config
from penwright.model.gpt2 import GPT2
from penwright.tokens.bpe import Tokenizer
from penwright.weights import build, hub, huggingface, keras_h5, names, openai_tf, peft
from penwright.weights.names import Place
from penwright.weights.stored import Stored


@dataclass(frozen=True)
class Opened:
    """A model, ready to write or to learn.

    `name` is what it was asked for by, `path` the folder it came from, and `format` what its
    penwright.json says: `{"prompt_format": "{prompt}\\n\\n", "stop": [...], ...}` or nothing.
    """

    model: GPT2
    tokenizer: Tokenizer
    name: str
    path: Path
    format: dict[str, Any] = field(default_factory=dict)


def open(
    name: str | Path,
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    runs_dir: str | Path = runs.RUNS,
) -> Opened:
    """The model that `name` means: a size, a Hub name, a folder, a run, a checkpoint, or base.

    The weights keep the type they are stored in unless `dtype` is given. Raises ModelError, in
    one sentence, when there is no such model or it is damaged.
    """
    place = names.resolve(name, runs_dir)
    return open_place(place, str(name), dtype=dtype, device=device)


def open_place(
    place: Place,
    name: str,
    *,
    dtype: torch.dtype | None,
    device: str | torch.device,
) -> Opened:
    """The model at a place that `names.resolve` found."""
    if place.kind == "adapter":
        return _open_adapter(place.path, name, dtype, device)
    parts = read_place(place)
    tensors = parts.tensors()
    model = build.build(parts.config, tensors, str(parts.path), dtype=dtype, device=device)
    return Opened(model, parts.tokenizer(), name, parts.path, parts.format)


@dataclass(frozen=True)
class Parts:
    """What a model is made of, its tensors not read yet."""

    path: Path
    config: GPT2Config
    tensors: Callable[[], dict[str, Stored]]
    tokenizer: Callable[[], Tokenizer]
    format: dict[str, Any] = field(default_factory=dict)


def read_place(place: Place) -> Parts:
    """The parts of the model at a place; raises ModelError."""
    match place.kind:
        case "hub":
            return _read_folder(hub.fetch(place.repository))
        case "run":
            return _read_folder(names.checkpoint_of(place.path))
        case "openai_tf":
            return _read_tensorflow(openai_tf.find_prefix(place.path))
        case "keras":
            return _read_keras(place.path)
        case _:
            return _read_folder(place.path)


def base_of(adapter: peft.Adapter, folder: Path) -> str | Path:
    """The model that an adapter was made for; raises ModelError when it does not say."""
    if not adapter.base_model:
        raise ModelError(
            f"{folder} does not say which model it is an adapter of.",
            fix="Merge it into that model: penwright merge MODEL ADAPTER -o DIR",
        )
    beside = folder / adapter.base_model
    return beside if names.kind_of(beside) else adapter.base_model


def _open_adapter(
    folder: Path, name: str, dtype: torch.dtype | None, device: str | torch.device
) -> Opened:
    adapter = peft.read_adapter(folder)
    base = names.resolve(base_of(adapter, folder))
    if base.kind == "adapter":
        raise ModelError(f"{folder} is an adapter of an adapter.", fix="Merge that one first.")
    opened = open_place(base, name, dtype=dtype, device=device)
    adapter.merge(opened.model)
    return replace(opened, path=folder, format=huggingface.read_format(folder) or opened.format)


def _read_folder(folder: Path) -> Parts:
    config = huggingface.read_config(folder / "config.json")
    form = huggingface.read_format(folder)

    def read_tokenizer() -> Tokenizer:
        tokenizer = huggingface.read_tokenizer(folder, config)
        return tokenizer.reading(form.get("markers", ()))

    return Parts(folder, config, partial(huggingface.read_tensors, folder), read_tokenizer, form)


def _read_tensorflow(prefix: Path) -> Parts:
    config = openai_tf.read_config(prefix)
    return Parts(
        prefix,
        config,
        partial(openai_tf.read_tensors, prefix),
        partial(huggingface.read_tokenizer, prefix.parent, config),
    )


def _read_keras(path: Path) -> Parts:
    config = keras_h5.read_config(path)
    return Parts(
        path,
        config,
        partial(keras_h5.read_tensors, path),
        partial(huggingface.read_tokenizer, path.parent, config),
    )
