"""What the native decoder guesses tokens from, and how the guesses went; see c/guess.h.

V vocabulary, N tokens.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import Structure, c_int32, c_uint32, c_void_p
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penwright.native.build import Library

if TYPE_CHECKING:
    from penwright.native.decoder import Choice

Tokens = NDArray[np.unsignedinteger[Any]]


class _CorpusBlock(Structure):
    _fields_ = [("suffixes", c_void_p), ("line", c_void_p), ("firsts", c_void_p)]


class _Corpus(Structure):
    _fields_ = [
        ("block", c_void_p), ("blocks", c_int32), ("wide", c_int32), ("vocabulary", c_int32),
        ("turn", c_uint32), ("token", c_void_p), ("recent", c_void_p),
    ]  # fmt: skip


class GuessesStruct(Structure):
    """How one row is guessed ahead, and how that went; `Guesses` in c/penwright.h."""

    _fields_ = [
        ("corpus", c_void_p), ("length", c_int32), ("enough", c_int32),
        ("text", c_void_p), ("n", c_int32),
        ("passes", c_int32), ("guessed", c_int32), ("right", c_int32), ("wrong", c_int32),
    ]  # fmt: skip


MOST_GUESSES = 8
"""The most tokens that are guessed ahead of a pass."""
MOST_BLOCKS = 8
"""Blocks of a corpus that are read; there is no need for more."""


class Corpus:
    """Texts to guess the next token from: for each block its suffix array and its line of tokens.

    A line has uint16 or uint32 tokens; behind each text stands one that is `vocabulary` or larger.
    """

    def __init__(self, blocks: Sequence[tuple[Tokens, Tokens]], vocabulary: int) -> None:
        blocks = blocks[:MOST_BLOCKS]
        self._held: list[object] = [blocks]
        table = (_CorpusBlock * len(blocks))()
        often_V = np.ones(vocabulary)
        for entry, (suffixes, line) in zip(table, blocks, strict=True):
            counts_V = np.bincount(line, minlength=vocabulary)[:vocabulary]
            often_V += counts_V
            firsts = np.concatenate([[0], np.cumsum(counts_V)]).astype(np.int64)
            self._held.append(firsts)
            entry.suffixes, entry.line = suffixes.ctypes.data, line.ctypes.data
            entry.firsts = firsts.ctypes.data
        tokens_V = np.zeros((vocabulary, 4), dtype=np.float32)
        tokens_V[:, 0] = often_V / often_V.sum()
        tokens_V[:, 1] = np.log(tokens_V[:, 0])
        self.recent_V = np.zeros(-(-vocabulary // 16) * 16, dtype=np.float32)
        """The mean of the model's scores in the last steps; a few zeros more than V."""
        self._held += [table, tokens_V]
        wide = bool(blocks) and blocks[0][1].itemsize == 4
        self._struct = _Corpus(
            *(ctypes.addressof(table), len(blocks), wide, vocabulary, 0),
            *(tokens_V.ctypes.data, self.recent_V.ctypes.data),
        )

    @property
    def address(self) -> int:
        """Return the address of the C struct, which is there as long as this object."""
        return ctypes.addressof(self._struct)

    def guess(self, library: Library, text: Sequence[int], choice: Choice) -> int | None:
        """Return a guess of the token that `choice` will be behind `text`; None for no idea."""
        text_N = np.array(text, dtype=np.int32)
        address, n = text_N.ctypes.data, len(text_N)
        token = library.guess(self.address, address, n, ctypes.addressof(choice))
        return None if token < 0 else token


class GuessPlan(NamedTuple):
    """The settings of a call of `NativeDecoder.write_guessing`."""

    corpus: Corpus
    length: int
    """Tokens to guess ahead of each pass."""
    enough: int
    """Tokens to write; the last pass may write more."""


class Guessed(NamedTuple):
    """The passes and the guessed tokens of a call of `NativeDecoder.write_guessing`.

    Guesses of a pass count as right up to the first wrong one; those after it are not compared.
    """

    passes: int
    guessed: int
    right: int
    wrong: int
