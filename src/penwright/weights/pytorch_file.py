"""Read PyTorch's pickled files, such as nanoGPT's ckpt.pt, without running code in them.

nanoGPT (https://github.com/karpathy/nanoGPT) has GPT-2's names, but linear layers as [outputs,
inputs], an exact GELU, and optionally no biases.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from penwright.errors import ModelError
from penwright.model.config import GPT2Config
from penwright.weights import stored
from penwright.weights.stored import Stored
from penwright.wording import name_list

NANOGPT_FILE = "ckpt.pt"
GPT2_ROWS = range(50257, 50305)
"""Rows of an embedding for GPT-2's vocabulary: as it is, or padded to a multiple of 64."""
_LINEAR = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def pickled(path: Path) -> dict[str, Stored]:
    """Return the tensors of a PyTorch file, without running anything that is in it.

    Raises ModelError when the file is damaged or carries anything but tensors.
    """
    return plain_tensors(path, load_pickle(path))


def plain_tensors(path: Path, state: Any) -> dict[str, Stored]:
    """Return the tensors in `state`, read from `path`; raises ModelError for anything else."""
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ModelError(f"{path} holds no tensors by name.")
    others = [name for name, item in state.items() if not isinstance(item, torch.Tensor)]
    others += [name for name, item in state.items() if name not in others and _is_odd(item)]
    if others:
        raise ModelError(f"{path} holds other things than plain tensors: {name_list(others)}.")
    return {name: stored.of_tensor(tensor.detach()) for name, tensor in state.items()}


def load_pickle(path: Path, *, skip_others: bool = False) -> Any:
    """Return the content of a PyTorch file, without running anything that is in it.

    With `skip_others` objects other than tensors and plain values become `_Skipped`; otherwise
    they are refused. Raises ModelError, also for a damaged file.
    """
    zipped = _is_archive(path)
    safe: dict[str, Any] = {"weights_only": True}
    if skip_others and zipped:
        safe = {"weights_only": False, "pickle_module": _inert_pickle()}
    try:
        with warnings.catch_warnings():  # PyTorch warns of unusual pickles
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", mmap=zipped or None, **safe)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} was refused, since it is damaged or carries code: "
            f"{str(error).strip().splitlines()[-1][:200]}",
            fix="Use a safetensors file of this model, or ask its author for one.",
        ) from None
    except MemoryError:
        raise ModelError(f"{path} is damaged: it claims more memory than there is.") from None
    except Exception as error:  # a damaged pickle can raise anything at all
        raise ModelError(
            f"{path} is damaged ({type(error).__name__}).", fix="Download it or copy it again."
        ) from error


class _Skipped:
    """A placeholder for an object of a pickle; ignores its arguments and its state."""

    def __new__(cls, *_: object, **__: object) -> _Skipped:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


class _InertUnpickler(pickle.Unpickler):
    """An unpickler that builds tensors and plain values only; anything else is `_Skipped`.

    Nothing that a file names is imported or called. torch.load resolves its own tensor types
    itself.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _BUILDERS:
            return _BUILDERS[module, name]
        return _Skipped


_BUILDERS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
}


def _inert_pickle() -> ModuleType:
    """Return a stand-in for the pickle module with the names that torch.load uses for ZIP files."""
    module = ModuleType("inert_pickle")
    module.Unpickler = _InertUnpickler  # type: ignore[attr-defined]
    return module


def _is_odd(tensor: torch.Tensor) -> bool:
    return tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu"


def _is_archive(path: Path) -> bool:
    """Return whether a PyTorch file is a ZIP archive; raises ModelError for a compressed one.

    PyTorch writes its archives without compression, so a compressed one could be a ZIP bomb.
    """
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise ModelError(f"{path} is damaged: {error}.") from None
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or (
        sum(part.file_size for part in parts) > path.stat().st_size
    ):
        raise ModelError(f"{path} is no file that PyTorch wrote: parts of it are compressed.")
    return True


def find_nanogpt(path: Path) -> Path:
    """Return the checkpoint file at `path`, or in the folder at `path`."""
    return path / NANOGPT_FILE if path.is_dir() else path


def read_nanogpt(path: Path) -> tuple[GPT2Config, dict[str, Stored]]:
    """Read the config and the tensors of a nanoGPT checkpoint; raises ModelError."""
    content = load_pickle(path, skip_others=True)
    args = content.get("model_args") if isinstance(content, dict) else None
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(args, dict) or not isinstance(state, dict):
        raise ModelError(
            f"{path} is no checkpoint of nanoGPT: it lacks model_args or model.",
            fix="Penwright opens nanoGPT's ckpt.pt, and folders with pytorch_model.bin and "
            "config.json.",
        )
    config = _config(path, args)
    tensors = stored.without_prefix(plain_tensors(path, state))[0]
    return config, {**_zero_biases(config, tensors), **_transposed(tensors)}


def _config(path: Path, args: dict[Any, Any]) -> GPT2Config:
    size = args.get("vocab_size")
    if size not in GPT2_ROWS:
        raise ModelError(
            f"{path} has a vocabulary of {size} tokens, not GPT-2's: it was trained on characters "
            "or with a tokenizer of its own (meta.pkl), which Penwright does not read.",
            fix="Train from scratch on the same text: penwright new",
        )
    shape = {name: args.get(name) for name in ("n_layer", "n_head", "n_embd")}
    try:
        return GPT2Config.from_dict(
            {
                **shape,
                "vocab_size": size,
                "n_positions": args.get("block_size"),
                "activation_function": "gelu",
            }
        )
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", fix=error.fix) from None


def _transposed(tensors: dict[str, Stored]) -> dict[str, Stored]:
    return {
        name: stored.transposed(tensor) if name.endswith(_LINEAR) else tensor
        for name, tensor in tensors.items()
    }


def _zero_biases(config: GPT2Config, tensors: dict[str, Stored]) -> dict[str, Stored]:
    """Return zeros for the biases of a model that was trained without any (`bias=False`)."""
    if any(name.endswith("c_attn.bias") for name in tensors):
        return {}
    return {
        name: stored.of_tensor(torch.zeros(shape))
        for name, shape in stored.shapes(config).items()
        if name.endswith(".bias")
    }
