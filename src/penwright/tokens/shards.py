"""One shard of a store: a safetensors file, written whole or not at all, read by memory map."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penwright.errors import DataError
from penwright.files import atomic_file

Array = npt.NDArray[Any]

_DTYPES = {"U8": "u1", "U16": "<u2", "U32": "<u4", "I64": "<i8"}
_NAMES = {"u1": "U8", "u2": "U16", "u4": "U32", "i8": "I64"}
_CHUNK = 1 << 22
_CONTINUE = (
    "Free some room, or make the folder writable, and give the same command again; it continues "
    "where it stopped."
)


def write_tensors(path: Path, tensors: Mapping[str, Array]) -> dict[str, object]:
    """Write a safetensors file of arrays of one dimension, and return what the header says of it.

    Written here and not by the library, since that copies all tensors twice. Arrays lie in the
    file in the order given, which should go from wide to narrow, so that each begins aligned.
    """
    entries: dict[str, dict[str, object]] = {}
    end = 0
    for name, array in tensors.items():
        start, end = end, end + array.nbytes
        dtype = _NAMES[array.dtype.newbyteorder("<").str[1:]]
        entries[name] = {"dtype": dtype, "shape": [len(array)], "data_offsets": [start, end]}
    head = json.dumps(entries, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    parts: list[bytes | memoryview] = [len(head).to_bytes(8, "little"), head]
    for array in tensors.values():
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        parts.append(little.view(np.uint8).data)
    return {"file": path.name, **write_file(path, parts)}


def write_file(path: Path, parts: Iterable[bytes | memoryview]) -> dict[str, int]:
    """Write a file under a temporary name, sync, rename; returns its size and CRC-32."""
    size = crc = 0
    with atomic_file(path, fix=_CONTINUE) as temporary, temporary.open("wb") as file:
        for part in parts:
            file.write(part)
            size += len(part)
            crc = zlib.crc32(part, crc)
    return {"size": size, "crc32": crc}


def sum_file(path: Path) -> dict[str, int]:
    """The size and CRC-32 of a file."""
    size = crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            crc = zlib.crc32(chunk, crc)
    return {"size": size, "crc32": crc}


def map_tensors(path: Path, dtypes: Mapping[str, str]) -> dict[str, Array]:
    """The tensors of a safetensors file as read-only arrays, each of one dimension.

    `dtypes` names the tensors that must be there and their dtypes ("U8", "I64", ...). Raises
    DataError that names the file when it is anything else.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > size - 8:
                raise ValueError("its header is cut off")
            entries = json.loads(file.read(length))
        return {name: _map(path, entries[name], dtypes[name], 8 + length, size) for name in dtypes}
    except FileNotFoundError:
        raise DataError(f"{path} is missing.", fix=REDO) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error}).", fix=REDO) from None


REDO = "Delete the store and prepare it again."


def _map(path: Path, entry: dict[str, Any], dtype: str, base: int, size: int) -> Array:
    begin, end = entry["data_offsets"]
    kind = np.dtype(_DTYPES[dtype])
    if entry["dtype"] != dtype or len(entry["shape"]) != 1:
        raise ValueError(f"it holds {entry['dtype']} {entry['shape']}")
    if math.prod(entry["shape"]) * kind.itemsize != end - begin or base + end > size:
        raise ValueError("it is shorter than it says")
    if begin == end:
        return np.empty(0, dtype=kind)
    mapped = np.memmap(path, dtype=kind, mode="r", offset=base + begin, shape=tuple(entry["shape"]))
    return mapped.view(np.ndarray)
