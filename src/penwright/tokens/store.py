"""The token store: all documents of a data set as one line of tokens, read by memory map.

    STORE/
      header.json                 what it is, and of each file the size and the CRC-32
      shard-00000.safetensors     a stretch of the line, and the documents that end in it:
        tokens    U16 or U32      the tokens; every shard but the last has as many
        learn     U8              a bit a token, lowest bit first: whether loss falls on it
        ends      I64             where documents end, on the whole line
        learned   I64             of each of them, the tokens that are learned
        bytes     I64             of each of them, the UTF-8 bytes of learned text
        groups    I64             of each of them, a hash of its group; 0 is none, and below 0
                                  it is an alternative to its neighbours of that group
        digests   I64             of each of them, a number that tells its tokens from others
      sizes.safetensors           `sizes` I64: the bytes of text in each token of the vocabulary

A document is `<|endoftext|>`, its tokens, `<|endoftext|>`; it may lie across shards.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from penwright.errors import DataError, TokenizerError
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
    """Return the size and CRC-32 of a file."""
    size = crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            crc = zlib.crc32(chunk, crc)
    return {"size": size, "crc32": crc}


def map_tensors(path: Path, dtypes: Mapping[str, str]) -> dict[str, Array]:
    """Map the tensors of a safetensors file as read-only arrays of one dimension.

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
_MAKE = "`penwright prepare` makes one."


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


FORMAT = "penwright token store"
VERSION = 3
HEADER = "header.json"
SIZES = "sizes.safetensors"

Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{number:05d}.safetensors"


def token_dtype(vocab_size: int) -> str:
    """Return the dtype of stored tokens: two bytes where the vocabulary fits."""
    return "U16" if vocab_size <= 1 << 16 else "U32"


def shard_dtypes(vocab_size: int) -> dict[str, str]:
    """Return the names and dtypes of a shard's tensors."""
    counts = dict.fromkeys(("ends", "learned", "bytes", "groups", "digests"), "I64")
    return {"tokens": token_dtype(vocab_size), "learn": "U8", **counts}


class Shard(NamedTuple):
    """A file of a store, and where the store's documents begin on the whole line."""

    folder: Path
    entry: dict[str, Any]
    tensors: dict[str, Array]
    base: int

    @property
    def n_tokens(self) -> int:
        """Its tokens."""
        return len(self.tensors["tokens"])


class Store:
    """A prepared data set, or several joined. Positions count tokens on the whole line."""

    def __init__(self, folder: Path, header: dict[str, Any], shards: Sequence[Shard]) -> None:
        self.folder = folder
        self.header = header
        self.n_tokens: int = header["tokens"]
        self.n_documents: int = header["documents"]
        self.n_learned: int = header["learned"]
        self.n_bytes: int = header["bytes"]
        """UTF-8 bytes of learned text."""
        self.vocab_size: int = header["tokenizer"]["vocab_size"]
        self.eot_id: int = header["tokenizer"]["eot_id"]
        self._shards = list(shards)
        self._checked = [False] * len(self._shards)
        sizes = np.array([shard.n_tokens for shard in shards], dtype=np.int64)
        self._starts = np.cumsum(sizes) - sizes

    @classmethod
    def open(cls, folder: str | Path, tokenizer_hash: str | None = None) -> Store:
        """Open the store in `folder`.

        Raises DataError when it is no store or a damaged one, TokenizerError when it was made
        with another tokenizer than `tokenizer_hash`.
        """
        folder = Path(folder)
        header = _read_header(folder)
        try:
            made_with = header["tokenizer"]["hash"]
            store = cls(folder, header, _open_shards(folder, header))
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{folder / HEADER} is damaged ({error}).", fix=REDO) from None
        if tokenizer_hash is not None and made_with != tokenizer_hash:
            raise TokenizerError(
                f"The token store '{folder}' was made with another tokenizer.",
                fix="Prepare the data again with this model's tokenizer.",
            )
        return store

    @classmethod
    def join(cls, stores: Sequence[Store]) -> Store:
        """Return several stores as one, one after another; nothing is copied.

        Its folder and the rest of its header are those of the first. Raises TokenizerError when
        they were not made with the same tokenizer.
        """
        first = stores[0].header
        totals = {
            name: sum(store.header[name] for store in stores)
            for name in ("tokens", "documents", "learned", "bytes")
        }
        shards: list[Shard] = []
        base = 0
        for store in stores:
            if store.header["tokenizer"] != first["tokenizer"]:
                raise TokenizerError(
                    f"'{store.folder}' and '{stores[0].folder}' were made with two tokenizers.",
                    fix="Prepare both with the same --model.",
                )
            shards += [shard._replace(base=base + shard.base) for shard in store._shards]
            base += store.n_tokens
        return cls(stores[0].folder, {**first, **totals}, shards)

    @cached_property
    def offsets(self) -> Int64:
        """Where documents begin and end: document i is `offsets[i]` to `offsets[i + 1]`."""
        ends = [shard.tensors["ends"] + shard.base for shard in self._shards]
        return np.concatenate([np.zeros(1, np.int64), *ends])

    @cached_property
    def learned(self) -> Int64:
        """Learned tokens of each document."""
        return self._of_each("learned")

    @cached_property
    def bytes(self) -> Int64:
        """UTF-8 bytes of learned text of each document."""
        return self._of_each("bytes")

    @cached_property
    def groups(self) -> Int64:
        """For each document, a hash of the group it stays together with; 0 without one.

        Neighbours of one group below 0 are alternatives: an epoch takes one of them.
        """
        return self._of_each("groups")

    @cached_property
    def leads(self) -> Int64:
        """The numbers of the documents, with only the first of each group of alternatives."""
        same = (self.groups[1:] == self.groups[:-1]) & (self.groups[1:] < 0)
        return np.flatnonzero(np.append(True, ~same)[: self.n_documents])

    @cached_property
    def digests(self) -> Int64:
        """For each document, a number that is equal for equal tokens."""
        return self._of_each("digests")

    @cached_property
    def token_sizes(self) -> Int64:
        """Bytes of text in each token of the vocabulary; markers have none."""
        _check_file(self.folder, self.header["sizes"])
        return map_tensors(self.folder / SIZES, {"sizes": "I64"})["sizes"]

    def tokens(self, start: int, end: int) -> Array:
        """Return the tokens at positions `start` to `end`, as stored (uint16 or uint32)."""
        parts = [self._shard(n)["tokens"][a:b] for n, a, b in self._stretches(start, end)]
        return parts[0] if len(parts) == 1 else np.concatenate([self._no_tokens, *parts])

    def learn(self, start: int, end: int) -> Bool:
        """Return whether loss falls on each of the tokens at positions `start` to `end`."""
        parts = [np.empty(0, np.bool_)]
        for number, a, b in self._stretches(start, end):
            packed = self._shard(number)["learn"][a // 8 : (b + 7) // 8]
            bits = np.unpackbits(packed, count=b - a // 8 * 8, bitorder="little")
            parts.append(bits[a % 8 :].view(np.bool_))
        return np.concatenate(parts)

    def take(self, positions: Int64) -> Int64:
        """Return the tokens at any positions, in the shape of `positions`."""
        out = np.empty(positions.shape, np.int64)
        for number, where, local in self._scattered(positions):
            out[where] = self._shard(number)["tokens"][local]
        return out

    def take_learn(self, positions: Int64) -> Bool:
        """Return whether loss falls on the tokens at any positions, in the shape of `positions`."""
        out = np.empty(positions.shape, np.bool_)
        for number, where, local in self._scattered(positions):
            out[where] = self._shard(number)["learn"][local >> 3] >> (local & 7) & 1
        return out

    def verify(self) -> None:
        """Read every file and compare it with its CRC-32; raises DataError for a damaged one."""
        for number in range(len(self._shards)):
            self._shard(number)
        _ = self.token_sizes

    def _of_each(self, name: str) -> Int64:
        found = [shard.tensors[name] for shard in self._shards]
        return np.concatenate([np.empty(0, np.int64), *found])

    @cached_property
    def _no_tokens(self) -> Array:
        return np.empty(0, self._shards[0].tensors["tokens"].dtype if self._shards else np.uint16)

    def _shard(self, number: int) -> dict[str, Array]:
        """Return a shard's tensors, compared with its CRC-32 when first used."""
        shard = self._shards[number]
        if not self._checked[number]:
            _check_file(shard.folder, shard.entry)
            self._checked[number] = True
        return shard.tensors

    def _stretches(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """Return the shards that hold `start` to `end`, each with a stretch of its own tokens."""
        if not 0 <= start <= end <= self.n_tokens:
            raise IndexError(f"{start} to {end} is not within {self.n_tokens} tokens")
        if start == end:
            return []
        first, last = (np.searchsorted(self._starts, [start, end - 1], side="right") - 1).tolist()
        return [
            (n, max(start - at, 0), min(end - at, self._shards[n].n_tokens))
            for n, at in enumerate(self._starts[first : last + 1].tolist(), first)
        ]

    def _scattered(self, positions: Int64) -> list[tuple[int, Any, Int64]]:
        """Return the shards that hold `positions`, each with which of them and where in it."""
        if len(self._shards) == 1:
            return [(0, slice(None), positions)]
        numbers = np.searchsorted(self._starts, positions, side="right") - 1
        found = []
        for number in np.unique(numbers).tolist():
            where = numbers == number
            found.append((number, where, positions[where] - self._starts[number]))
        return found


def _open_shards(folder: Path, header: dict[str, Any]) -> list[Shard]:
    """Open the shards that a header names; raises DataError when they do not fit it."""
    dtypes = shard_dtypes(header["tokenizer"]["vocab_size"])
    shards = [Shard(folder, e, _open(folder, e, dtypes), 0) for e in header["shards"]]
    full = all(shard.n_tokens == header["shard_tokens"] for shard in shards[:-1])
    tokens = sum(shard.n_tokens for shard in shards)
    documents = sum(len(shard.tensors["ends"]) for shard in shards)
    if not full or tokens != header["tokens"] or documents != header["documents"]:
        raise DataError(f"{folder / HEADER} does not fit the shards.", fix=REDO)
    return shards


def _open(folder: Path, entry: dict[str, Any], dtypes: dict[str, str]) -> dict[str, Array]:
    path = folder / entry["file"]
    if path.exists() and path.stat().st_size != entry["size"]:
        raise DataError(
            f"{path} is damaged (it has {path.stat().st_size:,} bytes, not {entry['size']:,}).",
            fix=REDO,
        )
    return map_tensors(path, dtypes)


def _check_file(folder: Path, entry: dict[str, Any]) -> None:
    path = folder / entry["file"]
    if not path.is_file():
        raise DataError(f"{path} is missing.", fix=REDO)
    if sum_file(path) != {"size": entry["size"], "crc32": entry["crc32"]}:
        raise DataError(f"{path} is damaged (its checksum is wrong).", fix=REDO)


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / HEADER
    if not path.is_file():
        raise DataError(f"'{folder}' is not a token store: it has no {HEADER}.", fix=_MAKE)
    try:
        header = json.loads(path.read_bytes())
    except ValueError:
        raise DataError(f"{path} is damaged (it is not valid JSON).", fix=REDO) from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise DataError(f"'{folder}' is not a token store: {HEADER} is of another kind.", fix=_MAKE)
    if header.get("version") != VERSION:
        raise DataError(
            f"'{folder}' is a token store of version {header.get('version')},"
            f" and this Penwright reads version {VERSION}.",
            fix=REDO,
        )
    return header
