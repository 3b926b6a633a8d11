"""CRC-32C (Castagnoli), as TensorFlow guards its files with, in numpy.

A CRC is linear over bits: the register after a message is the exclusive or of its words, each
shifted past the words that follow. So a block is laid out as rows of words, and one row at a time
is folded into the next by a shift past a whole row, for all words of the row at once.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint32]

_POLYNOMIAL = 0x82F63B78
_ROW = 8192
"""Words folded at once: large enough for numpy, small enough for the cache."""


def _byte_step(register: int) -> int:
    for _ in range(8):
        register = (register >> 1) ^ (_POLYNOMIAL if register & 1 else 0)
    return register


@lru_cache(maxsize=1)
def _one_byte() -> Words:
    """Return the register for each of its 32 bits after one zero byte."""
    return np.array([_byte_step(1 << bit) for bit in range(32)], dtype=np.uint32)


def _tables_of(columns: Words) -> tuple[Words, Words]:
    """Return tables for the register's low and high half, from what becomes of each bit."""
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
    """Return the register for each bit after `n_bytes` zero bytes, by doubling."""
    if n_bytes == 0:
        return np.uint32(1) << np.arange(32, dtype=np.uint32)
    half = _columns(n_bytes // 2)
    columns = _apply(_tables_of(half), half)
    return _apply(_tables_of(_one_byte()), columns) if n_bytes % 2 else columns


@lru_cache(maxsize=64)
def _shift(n_bytes: int) -> tuple[Words, Words]:
    return _tables_of(_columns(n_bytes))


def _of_words(words: Words) -> int:
    """Return the register that starts at zero, after `words`."""
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


def extend(crc: int, data: bytes | bytearray | memoryview) -> int:
    """Return the CRC of a message that goes on with `data` after one of CRC `crc` (0 for none)."""
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
