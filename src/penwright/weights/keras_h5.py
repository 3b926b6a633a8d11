"""Read Keras files (.h5) of gpt-tf2, with Hugging Face's names.

A layer is a group of the file, inside `model_weights` if the whole model was saved; its arrays are
named after it. gpt-tf2 has three matrices for queries, keys and values, GPT-2 has one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from penwright.errors import MissingExtraError, ModelError
from penwright.model.config import GPT2Config
from penwright.weights.openai_tf import HEAD_DIM
from penwright.weights.stored import NAMES, TORCH_TYPES, Stored
from penwright.wording import name_list

if TYPE_CHECKING:
    import h5py

EPSILON = 1e-14
"""Epsilon of gpt-tf2's layer norms: the square of Keras' epsilon."""
_TYPES = {"float16": torch.float16, "float32": torch.float32, "float64": torch.float64}
_TOP = {
    ("Embed-Token", "embeddings"): "wte.weight",
    ("Embed-Token-Pos", "embeddings"): "wpe.weight",
    ("Norm", "gamma"): "ln_f.weight",
    ("Norm", "beta"): "ln_f.bias",
}
_LAYER = {
    ("MultiHeadAtt-Norm", "gamma"): "ln_1.weight",
    ("MultiHeadAtt-Norm", "beta"): "ln_1.bias",
    ("MultiHeadAtt", "Wq"): "attn.c_attn.weight",
    ("MultiHeadAtt", "Wk"): "attn.c_attn.weight",
    ("MultiHeadAtt", "Wv"): "attn.c_attn.weight",
    ("MultiHeadAtt", "bq"): "attn.c_attn.bias",
    ("MultiHeadAtt", "bk"): "attn.c_attn.bias",
    ("MultiHeadAtt", "bv"): "attn.c_attn.bias",
    ("MultiHeadAtt", "Wo"): "attn.c_proj.weight",
    ("MultiHeadAtt", "bo"): "attn.c_proj.bias",
    ("FeedForward-Norm", "gamma"): "ln_2.weight",
    ("FeedForward-Norm", "beta"): "ln_2.bias",
    ("FeedForward", "W1"): "mlp.c_fc.weight",
    ("FeedForward", "b1"): "mlp.c_fc.bias",
    ("FeedForward", "W2"): "mlp.c_proj.weight",
    ("FeedForward", "b2"): "mlp.c_proj.bias",
}
_THIRDS = "qkv"
_BLOCK = re.compile(r"Encode-(\d+)-(.+)")


@dataclass(frozen=True)
class _Array:
    """An array of the file: its key, type and shape."""

    path: Path
    key: str
    dtype: str
    shape: tuple[int, ...]


def hugging_face_name(layer: str, weight: str) -> str | None:
    """Return Hugging Face's name of a layer's array (`Encode-0-MultiHeadAtt`); None if unknown."""
    short = weight.rpartition("/")[2].removesuffix(":0").removeprefix(f"{layer}_")
    if (layer, short) in _TOP:
        return f"transformer.{_TOP[layer, short]}"
    match = _BLOCK.fullmatch(layer)
    part = _LAYER.get((match[2], short)) if match else None
    return f"transformer.h.{int(match[1])}.{part}" if match and part else None


def _open(path: Path) -> h5py.File:
    try:
        import h5py
    except ImportError:
        raise MissingExtraError(f"Opening {path.name}", "keras") from None
    try:
        return h5py.File(path, "r")
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0][:200]
        raise ModelError(f"{path} is damaged or is no HDF5 file: {reason}.") from None


def _arrays(path: Path, file: h5py.File) -> dict[str, dict[str, _Array]]:
    """Return every array by layer and by its name; raises ModelError for links."""
    import h5py

    found: dict[str, dict[str, _Array]] = {}
    root = "model_weights" if file.get("model_weights", getlink=True) else ""

    def walk(group: h5py.Group, key: str, depth: int) -> None:
        for name in group:
            link = group.get(name, getlink=True)
            full = f"{key}/{name}" if key else name
            if not isinstance(link, h5py.HardLink) or depth > 4:
                raise ModelError(f"{path}: '{full}' is a link, which Keras never writes.")
            item = group[name]
            if isinstance(item, h5py.Group):
                walk(item, full, depth + 1)
            elif isinstance(item, h5py.Dataset):
                layer, _, weight = full.removeprefix(f"{root}/").partition("/")
                found.setdefault(layer, {})[weight] = _array(path, full, item)

    start = file[root] if root else file
    if not isinstance(start, h5py.Group):
        raise ModelError(f"{path} has no layers.")
    walk(start, root, 0)
    found.pop("optimizer_weights", None)
    return found


def _array(path: Path, key: str, item: h5py.Dataset) -> _Array:
    if item.external or item.is_virtual or item.id.get_storage_size() < item.nbytes:
        raise ModelError(f"{path}: '{key}' is not stored plainly in the file, as Keras stores it.")
    dtype = _TYPES.get(item.dtype.name)
    return _Array(path, key, NAMES[dtype] if dtype else item.dtype.name, tuple(item.shape))


def _read(path: Path) -> tuple[dict[str, dict[str, _Array]], dict[str, Any]]:
    """Return the file's arrays and its layers' settings; raises ModelError for a damaged file."""
    with _open(path) as file:
        try:
            return _arrays(path, file), _layer_settings(file)
        except ModelError:
            raise
        except Exception as error:  # a damaged file can raise anything at all
            raise ModelError(f"{path} is damaged ({type(error).__name__}: {error}).") from error


def _layer_settings(file: h5py.File) -> dict[str, Any]:
    raw = file.attrs.get("model_config")
    if raw is None:
        return {}
    layers = json.loads(raw)["config"]["layers"]
    return {layer["config"]["name"]: layer["config"] for layer in layers}


def _fill(arrays: Mapping[int, _Array], target: torch.Tensor) -> None:
    """Copy one array into `target`, or queries, keys and values into its thirds."""
    first = next(iter(arrays.values()))
    with _open(first.path) as file:
        for place, array in arrays.items():
            numbers = np.empty(array.shape, dtype=file[array.key].dtype)
            if numbers.size:
                try:
                    file[array.key].read_direct(numbers)
                except (OSError, RuntimeError, ValueError, KeyError) as error:
                    raise ModelError(f"{array.path} is damaged at '{array.key}'.") from error
            width = array.shape[-1] if array.shape else 1
            part = target[..., place * width : (place + 1) * width] if array.shape else target
            part.copy_(torch.from_numpy(numbers))


def read_tensors(path: Path) -> dict[str, Stored]:
    """Return the tensors of a Keras file, not read yet.

    Raises ModelError for arrays that gpt-tf2 does not have, MissingExtraError without h5py.
    """
    found: dict[str, dict[int, _Array]] = {}
    unknown = []
    for layer, arrays in _read(path)[0].items():
        for weight, array in arrays.items():
            name = hugging_face_name(layer, weight)
            if name is None:
                unknown.append(f"{layer}/{weight}")
                continue
            third = weight.removesuffix(":0")[-1] if ".c_attn." in name else _THIRDS[0]
            place = _THIRDS.index(third)
            if place in found.setdefault(name, {}):
                raise ModelError(f"{path} holds {name} twice.")
            found[name][place] = array
    if unknown:
        raise ModelError(f"{path} has arrays that gpt-tf2 does not have: {name_list(unknown)}.")
    return {name: _stored(path, name, arrays) for name, arrays in found.items()}


def _stored(path: Path, name: str, arrays: Mapping[int, _Array]) -> Stored:
    shapes = {array.shape for array in arrays.values()}
    dtypes = {array.dtype for array in arrays.values()}
    wanted = len(_THIRDS) if ".c_attn." in name else 1
    if len(arrays) != wanted or len(shapes) != 1 or len(dtypes) != 1:
        raise ModelError(f"{path} lacks a part of {name}, or its parts differ in shape.")
    shape, dtype = shapes.pop(), dtypes.pop()
    if wanted > 1 and shape:
        shape = (*shape[:-1], wanted * shape[-1])
    if dtype not in TORCH_TYPES:
        raise ModelError(f"{path}: {name} is no floating-point array ({dtype}).")
    return Stored(shape, dtype, partial(_fill, dict(sorted(arrays.items()))))


def read_config(path: Path) -> GPT2Config:
    """Return the config from the arrays' shapes and Keras' settings; raises ModelError."""
    layers, settings = _read(path)
    tensors = {
        name: array.shape
        for layer, arrays in layers.items()
        for weight, array in arrays.items()
        if (name := hugging_face_name(layer, weight))
    }
    try:
        vocabulary, width = tensors["transformer.wte.weight"]
        context, _ = tensors["transformer.wpe.weight"]
    except (KeyError, ValueError):
        raise ModelError(f"{path} is no file of gpt-tf2: it has no Embed-Token layer.") from None
    blocks = {match[1] for layer in layers if (match := _BLOCK.fullmatch(layer))}
    attention = settings.get("Encode-0-MultiHeadAtt", {})
    values = {
        "vocab_size": vocabulary,
        "n_positions": context,
        "n_embd": width,
        "n_layer": len(blocks),
        "n_head": attention.get("head_num", max(1, width // HEAD_DIM)),
        "layer_norm_epsilon": settings.get("Norm", {}).get("epsilon", EPSILON),
    }
    try:
        return GPT2Config.from_dict(values)
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", fix=error.fix) from None
