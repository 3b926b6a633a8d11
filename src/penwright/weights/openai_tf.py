"""Read OpenAI's TensorFlow checkpoints and gpt-2-simple's, with Hugging Face's names."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import torch

from penwright.errors import ModelError
from penwright.files import read_json
from penwright.model.config import GPT2Config
from penwright.weights import tensor_bundle
from penwright.weights.stored import TORCH_TYPES, Stored
from penwright.weights.tensor_bundle import Variable
from penwright.wording import name_list

HEAD_DIM = 64
"""Width of an attention head in all of OpenAI's sizes, for checkpoints without hparams.json."""
_LATEST = re.compile(r'^model_checkpoint_path:\s*"(.+)"\s*$', re.MULTILINE)
_OPTIMIZER = re.compile(r"(.*/(Adam|Adam_1|Momentum|accum_grad)|beta[12]_power|global_step)(:0)?")
_LAYER = re.compile(r"h(\d+)/(ln_1|ln_2|attn/c_attn|attn/c_proj|mlp/c_fc|mlp/c_proj)/([gbw])")
_TOP = {"wte": "wte.weight", "wpe": "wpe.weight", "ln_f/g": "ln_f.weight", "ln_f/b": "ln_f.bias"}
_HPARAMS = {
    "n_vocab": "vocab_size",
    "n_ctx": "n_positions",
    "n_embd": "n_embd",
    "n_head": "n_head",
    "n_layer": "n_layer",
}


def find_prefix(path: Path) -> Path:
    """Return the checkpoint at `path`, or the latest in the folder `path`; raises ModelError.

    The text file `checkpoint` names the latest, which must be in the same folder.
    """
    if path.suffix == ".index":
        return path.with_suffix("")
    if not path.is_dir():
        return path
    prefixes = {file.name.removesuffix(".index") for file in path.glob("*.index")}
    pointer = path / "checkpoint"
    if pointer.is_file():
        match = _LATEST.search(pointer.read_text(encoding="utf-8", errors="replace"))
        name = re.split(r"[/\\]", match[1])[-1] if match else ""
        if name not in prefixes:
            raise ModelError(
                f"{pointer} names '{name or 'nothing'}', which is not in {path}.",
                fix=f"There is: {name_list(sorted(prefixes))}.",
            )
        return path / name
    if len(prefixes) > 1:
        raise ModelError(
            f"{path} holds several checkpoints and no file that names the latest.",
            fix=f"Name one: {name_list(sorted(str(path / prefix) for prefix in prefixes))}.",
        )
    return path / prefixes.pop()


def hugging_face_name(name: str) -> str | None:
    """Return `transformer.h.0.attn.c_attn.weight` for `model/h0/attn/c_attn/w`; None if unknown."""
    name = name.removeprefix("model/").removesuffix(":0")
    if name in _TOP:
        return f"transformer.{_TOP[name]}"
    match = _LAYER.fullmatch(name)
    if match is None:
        return None
    kind = "bias" if match[3] == "b" else "weight"
    return f"transformer.h.{int(match[1])}.{match[2].replace('/', '.')}.{kind}"


def variables(prefix: Path) -> dict[str, Variable]:
    """Return the model's variables under Hugging Face's names, without the optimizer's.

    Raises ModelError for variables that GPT-2 does not have.
    """
    found: dict[str, Variable] = {}
    unknown = []
    for name, variable in tensor_bundle.read_index(prefix).items():
        if _OPTIMIZER.fullmatch(name):
            continue
        full = hugging_face_name(name)
        if full is None:
            unknown.append(name)
        else:
            found[full] = variable
    if unknown:
        raise ModelError(f"{prefix} has variables that GPT-2 does not have: {name_list(unknown)}.")
    return found


def shape_of(variable: Variable) -> tuple[int, ...]:
    """Return a variable's shape; matrices, which OpenAI stores as [1, I, O], as [I, O]."""
    shape = variable.shape
    return shape[1:] if len(shape) == 3 and shape[0] == 1 else shape


def _fill(variable: Variable, target: torch.Tensor) -> None:
    dtype = TORCH_TYPES[variable.dtype]
    if not target.is_contiguous():
        whole = torch.empty(target.shape, dtype=dtype)
        _fill(variable, whole)
        target.copy_(whole)
        return
    flat = target.view(-1)

    def use(offset: int, chunk: bytes) -> None:
        begin = offset // dtype.itemsize
        part = torch.frombuffer(bytearray(chunk), dtype=dtype)
        flat[begin : begin + len(part)].copy_(part)

    tensor_bundle.read_variable(variable, use)


def read_tensors(prefix: Path) -> dict[str, Stored]:
    """Return the tensors of a checkpoint, not read yet; raises ModelError."""
    return {
        name: Stored(shape_of(variable), variable.dtype, partial(_fill, variable))
        for name, variable in variables(prefix).items()
    }


def read_config(prefix: Path) -> GPT2Config:
    """Return the config from hparams.json beside the checkpoint, else from the tensors' shapes.

    Raises ModelError when neither gives one.
    """
    path = prefix.parent / "hparams.json"
    if path.is_file():
        hparams = read_json(path, ModelError)
        values = {ours: hparams[theirs] for theirs, ours in _HPARAMS.items() if theirs in hparams}
        try:
            return GPT2Config.from_dict(values)
        except ModelError as error:
            raise ModelError(f"{path}: {error.message}", fix=error.fix) from None
    return GPT2Config.from_dict(infer_sizes(prefix, variables(prefix)))


def infer_sizes(prefix: Path, found: dict[str, Variable]) -> dict[str, int]:
    """Return the sizes of a checkpoint that came without hparams.json; raises ModelError."""
    try:
        (vocabulary, width), (context, _) = (
            shape_of(found[f"transformer.{name}.weight"]) for name in ("wte", "wpe")
        )
    except (KeyError, ValueError):
        raise ModelError(
            f"{prefix} is no GPT-2: it lacks model/wte or model/wpe.",
            fix="Copy its hparams.json into the same folder.",
        ) from None
    layers = {name.split(".")[2] for name in found if name.startswith("transformer.h.")}
    return {
        "vocab_size": vocabulary,
        "n_positions": context,
        "n_embd": width,
        "n_layer": len(layers),
        "n_head": max(1, width // HEAD_DIM),
    }
