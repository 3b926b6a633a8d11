"""Describe a model: its sizes from its headers alone, and its model card.

Only names, shapes and JSON are read; folders with safetensors need no torch for that.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penwright import runs
from penwright.errors import ModelError
from penwright.files import read_json
from penwright.weights import hub, names, safetensors_file
from penwright.weights.names import Place

if TYPE_CHECKING:
    from penwright.model import GPT2

_DIGEST_NUMBERS = 4096  # of each weight
_MASK = re.compile(r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)")
_KINDS = {
    "huggingface": "Hugging Face folder",
    "run": "checkpoint of a run",
    "openai_tf": "TensorFlow checkpoint",
    "keras": "Keras file",
    "nanogpt": "nanoGPT checkpoint",
    "adapter": "LoRA adapter",
    "hub": "model of the Hub",
}


@dataclass(frozen=True)
class Description:
    """The kind, sizes and types of a model; a field that its files do not give is None.

    `dtypes` counts the parameters of each type, `bytes` is the size of the weight files,
    `base_model` the model that an adapter belongs to.
    """

    name: str
    kind: str
    path: Path
    model_type: str
    parameters: int
    dtypes: Mapping[str, int]
    bytes: int
    layers: int | None = None
    width: int | None = None
    heads: int | None = None
    context: int | None = None
    vocabulary: int | None = None
    tied: bool | None = None
    base_model: str | None = None
    tensors: Mapping[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    """The type and the shape of each tensor, by name."""

    def as_json(self) -> dict[str, object]:
        """Return everything as plain values."""
        return {**asdict(self), "path": str(self.path)}


@dataclass(frozen=True)
class _Headers:
    """The names, types and shapes of a model's tensors, and the files that hold them."""

    tensors: Mapping[str, tuple[str, tuple[int, ...]]]
    files: frozenset[Path]


def describe(name: str | Path, *, runs_dir: str | Path = runs.RUNS) -> Description:
    """Describe the model that `name` refers to, without reading its weights.

    Raises ModelError when there is none, it is damaged, or it is not on this machine.
    """
    place = names.resolve(name, runs_dir)
    path = _path_of(place)
    if place.kind in ("openai_tf", "keras", "nanogpt"):
        return _describe_parts(place, str(name))
    headers = _read_headers(path)
    config_file = path / "config.json"
    config = read_json(config_file, ModelError) if config_file.is_file() else {}
    return _description(str(name), place, path, config, headers)


def _path_of(place: Place) -> Path:
    if place.kind == "hub":
        folder = hub.cached(place.repository)
        if folder is None:
            raise ModelError(
                f"{place.repository} is not on this machine.",
                fix=f"`penwright download {place.repository}` fetches it.",
            )
        return folder
    return names.checkpoint_of(place.path) if place.kind == "run" else place.path


def _read_headers(folder: Path) -> _Headers:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = {folder / file for file in safetensors_file.index_files(index).values()}
    else:
        single = [folder / "model.safetensors", folder / "adapter_model.safetensors"]
        files = {file for file in single if file.is_file()}
    if not files:
        return _pickled_headers(folder)
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for file in sorted(files):
        for name, entry in safetensors_file.read_header(file).items():
            found[name] = (entry.dtype, entry.shape)
    return _Headers(found, frozenset(files))


def _pickled_headers(folder: Path) -> _Headers:
    """Read the tables of PyTorch's pickled files, which have no header; weights are mapped."""
    from penwright.weights import huggingface

    tensors = huggingface.read_tensors(folder)
    found = {name: (tensor.dtype, tensor.shape) for name, tensor in tensors.items()}
    return _Headers(found, frozenset(folder.glob("pytorch_model*.bin")))


def _describe_parts(place: Place, name: str) -> Description:
    from penwright.weights import opening

    parts = opening.read_place(place)
    tensors = {key: (t.dtype, t.shape) for key, t in parts.tensors().items()}
    if parts.path.is_file():
        files = frozenset([parts.path])
    else:
        files = frozenset(parts.path.parent.glob(parts.path.name + ".data-*"))
    return _description(name, place, parts.path, parts.config.to_dict(), _Headers(tensors, files))


def _description(
    name: str, place: Place, path: Path, config: Mapping[str, Any], headers: _Headers
) -> Description:
    tied = bool(config.get("tie_word_embeddings", True))
    dtypes: dict[str, int] = {}
    for key, (dtype, shape) in headers.tensors.items():
        if _MASK.fullmatch(key) or (tied and key == "lm_head.weight"):
            continue
        dtypes[dtype] = dtypes.get(dtype, 0) + math.prod(shape)
    adapter = path / "adapter_config.json"
    base = (
        read_json(adapter, ModelError).get("base_model_name_or_path") if adapter.is_file() else None
    )
    return Description(
        name=name,
        kind=_KINDS[place.kind],
        path=path,
        model_type=str(config.get("model_type", "gpt2")),
        parameters=sum(dtypes.values()),
        dtypes=dtypes,
        bytes=sum(file.stat().st_size for file in headers.files),
        layers=_number(config, "n_layer"),
        width=_number(config, "n_embd"),
        heads=_number(config, "n_head"),
        context=_number(config, "n_positions"),
        vocabulary=_number(config, "vocab_size"),
        tied=tied if config else None,
        base_model=str(base) if base else None,
        tensors=dict(headers.tensors),
    )


def _number(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if type(value) is int else None


def digest(model: GPT2) -> str:
    """Return a SHA-256 (hex) of up to some thousand numbers of each of a model's weights.

    Training changes nearly every number, so this distinguishes models without reading gigabytes.
    """
    sums = hashlib.sha256()
    for name, parameter in model.named_parameters():
        flat = parameter.detach().reshape(-1)
        some = flat[:: max(1, len(flat) // _DIGEST_NUMBERS)].float().cpu()
        sums.update(f"{name} {tuple(parameter.shape)}".encode() + some.numpy().tobytes())
    return sums.hexdigest()


def model_card(
    name: str,
    *,
    base_model: str,
    data: Sequence[str] = (),
    documents: int | None = None,
    tokens: int | None = None,
    settings: Mapping[str, Any] | None = None,
    perplexity_before: float | None = None,
    perplexity_after: float | None = None,
    held_out: str = "documents that were kept from training",
) -> str:
    """Return the text of README.md: the base model, names and counts of the data, never its text.

    `data` are file names, `settings` the hyper-parameters to list. Nothing is written for None.
    """
    lines = ["---", "pipeline_tag: text-generation", "tags:", "- penwright", "- gpt2"]
    if base_model != "base" and "\n" not in base_model and _is_hub_name(base_model):
        lines.append(f"base_model: {_yaml(base_model)}")
    lines += ["---", f"# {_one_line(name)}", ""]
    lines.append(f"Made with Penwright by fine-tuning `{_one_line(base_model)}`.")
    if data or documents is not None or tokens is not None:
        lines += ["", "## Data", ""]
        lines += [f"- `{_one_line(file)}`" for file in data]
        counts = [
            f"{n:,} {word}" for n, word in ((documents, "documents"), (tokens, "tokens")) if n
        ]
        lines += [f"- {', '.join(counts)}"] if counts else []
    if perplexity_before is not None or perplexity_after is not None:
        lines += ["", "## How well it does", "", f"Perplexity on {held_out}:", ""]
        lines += ["| before | after |", "| --- | --- |"]
        lines.append(f"| {_figure(perplexity_before)} | {_figure(perplexity_after)} |")
    if settings:
        lines += ["", "## How it was trained", "", "| setting | value |", "| --- | --- |"]
        lines += [f"| {_cell(key)} | {_cell(value)} |" for key, value in settings.items()]
    lines += ["", "## Use", "", "```", f"penwright generate {_one_line(name)}", "```", ""]
    lines.append("The folder also opens in transformers as it stands.")
    lines += ["", "## Mind", "", MIND]
    return "\n".join(lines) + "\n"


MIND = (
    "Everything this model writes is **machine-written**. It can be wrong, silly, hurtful, or "
    "repeat what it was trained on word for word. Say so where you publish its text."
)


def _is_hub_name(name: str) -> bool:
    return (
        all(part and not part.startswith(".") for part in name.split("/")) and name.count("/") < 2
    )


def _one_line(value: object) -> str:
    return " ".join(str(value).split()).replace("`", "'")


def _cell(value: object) -> str:
    return _one_line(value).replace("|", "\\|")


def _yaml(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2f}"
