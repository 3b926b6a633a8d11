"""Where GPT-2's words begin, found for a whole array of characters at once.

GPT-2 cuts text by a regular expression before it merges bytes (`encoder.py` of its release):

    's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+

With every character's kind known (white space, letter, number, other) that is a handful of rules
on neighbours, which numpy applies to millions of characters a blink. The kinds themselves are
asked of the tokenizers library, a block of characters the first time that one of it occurs, so
that both agree on every character of every version of Unicode.

Legend: N characters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Pairs = list[tuple[str, tuple[int, int]]]
Codes = npt.NDArray[Any]
Kinds = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

SPACE, LETTER, NUMBER, OTHER, BORDER = range(5)
"""Kinds of characters; BORDER stands between two texts."""
_UNKNOWN = 255

BORDER_BYTE = 0xFF
"""The border in an array of ASCII bytes."""
_BORDER_CODE = 0xFFFFFFFF
"""The border in an array of code points."""
_N_CODES = 0x110000
_BLOCK = 256
_SURROGATES = range(0xD800, 0xE000)


class Words:
    """Finds words; `look` is the tokenizers library's way to do so, with their places."""

    def __init__(self, look: Callable[[str], Pairs]) -> None:
        self._look = look
        self._kinds = np.full(_N_CODES + 1, _UNKNOWN, dtype=np.uint8)
        self._kinds[_N_CODES] = BORDER
        self._byte_kinds: Kinds | None = None

    def ends(self, text: str) -> npt.NDArray[np.int64]:
        """Where the words of `text` end, in characters."""
        codes = np.frombuffer((text + "\0\0").encode("utf-32-le"), dtype="<u4").copy()
        codes[-2:] = _BORDER_CODE
        starts = self.starts(codes)
        return np.flatnonzero(starts[1 : len(text) + 1]) + 1

    def starts(self, codes: Codes) -> Bool:
        """Whether a word begins at each of N characters.

        `codes` are code points (uint32), or ASCII bytes (uint8), with borders after every text
        and two at the end. A border is a word of its own.
        """
        kinds = self.kinds(codes)
        space = kinds == SPACE
        word = ~(space | (kinds == BORDER))
        starts = np.empty(len(codes), dtype=np.bool_)
        starts[0] = True
        np.not_equal(kinds[1:], kinds[:-1], out=starts[1:])
        starts[1:] |= kinds[1:] == BORDER
        starts[1:] &= ~((codes[:-1] == 0x20) & word[1:])
        starts[:-1] |= space[:-1] & word[1:]
        self._cut_contractions(codes, starts)
        return starts

    def kinds(self, codes: Codes) -> Kinds:
        """The kind of each character, in the form that `starts` takes them."""
        if codes.dtype == np.uint8:
            return self._kinds_of_bytes()[codes]
        codes = np.minimum(codes, _N_CODES)
        kinds = self._kinds[codes]
        if (kinds == _UNKNOWN).any():
            for block in np.unique(codes[kinds == _UNKNOWN] // _BLOCK).tolist():
                self._learn_block(block * _BLOCK)
            kinds = self._kinds[codes]
        return kinds

    @staticmethod
    def _cut_contractions(codes: Codes, starts: Bool) -> None:
        """A quote that begins a word and s, t, m, d, re, ve or ll after it are a word."""
        quote = np.flatnonzero((codes == ord("'")) & starts)
        first, second = codes[quote + 1], codes[np.minimum(quote + 2, len(codes) - 1)]
        short = np.isin(first, [ord(c) for c in "stmd"])
        long = np.isin(first, [ord("r"), ord("v")]) & (second == ord("e"))
        long |= (first == ord("l")) & (second == ord("l"))
        starts[quote[short | long] + 1] = False
        starts[quote[short] + 2] = True
        starts[quote[long] + 3] = True

    def _kinds_of_bytes(self) -> Kinds:
        if self._byte_kinds is None:
            table = np.full(256, BORDER, dtype=np.uint8)
            table[:128] = self.kinds(np.arange(128, dtype=np.uint32))
            self._byte_kinds = table
        return self._byte_kinds

    def _learn_block(self, first: int) -> None:
        """Ask for the kinds of a block: a letter goes on a word of letters, and so on."""
        codes = [c for c in range(first, first + _BLOCK) if c not in _SURROGATES]
        probe = "".join(f"a{chr(c)}\n1{chr(c)}\n!{chr(c)}\n" for c in codes)
        two_long = {start for _, (start, end) in self._look(probe) if end - start == 2}
        for number, code in enumerate(codes):
            place = 9 * number
            self._kinds[code] = SPACE
            for offset, kind in ((0, LETTER), (3, NUMBER), (6, OTHER)):
                if place + offset in two_long:
                    self._kinds[code] = kind
