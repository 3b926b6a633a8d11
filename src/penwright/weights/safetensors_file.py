"""Read and write safetensors files, one tensor at a time. No torch.

A file is an 8-byte little-endian length, a JSON header of that length, and the tensors' bytes:
https://huggingface.co/docs/safetensors. A header is checked
against the file before anything is allocated. Plain reads raise an error when a file is truncated
meanwhile, where a memory map would end the process.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from penwright.errors import ModelError

ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1,
    "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1,
}  # fmt: skip
MAX_HEADER = 100_000_000


@dataclass(frozen=True)
class Entry:
    """A tensor in a file: its type, as safetensors names it, its shape, first byte and length."""

    path: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int
    length: int


def _damaged(path: Path, why: str) -> NoReturn:
    raise ModelError(f"{path} is damaged: {why}.", fix="Download it or copy it again.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("a name stands in it twice")
    return names


def read_header(path: Path) -> dict[str, Entry]:
    """Return the entry of every tensor in a file; reads the header only.

    Raises ModelError when the header does not match the file.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 0 < length <= min(MAX_HEADER, size - 8):
                _damaged(path, "it is cut short or is no safetensors file")
            text = file.read(length)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        header = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        _damaged(path, f"its header is not valid JSON ({error})")
    if not isinstance(header, dict):
        _damaged(path, "its header is no JSON object")
    data_bytes = size - 8 - length
    return _check_header(path, header, 8 + length, data_bytes)


def _check_header(path: Path, header: dict[str, Any], start: int, size: int) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for name, claim in header.items():
        if name == "__metadata__":
            continue
        match claim:
            case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end]}:
                sizes = [*shape, begin, end]
            case _:
                _damaged(path, f"its header has no type, shape and place for '{name}'")
        if any(type(number) is not int or number < 0 for number in sizes):
            _damaged(path, f"the shape or place of '{name}' is not a list of whole numbers")
        if dtype not in ITEM_BYTES:
            _damaged(path, f"'{name}' has the unknown type '{dtype}'")
        if math.prod(shape) * ITEM_BYTES[dtype] != end - begin:
            _damaged(
                path, f"'{name}' has {end - begin} bytes, which does not match its shape {shape}"
            )
        entries[name] = Entry(path, dtype, tuple(shape), start + begin, end - begin)
    place = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].length)):
        if entry.begin != place:
            _damaged(path, f"the bytes of '{name}' overlap others or leave a gap")
        place += entry.length
    if place != start + size:
        _damaged(path, f"it has {size} bytes of tensors, its header says {place - start}")
    return entries


def index_files(index: Path) -> dict[str, str]:
    """Return the `weight_map` of a sharded model: tensor name -> file name beside `index`.

    Raises ModelError for an index that is damaged or names a file in another folder.
    """
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        pairs = dict(weight_map.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{index} is damaged ({type(error).__name__}: {error}).") from None
    for name, file in pairs.items():
        if not isinstance(file, str) or file in ("", ".", "..") or set(file) & set("/\\:\0"):
            raise ModelError(
                f"{index} says that '{name}' is in {file!r}, which is not a file in its folder.",
                fix="The index is damaged or malicious; do not use it.",
            )
    return pairs


def read_parts(entry: Entry, buffer: memoryview) -> Iterator[int]:
    """Read the tensor's bytes into `buffer`, part by part; yields the bytes in each part.

    Raises ModelError if the file ends too early.
    """
    with entry.path.open("rb", buffering=0) as file:
        file.seek(entry.begin)
        for begin in range(0, entry.length, len(buffer) or 1):
            wanted, done = min(len(buffer), entry.length - begin), 0
            while done < wanted:
                got = file.readinto(buffer[done:wanted])
                if not got:
                    _damaged(entry.path, "it is cut short")
                done += got
            yield wanted


@dataclass(frozen=True)
class Tensor:
    """A tensor to write; `chunks()` yields its bytes."""

    dtype: str
    shape: tuple[int, ...]
    chunks: Callable[[], Iterable[bytes | memoryview]]

    @property
    def length(self) -> int:
        """Bytes in the file."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


def write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file, holding one chunk of one tensor at a time."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [place, place + tensor.length],
        }
        place += tensor.length
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            for chunk in tensor.chunks():
                file.write(chunk)
