"""Read TensorFlow's checkpoints (tensor bundles) without TensorFlow.

`PREFIX.index` is a LevelDB table: blocks of sorted entries and a footer of 48 bytes. Its first
key, the empty one, holds the header; each other key is a variable, whose value holds its type,
shape and place in one of `PREFIX.data-0000i-of-0000n`. Blocks and tensors have a masked CRC-32C,
which is checked. Formats: tensorflow/core/protobuf/tensor_bundle.proto and LevelDB's
doc/table_format.md.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from penwright.errors import ModelError

MAGIC = 0xDB4775248B80FB57
FOOTER = 48
TYPES = {1: "F32", 2: "F64", 3: "I32", 9: "I64", 10: "BOOL", 14: "BF16", 19: "F16"}
BYTES = {"F32": 4, "F64": 8, "I32": 4, "I64": 8, "BOOL": 1, "BF16": 2, "F16": 2}
MAX_SHARDS = 10_000
MAX_INDEX = 256 << 20
CHUNK = 1 << 22
_POLYNOMIAL = 0x82F63B78
_ROW = 8192
"""Words folded at once: enough for numpy, few enough for the cache."""
Words = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Variable:
    """A variable of a checkpoint: safetensors' name of its type, its shape and its place."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    offset: int
    size: int
    crc: int


def _damaged(path: Path, why: str) -> NoReturn:
    raise ModelError(f"{path} is damaged: {why}.", fix="Copy or download the checkpoint again.")


class _Cut(Exception):
    """The bytes ended in the middle of a value."""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a varint (7 bits a byte); return it and the position after it."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            raise _Cut
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise _Cut


def _take(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise _Cut
    return data[at : at + size]


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protocol buffer message: (number, value)."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
            case 2:
                size, at = _varint(data, at)
                yield tag >> 3, _take(data, at, size)
                at += size
            case 5:
                yield tag >> 3, struct.unpack("<I", _take(data, at, 4))[0]
                at += 4
            case 1:
                yield tag >> 3, struct.unpack("<Q", _take(data, at, 8))[0]
                at += 8
            case _:
                raise _Cut


def _block(path: Path, data: bytes, offset: int, size: int) -> bytes:
    """Return the block at `offset`, its checksum verified."""
    raw = _take(data, offset, size + 5)
    block, kind, crc = raw[:size], raw[size], struct.unpack("<I", raw[size + 1 :])[0]
    if masked(crc32c(0, raw[: size + 1])) != crc:
        _damaged(path, f"the checksum of its block at byte {offset} is wrong")
    if kind != 0:
        _damaged(path, f"its block at byte {offset} is compressed, which TensorFlow never does")
    return block


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of a block; a key is stored without the prefix it shares with the last."""
    if len(block) < 4:
        raise _Cut
    restarts = struct.unpack("<I", block[-4:])[0]
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise _Cut
    at, key = 0, b""
    while at < end:
        shared, at = _varint(block, at)
        fresh, at = _varint(block, at)
        size, at = _varint(block, at)
        if shared > len(key) or at + fresh + size > end:
            raise _Cut
        key = key[:shared] + block[at : at + fresh]
        at += fresh
        yield key, block[at : at + size]
        at += size


def _handle(data: bytes, at: int = 0) -> tuple[int, int, int]:
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return offset, size, at


def _table(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield all entries of a LevelDB table, in order."""
    if path.stat().st_size > MAX_INDEX:
        _damaged(path, "it is too large for an index")
    data = path.read_bytes()
    if len(data) < FOOTER or struct.unpack("<Q", data[-8:])[0] != MAGIC:
        _damaged(path, "it is cut short or is no index of a TensorFlow checkpoint")
    _, _, at = _handle(data[-FOOTER:])
    offset, size, _ = _handle(data[-FOOTER:], at)
    for _, where in _entries(_block(path, data, offset, size)):
        offset, size, _ = _handle(where)
        yield from _entries(_block(path, data, offset, size))


def read_index(prefix: Path) -> dict[str, Variable]:
    """Return the variables of the checkpoint `prefix`; reads the index only.

    Raises ModelError, naming the file, when the index is damaged or a shard is missing.
    """
    path = prefix.with_name(prefix.name + ".index")
    variables: dict[str, Variable] = {}
    shards = 0
    try:
        for key, value in _table(path):
            if key == b"":
                shards = _read_header(path, value)
                continue
            if not 0 < shards <= MAX_SHARDS:
                _damaged(path, "it has no header")
            variable = _read_entry(path, prefix, key.decode("utf-8"), value, shards)
            variables[variable.name] = variable
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from None
    except (_Cut, UnicodeDecodeError, TypeError, struct.error):
        _damaged(path, "an entry of it cannot be read")
    _check_shards(path, variables)
    return variables


def _read_header(path: Path, value: bytes) -> int:
    header = dict(_fields(value))
    if header.get(2, 0) != 0:
        _damaged(path, "it is in big-endian order, which Penwright does not read")
    shards = header.get(1, 1)
    return shards if isinstance(shards, int) else 0


def _read_shape(message: bytes) -> tuple[int, ...]:
    shape = []
    for number, dim in _fields(message):
        if number == 2 and isinstance(dim, bytes):
            size = dict(_fields(dim)).get(1, 0)
            if not isinstance(size, int):
                raise _Cut
            shape.append(size)
    return tuple(shape)


def _read_entry(path: Path, prefix: Path, name: str, value: bytes, shards: int) -> Variable:
    found = dict(_fields(value))
    shape = found.get(2, b"")
    kind, shard, offset, size, crc = (found.get(number, 0) for number in (1, 3, 4, 5, 6))
    numbers = (kind, shard, offset, size, crc)
    if not isinstance(shape, bytes) or not all(isinstance(number, int) for number in numbers):
        raise _Cut
    if 7 in found:
        _damaged(path, f"'{name}' is stored in slices, which GPT-2 checkpoints never are")
    dtype = TYPES.get(int(kind), "")
    if not dtype:
        _damaged(path, f"'{name}' has the unknown type {int(kind)}")
    sizes = _read_shape(shape)
    if math.prod(sizes) * BYTES[dtype] != int(size):
        _damaged(
            path, f"'{name}' has {int(size)} bytes, which does not match its shape {list(sizes)}"
        )
    if int(shard) >= shards:
        _damaged(path, f"'{name}' is in shard {int(shard)} of {shards}")
    data = prefix.with_name(f"{prefix.name}.data-{int(shard):05d}-of-{shards:05d}")
    return Variable(name, dtype, sizes, data, int(offset), int(size), int(crc))


def _check_shards(path: Path, variables: dict[str, Variable]) -> None:
    ends: dict[Path, int] = {}
    for variable in variables.values():
        end = variable.offset + variable.size
        ends[variable.path] = max(end, ends.get(variable.path, 0))
    for shard, end in ends.items():
        if not shard.is_file():
            raise ModelError(f"{shard} is missing; {path.name} names it.")
        if shard.stat().st_size < end:
            _damaged(shard, f"it has {shard.stat().st_size} bytes, {path.name} says {end}")


def read_variable(variable: Variable, use: Callable[[int, bytes], None]) -> None:
    """Call `use(offset, chunk)` for each chunk of the variable's bytes, then check the checksum.

    Raises ModelError, naming the variable, when the checksum is wrong.
    """
    crc = done = 0
    with variable.path.open("rb") as file:
        file.seek(variable.offset)
        while done < variable.size:
            chunk = file.read(min(CHUNK, variable.size - done))
            if not chunk:
                _damaged(variable.path, "it is cut short")
            crc = crc32c(crc, chunk)
            use(done, chunk)
            done += len(chunk)
    if masked(crc) != variable.crc:
        _damaged(variable.path, f"the checksum of '{variable.name}' is wrong")


def _byte_step(register: int) -> int:
    for _ in range(8):
        register = (register >> 1) ^ (_POLYNOMIAL if register & 1 else 0)
    return register


@lru_cache(maxsize=1)
def _one_byte() -> Words:
    """Return the register for each of its 32 bits after one zero byte."""
    return np.array([_byte_step(1 << bit) for bit in range(32)], dtype=np.uint32)


def _tables_of(columns: Words) -> tuple[Words, Words]:
    """Return tables for the register's low and high half, from the result for each bit."""
    tables = []
    for half in (columns[:16], columns[16:]):
        table = np.zeros(1, dtype=np.uint32)
        for column in half:
            table = np.concatenate([table, table ^ column])
        tables.append(table)
    return tables[0], tables[1]


def _apply(tables: tuple[Words, Words], registers: Words) -> Words:
    low, high = tables
    shifted: Words = low[registers & 0xFFFF] ^ high[registers >> 16]
    return shifted


@lru_cache(maxsize=128)
def _columns(n_bytes: int) -> Words:
    """Return the register for each of its 32 bits after `n_bytes` zero bytes, by doubling."""
    if n_bytes == 0:
        return np.uint32(1) << np.arange(32, dtype=np.uint32)
    half = _columns(n_bytes // 2)
    columns = _apply(_tables_of(half), half)
    return _apply(_tables_of(_one_byte()), columns) if n_bytes % 2 else columns


@lru_cache(maxsize=64)
def _shift(n_bytes: int) -> tuple[Words, Words]:
    return _tables_of(_columns(n_bytes))


def _of_words(words: Words) -> int:
    """Return the register after `words`, starting at zero."""
    width = min(_ROW, 1 << (len(words) - 1).bit_length())
    # Zeros before a message change nothing when the register starts at zero.
    lead = np.zeros(-len(words) % width, dtype=np.uint32)
    rows = np.concatenate([lead, words]).reshape(-1, width)
    row: Words = rows[0]
    for following in rows[1:]:
        row = _apply(_shift(4 * _ROW), row) ^ following
    span = 4
    while len(row) > 1:
        row = _apply(_shift(span), row[0::2]) ^ row[1::2]
        span *= 2
    return int(_apply(_shift(4), row)[0])


def crc32c(crc: int, data: bytes | bytearray | memoryview) -> int:
    """Return the CRC-32C (Castagnoli) of a message of CRC `crc` (0 for an empty one) and `data`.

    A CRC is linear over bits: the register after a message is the exclusive or of its words, each
    shifted past the words that follow. So a block is laid out as rows of words, and each row is
    folded into the next by a shift past a whole row, for all words of the row at once.
    """
    size = len(data)
    register = crc ^ 0xFFFFFFFF
    whole = size // 4
    if whole:
        words = np.frombuffer(data, dtype="<u4", count=whole).astype(np.uint32, copy=False)
        start = np.array([register], dtype=np.uint32)
        register = int(_apply(_shift(4 * whole), start)[0]) ^ _of_words(words)
    for byte in memoryview(data)[4 * whole :]:
        register = (register >> 8) ^ _byte_step((register ^ byte) & 0xFF)
    return register ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """Return the CRC as TensorFlow and LevelDB store it."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
