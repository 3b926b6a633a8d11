"""Tensors in files, not read yet: one shape for every format that a model can come in."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from penwright.errors import ModelError
from penwright.weights import safetensors_file
from penwright.weights.safetensors_file import Entry
from penwright.wording import name_list

CHUNK = 1 << 18
"""Numbers read and cast at once: they stay in the cache."""
TORCH_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
NAMES = {kind: name for name, kind in TORCH_TYPES.items()}
FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: `fill(target)` copies it into a tensor of its shape, casting it."""

    shape: tuple[int, ...]
    dtype: str
    fill: Callable[[torch.Tensor], None]

    def read(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Return the tensor itself, in its own type unless `dtype` is given."""
        target = torch.empty(self.shape, dtype=dtype or TORCH_TYPES[self.dtype])
        self.fill(target)
        return target


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    """Return the memory of a contiguous tensor on the CPU."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _fill_from_file(entry: Entry, target: torch.Tensor) -> None:
    dtype = TORCH_TYPES[entry.dtype]
    if not target.is_contiguous():
        whole = torch.empty(entry.shape, dtype=dtype)
        _fill_from_file(entry, whole)
        target.copy_(whole)
        return
    flat = target.view(-1)
    if target.dtype == dtype and target.device.type == "cpu":
        for _ in safetensors_file.read_parts(entry, _bytes_of(flat)):
            pass
        return
    chunk = torch.empty(min(CHUNK, flat.numel()), dtype=dtype)
    begin = 0
    for length in safetensors_file.read_parts(entry, _bytes_of(chunk)):
        n = length // dtype.itemsize
        flat[begin : begin + n].copy_(chunk[:n])
        begin += n


def of_entry(entry: Entry) -> Stored:
    """Return a tensor of a safetensors file."""
    return Stored(entry.shape, entry.dtype, partial(_fill_from_file, entry))


def of_tensor(tensor: torch.Tensor) -> Stored:
    """Return a tensor that is in memory, or in a memory map, already."""

    def fill(target: torch.Tensor) -> None:
        target.copy_(tensor)

    return Stored(tuple(tensor.shape), NAMES.get(tensor.dtype, str(tensor.dtype)), fill)


def safetensors(path: Path) -> dict[str, Stored]:
    """Return the tensors of one safetensors file; raises ModelError when it is damaged."""
    return {name: of_entry(entry) for name, entry in safetensors_file.read_header(path).items()}


def sharded(index: Path, read: Callable[[Path], Mapping[str, Stored]]) -> dict[str, Stored]:
    """Return the tensors of a model in several files, each read with `read`.

    Raises ModelError when a file is missing or holds other tensors than `index` says.
    """
    pairs = safetensors_file.index_files(index)
    found: dict[str, Stored] = {}
    for file in sorted(set(pairs.values())):
        path = index.parent / file
        if not path.is_file():
            raise ModelError(f"{path} is missing, which {index.name} names.")
        tensors = read(path)
        expected = {name for name, where in pairs.items() if where == file}
        if wrong := sorted(expected ^ set(tensors)):
            raise ModelError(f"{path} and {index.name} differ in: {name_list(wrong)}.")
        found |= tensors
    return found


def transposed(tensor: Stored) -> Stored:
    """Return a matrix [I, O] of one that is stored as [O, I]."""

    def fill(target: torch.Tensor) -> None:
        target.copy_(tensor.read().T)

    return Stored(tensor.shape[::-1], tensor.dtype, fill)


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
    return {name: of_tensor(tensor.detach()) for name, tensor in state.items()}


def load_pickle(path: Path, *, skip_others: bool = False) -> Any:
    """Return the content of a PyTorch file, without running anything that is in it.

    With `skip_others` objects other than tensors and plain values come back as empty `_Skipped`
    objects; otherwise they are refused. Raises ModelError, also for a damaged file.
    """
    zipped = _is_archive(path)
    safe: dict[str, Any] = {"weights_only": True}
    if skip_others and zipped:
        safe = {"weights_only": False, "pickle_module": _inert_pickle()}
    try:
        with warnings.catch_warnings():  # of pickles that PyTorch finds unusual: they are checked
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
    """An object of a pickle that is not built: it takes any arguments and any state, and does
    nothing with them.
    """

    def __new__(cls, *_: object, **__: object) -> _Skipped:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


class _InertUnpickler(pickle.Unpickler):
    """Builds tensors and plain values; every other class or function is `_Skipped`.

    So nothing that a file names is imported or called. torch.load asks for its own tensor types
    before it comes here.
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
    """Return what torch.load asks of a pickle module; its `load` is for files that are no ZIP."""
    module = ModuleType("inert_pickle")
    module.Unpickler = _InertUnpickler  # type: ignore[attr-defined]
    return module


def _is_odd(tensor: torch.Tensor) -> bool:
    return tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu"


def _is_archive(path: Path) -> bool:
    """Return whether a PyTorch file is a ZIP archive; raises ModelError for one that could burst.

    PyTorch writes its archives without compression.
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
