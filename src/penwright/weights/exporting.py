"""Write a model for another runtime, and compare it there with ours; merge an adapter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from penwright import files, runs
from penwright.errors import UsageError
from penwright.weights import (
    build,
    checking,
    ctranslate2,
    describing,
    gguf,
    hub,
    huggingface,
    names,
    opening,
    peft,
)
from penwright.weights.opening import OpenedModel
from penwright.weights.stored import Stored

_TORCH = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Exported:
    """A written model: `path` is the folder, or the GGUF file, of so many bytes."""

    path: Path
    to: str
    dtype: str
    bytes: int
    checked: checking.Checked | None = None
    notes: tuple[str, ...] = ()
    """Sentences for the user: what of the model's files was left out or guessed."""


@dataclass(frozen=True)
class _Model:
    """A model to export, its tensors strict and under today's names."""

    parts: opening.ModelParts
    tensors: Mapping[str, Stored]


def export(
    model: str | Path,
    to: str,
    out: str | Path,
    *,
    dtype: str | None = None,
    shard_bytes: int = huggingface.SHARD_BYTES,
    check: bool = False,
    runs_dir: str | Path = runs.RUNS,
) -> Exported:
    """Write `model` as a folder `out` for another runtime; a GGUF's `out` may be the file.

    `dtype` is one of `FORMATS[to].dtypes`; the default is the stored type, and f16 for GGUF. With
    `check`, prompts run through what was written and through ours. Raises UsageError for an
    unknown format or type and for an `out` that is in use, ModelError for a damaged model.
    """
    out = Path(out)
    format_ = _check_request(to, dtype)
    _check_free(out)
    place = names.resolve(model, runs_dir)
    if format_.write is None:
        if place.kind != "adapter":
            raise UsageError(
                f"'{model}' is a whole model, not an adapter.",
                fix="Only what LoRA trained can be exported as an adapter.",
            )
        return _export_adapter(place, out, check)
    found = _load(place)
    kind = dtype or format_.default or _own_type(found.tensors)
    path = format_.write(found, out, kind, shard_bytes, str(model))
    checked = None
    if check:
        ours = build.build(found.parts.config, found.tensors, str(model), dtype=torch.float32)
        checked = checking.check(format_.runtime, path, ours, found.parts.tokenizer())
    return Exported(path, to, kind, _size(path), checked, tuple(found.parts.notes))


def _check_request(to: str, dtype: str | None) -> ExportFormat:
    if to not in FORMATS:
        raise UsageError(f"There is no format '{to}'.", fix=f"Use {', '.join(FORMATS)}.")
    dtypes = FORMATS[to].dtypes
    if dtype is not None and dtype not in dtypes:
        fix = f"Use {', '.join(dtypes)}." if dtypes else "Leave --dtype out."
        raise UsageError(f"--to {to} cannot write {dtype}.", fix=fix)
    return FORMATS[to]


def _check_free(out: Path) -> None:
    files.refuse_existing(out, "Choose another -o, or remove it first.")


def _load(place: names.Place) -> _Model:
    """Return the model at a place, an adapter merged into its base."""
    parts = opening.read_place(place)
    tensors, _ = build.checked(parts.config, parts.tensors(), str(parts.path), parts.notes)
    return _Model(parts, tensors)


def _own_type(tensors: Mapping[str, Stored]) -> str:
    types = {tensor.dtype for tensor in tensors.values()}
    return {"F16": "f16", "BF16": "bf16"}.get(types.pop(), "f32") if len(types) == 1 else "f32"


def _write_huggingface(found: _Model, out: Path, dtype: str, shard_bytes: int, name: str) -> Path:
    parts = found.parts
    with files.atomic_folder(out) as folder:
        huggingface.save_parts(
            folder,
            parts.config,
            found.tensors,
            parts.tokenizer(),
            card=_card_of(parts.path, name),
            penwright=parts.format,
            dtype=_TORCH[dtype],
            shard_bytes=shard_bytes,
        )
    return out


def _write_gguf(found: _Model, out: Path, dtype: str, _: int, name: str) -> Path:
    short = re.sub(r"[^\w.-]+", "-", Path(name).name).strip("-") or "model"
    folder, file = (out.parent, out.name) if out.suffix == ".gguf" else (out, "")
    path = folder / (file or f"{short}-{dtype}.gguf")
    parts = found.parts
    with files.atomic_file(path) as temporary:
        gguf.write(temporary, parts.config, found.tensors, parts.tokenizer(), dtype, name=short)
    return path


def _write_ctranslate2(found: _Model, out: Path, dtype: str, *_: object) -> Path:
    parts = found.parts
    with files.atomic_folder(out) as folder:
        ctranslate2.write(folder, parts.config, found.tensors, parts.tokenizer(), dtype)
    return out


@dataclass(frozen=True)
class ExportFormat:
    """A format to write: how, the types of weights that it takes, and the program that runs it.

    `write` gets the model, the folder or file, the type, the largest size of a file and the
    model's name, and returns what it wrote. An adapter is written as it is (`write` is None).
    Without `default` the weights keep the type they are stored in.
    """

    runtime: checking.Runtime
    dtypes: tuple[str, ...] = ()
    write: Callable[[_Model, Path, str, int, str], Path] | None = None
    default: str = ""


FORMATS = {
    "huggingface": ExportFormat(checking.TRANSFORMERS, tuple(_TORCH), _write_huggingface),
    "gguf": ExportFormat(checking.LLAMA_CPP, tuple(gguf.DTYPES), _write_gguf, default="f16"),
    "ctranslate2": ExportFormat(
        checking.CTRANSLATE2, tuple(ctranslate2.DTYPES), _write_ctranslate2
    ),
    "adapter": ExportFormat(checking.PEFT),
}


def _card_of(path: Path, name: str) -> str:
    """Return the model's own card, or a new one that says where it came from."""
    readme = path / "README.md"
    if readme.is_file():
        return readme.read_text(encoding="utf-8", errors="replace")
    return describing.model_card(Path(name).name, base_model=name)


def _export_adapter(place: names.Place, out: Path, check: bool) -> Exported:
    folder = place.path
    adapter = peft.read_adapter(folder)
    base = opening.base_of(adapter, folder)
    settings = {**adapter.settings, "base_model_name_or_path": _for_peft(base)}
    with files.atomic_folder(out) as temporary:
        written = replace(adapter, base_model=str(base), settings=settings)
        peft.save_adapter(temporary, written, card=_card_of(folder, folder.name))
        if huggingface.has_tokenizer(folder):
            opening.read_place(place).tokenizer().save(temporary)
    checked = None
    if check:
        opened = opening.open(folder, dtype=torch.float32)
        checked = checking.check(checking.PEFT, out, opened.model, opened.tokenizer)
    return Exported(out, "adapter", "", _size(out), checked)


def _for_peft(base: str | Path) -> str:
    """Return a base model as PEFT finds it: the whole path of a folder, or the Hub's name."""
    place = names.resolve(base)
    if place.kind == "hub":
        return place.repository
    folder = names.checkpoint_of(place.path) if place.kind == "run" else place.path
    return str(folder.resolve())


def _size(path: Path) -> int:
    found = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in found)


def merge(
    model: str | Path, adapter: str | Path, out: str | Path, *, runs_dir: str | Path = runs.RUNS
) -> Path:
    """Write `model` with the adapter's changes in its weights, as a Hugging Face folder.

    Raises ModelError when the adapter does not fit, UsageError when `out` is in use.
    """
    out = Path(out)
    _check_free(out)
    place = names.resolve(adapter, runs_dir)
    if place.kind == "hub":
        folder = hub.fetch(place.repository)
    elif place.kind == "adapter":
        folder = place.path
    else:
        raise UsageError(f"'{adapter}' is no adapter.", fix="It needs an adapter_config.json.")
    opened = opening.open(model, runs_dir=runs_dir)
    opened = opening.apply_adapter(opened, peft.read_adapter(folder), folder)
    _save(opened, out, describing.model_card(out.name, base_model=f"{model} with {folder.name}"))
    return out


def _save(opened: OpenedModel, out: Path, text: str) -> None:
    with files.atomic_folder(out) as folder:
        huggingface.save(folder, opened.model, opened.tokenizer, card=text, penwright=opened.format)
