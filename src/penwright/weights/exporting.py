"""Write a model for another runtime and check it there; merge an adapter into a model."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import torch

from penwright import files, runs
from penwright.errors import MissingExtraError, ModelError, UsageError
from penwright.model.gpt2 import GPT2
from penwright.tokens.bpe import Tokenizer
from penwright.weights import (
    ctranslate2,
    describing,
    gguf,
    hub,
    huggingface,
    names,
    opening,
    peft,
    stored,
)
from penwright.weights.opening import OpenedModel
from penwright.weights.stored import Stored

_TORCH = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
PROMPTS = (
    "The last train had left an hour ago, and nobody had told her.",
    "1. Wash the beans. 2. Boil them, slowly, until",
    '"Well," said the captain, "that is not what I ordered!"\n\nHe',
)
Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Checked:
    """The distance between a runtime's log-probabilities and ours, in nats."""

    runtime: str
    version: str
    prompts: int
    tokens: int
    largest: float
    mean: float

    def __str__(self) -> str:
        return (
            f"{self.runtime} {self.version}: the largest difference in log-probabilities is "
            f"{self.largest:.2g}, the mean {self.mean:.2g}, over {self.tokens} tokens"
        )


@dataclass(frozen=True)
class Runtime:
    """A program that runs an exported model: its package, and the extra that installs it.

    `run` takes the package, the path of the export, rows of tokens and our model, and yields the
    logits [T, V] of each row.
    """

    package: str
    extra: str
    run: Callable[[ModuleType, Path, list[list[int]], GPT2], Iterator[Logits]]

    @property
    def is_installed(self) -> bool:
        """Whether the package is installed."""
        return importlib.util.find_spec(self.package) is not None

    def load(self) -> ModuleType:
        """Import the package; raises MissingExtraError."""
        try:
            return importlib.import_module(self.package)
        except ImportError:
            raise MissingExtraError(f"Checking the export in {self.package}", self.extra) from None


@dataclass(frozen=True)
class Exported:
    """A written model; `path` is its folder or GGUF file, `bytes` the size."""

    path: Path
    to: str
    dtype: str
    bytes: int
    checked: Checked | None = None
    notes: tuple[str, ...] = ()
    """Sentences for the user about parts of the files that were left out or guessed."""


@dataclass(frozen=True)
class _Model:
    """A model to export; its tensors are checked and have canonical names."""

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
    `check`, the other runtime's and our log-probabilities of some prompts are compared. Raises
    UsageError for an unknown format or type and for an existing `out`, ModelError for a damaged
    model.
    """
    out = Path(out)
    format_ = _check_request(to, dtype)
    _check_free(out)
    place = names.resolve(model, runs_dir)
    if format_.write is None:
        return _export_adapter(_find_adapter(place, model), out, check)
    found = _load(place)
    kind = dtype or format_.default or _own_type(found.tensors)
    path = format_.write(found, out, kind, shard_bytes, str(model))
    checked = None
    if check:
        ours = stored.build(found.parts.config, found.tensors, str(model), dtype=torch.float32)
        checked = _compare(format_.runtime, path, ours, found.parts.tokenizer())
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
    tensors, _ = stored.checked(parts.config, parts.tensors(), str(parts.path), parts.notes)
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


def _compare(runtime: Runtime, path: Path, model: GPT2, tokenizer: Tokenizer) -> Checked:
    """Compare the export at `path`, run by `runtime`, with `model`, in float32.

    Raises MissingExtraError when the runtime is not installed, ModelError when it cannot open the
    export.
    """
    module = runtime.load()
    rows = _prompt_ids(tokenizer, model.config.n_positions)
    try:
        theirs = list(runtime.run(module, path, rows, model))
    except (ValueError, RuntimeError, OSError, KeyError) as error:
        raise ModelError(f"{runtime.package} cannot run {path}: {error}") from error
    largest, total, count = 0.0, 0.0, 0
    for row, their_logits in zip(rows, theirs, strict=True):
        difference = np.abs(_log_softmax(their_logits) - _log_softmax(_our_logits(model, row)))
        if not np.isfinite(difference).all():
            raise ModelError(f"{runtime.package} computes infinite values or NaN from {path}.")
        largest = max(largest, float(difference.max()))
        total += float(difference.mean()) * len(row)
        count += len(row)
    version = str(getattr(module, "__version__", ""))
    return Checked(runtime.package, version, len(rows), count, largest, total / count)


def _prompt_ids(tokenizer: Tokenizer, context: int) -> list[list[int]]:
    """Return the prompts as the model reads them: the end-of-text token, then theirs."""
    return [tokenizer.encode_prompt(prompt)[:context] for prompt in PROMPTS]


def _log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    wide = logits.astype(np.float64)
    wide -= wide.max(-1, keepdims=True)
    scores: npt.NDArray[np.float64] = wide - np.log(np.exp(wide).sum(-1, keepdims=True))
    return scores


def _our_logits(model: GPT2, row: Sequence[int]) -> Logits:
    with torch.no_grad():
        hidden = model(torch.tensor([list(row)]))
        logits: Logits = model.logits(hidden)[0].float().numpy()
    return logits


def _run_transformers(
    runtime: ModuleType, path: Path, rows: list[list[int]], _: GPT2
) -> Iterator[Logits]:
    theirs = runtime.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    with torch.no_grad():
        for row in rows:
            yield theirs(torch.tensor([row])).logits[0].float().numpy()


def _run_peft(runtime: ModuleType, path: Path, rows: list[list[int]], _: GPT2) -> Iterator[Logits]:
    theirs = runtime.AutoPeftModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    with torch.no_grad():
        for row in rows:
            yield theirs(torch.tensor([row])).logits[0].float().numpy()


def _run_ctranslate2(
    runtime: ModuleType, path: Path, rows: list[list[int]], _: GPT2
) -> Iterator[Logits]:
    # On a CPU it computes 16-bit weights in float32, and warns of it for every model.
    runtime.set_log_level(logging.ERROR)
    generator = runtime.Generator(str(path), device="cpu", compute_type="default")
    for row in rows:
        output = generator.forward_batch(
            runtime.StorageView.from_array(np.array([row], dtype=np.int32)),
            runtime.StorageView.from_array(np.array([len(row)], dtype=np.int32)),
        )
        yield np.array(output)[0]


def _run_llama_cpp(
    runtime: ModuleType, path: Path, rows: list[list[int]], model: GPT2
) -> Iterator[Logits]:
    file = path if path.is_file() else next(path.glob("*.gguf"))
    with contextlib.closing(
        runtime.Llama(
            str(file),
            n_ctx=model.config.n_positions,
            logits_all=True,
            verbose=False,
            n_gpu_layers=0,
            n_threads=torch.get_num_threads(),
            n_threads_batch=torch.get_num_threads(),
        )
    ) as theirs:
        for row in rows:
            theirs.reset()
            theirs.eval(row)
            yield np.array(theirs.scores[: len(row)], dtype=np.float32)


@dataclass(frozen=True)
class ExportFormat:
    """An export format: its writer, its types of weights, and the program that runs it.

    `write` takes the model, the folder or file, the type, the largest size of a file and the
    model's name, and returns the written path. An adapter is written unchanged (`write` is None).
    Without `default` the weights keep the type they are stored in.
    """

    runtime: Runtime
    dtypes: tuple[str, ...] = ()
    write: Callable[[_Model, Path, str, int, str], Path] | None = None
    default: str = ""


TRANSFORMERS = Runtime("transformers", "dev", _run_transformers)
LLAMA_CPP = Runtime("llama_cpp", "bench", _run_llama_cpp)
CTRANSLATE2 = Runtime("ctranslate2", "ctranslate2", _run_ctranslate2)
PEFT = Runtime("peft", "dev", _run_peft)
FORMATS = {
    "huggingface": ExportFormat(TRANSFORMERS, tuple(_TORCH), _write_huggingface),
    "gguf": ExportFormat(LLAMA_CPP, tuple(gguf.DTYPES), _write_gguf, default="f16"),
    "ctranslate2": ExportFormat(CTRANSLATE2, tuple(ctranslate2.DTYPES), _write_ctranslate2),
    "adapter": ExportFormat(PEFT),
}


def _card_of(path: Path, name: str) -> str:
    """Return the model's own card, or a new one that names its source."""
    readme = path / "README.md"
    if readme.is_file():
        return readme.read_text(encoding="utf-8", errors="replace")
    return describing.model_card(Path(name).name, base_model=name)


def _find_adapter(place: names.Place, model: str | Path) -> names.Place:
    """Return the adapter at a place, or the one that is kept beside a checkpoint of LoRA."""
    if place.kind == "adapter":
        return place
    folder = names.checkpoint_of(place.path) if place.kind == "run" else place.path
    beside = folder / "adapter"
    if place.kind in ("run", "huggingface") and names.kind_of(beside) == "adapter":
        return names.resolve(beside)
    raise UsageError(
        f"'{model}' is a whole model, not an adapter.",
        fix="Only an adapter that LoRA trained can be exported as one.",
    )


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
        checked = _compare(PEFT, out, opened.model, opened.tokenizer)
    return Exported(out, "adapter", "", _size(out), checked)


def _for_peft(base: str | Path) -> str:
    """Return a base model's name for PEFT: the absolute path of a folder, or the Hub's name."""
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
    """Merge an adapter into `model`, and write a Hugging Face folder.

    Raises ModelError when the adapter does not fit, UsageError when `out` exists.
    """
    out = Path(out)
    _check_free(out)
    place = names.resolve(adapter, runs_dir)
    if place.kind == "hub":
        folder = hub.fetch(place.repository)
    elif place.kind == "adapter":
        folder = place.path
    else:
        raise UsageError(f"'{adapter}' is not an adapter.", fix="It needs an adapter_config.json.")
    opened = opening.open(model, runs_dir=runs_dir)
    opened = opening.apply_adapter(opened, peft.read_adapter(folder), folder)
    _save(opened, out, describing.model_card(out.name, base_model=f"{model} with {folder.name}"))
    return out


def _save(opened: OpenedModel, out: Path, text: str) -> None:
    with files.atomic_folder(out) as folder:
        huggingface.save(folder, opened.model, opened.tokenizer, card=text, penwright=opened.format)
