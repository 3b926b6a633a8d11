"""Decode with the C library: the cache of the rows that are written, in shared pages.

B rows, T tokens, V vocabulary, N new tokens of all rows, one row after the other.

A page holds the keys and values of 32 tokens of a row. Rows with the same beginning share its
pages; a row gets a copy of its own before it writes into a shared page.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from ctypes import Structure, c_double, c_int32, c_int64, c_uint64, c_void_p
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from penwright.errors import ModelError, OutOfRoomError, UsageError
from penwright.model.cache import count_common
from penwright.native.guesses import Guessed, GuessesStruct, GuessPlan
from penwright.native.packed import PAGE, PackedModel

PASS_TOKENS = 512
"""Most tokens that go through the layers together."""

I32 = NDArray[np.int32]


class Feed(Structure):
    _fields_ = [
        ("rows", c_int32), ("stride", c_int32),
        ("starts", c_void_p), ("counts", c_void_p), ("tokens", c_void_p), ("pages", c_void_p),
    ]  # fmt: skip


MOST_REFUSED = 8
"""The most tokens that a `Choice` refuses."""


class Choice(Structure):
    """Settings by which `NativeDecoder.write` chooses the tokens of a row, and its last token.

    Settings as in SamplingConfig (`min_new` is `min_new_tokens`); `key` and `step` as in
    sample/logits.gumbel. The first token is none of the `n_refused` in `refused`.
    """

    _fields_ = [
        ("key", c_uint64), ("step", c_int64), ("min_new", c_int64),
        ("temperature", c_double), ("top_p", c_double), ("min_p", c_double),
        ("top_k", c_int32), ("greedy", c_int32), ("limit", c_int32), ("last", c_int32),
        ("n_refused", c_int32), ("refused", c_int32 * MOST_REFUSED),
    ]  # fmt: skip


class _Page:
    """Memory for keys and values, filled by the C library's `memset` and `memcpy`.

    An operator of torch would wake its threads, which then spin and take time from the decoder's.
    """

    def __init__(self, model: PackedModel) -> None:
        self._data = torch.empty(model.page_numbers, dtype=model.cache_type)
        self.address = self._data.data_ptr()
        ctypes.memset(self.address, 0, self._data.nbytes)
        self.owners = 1

    def copy(self, page: _Page) -> None:
        ctypes.memmove(self.address, page.address, self._data.nbytes)


class _Row:
    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.pages: list[_Page] = []


class _Part(NamedTuple):
    """New tokens of a row for one pass; `last` of the row's new tokens are among them."""

    row: _Row
    tokens: Sequence[int]
    last: bool


class NativeDecoder:
    """A decoder that computes everything in C on the CPU; see sample/decoder.py."""

    def __init__(self, model: PackedModel) -> None:
        self.model = model
        self._rows: list[_Row] = []
        self._free: list[_Page] = []

    @property
    def lengths(self) -> list[int]:
        return [len(row.tokens) for row in self._rows]

    @property
    def device(self) -> torch.device:
        return self.model.device

    def enter(self, prompts: Sequence[Sequence[int]], share: Sequence[int | None] = ()) -> None:
        """Append rows with these tokens cached; a prompt may be empty.

        `share[i]` is an earlier row, old or of the same call: as far as its tokens are those of
        prompt i, both rows share its pages.
        """
        first = len(self._rows)
        self._rows += [_Row() for _ in prompts]
        waiting = dict(enumerate(share or [None] * len(prompts), first))
        while waiting:
            ready = [row for row, source in waiting.items() if source not in waiting]
            parts = []
            for number in ready:
                row, prompt, source = self._rows[number], prompts[number - first], waiting[number]
                if source is not None:
                    self._share(row, prompt, self._rows[source])
                if len(prompt) > len(row.tokens):
                    parts.append((row, prompt[len(row.tokens) :]))
            for group in _split(parts):
                self._compute(group, every=False, out=None)
            for number in ready:
                del waiting[number]

    def feed(self, tokens: Sequence[Sequence[int]], every: bool = False) -> Tensor:
        """Append at least one token to each row; the numbers may differ.

        Returns float32 logits_BV behind each row's last token, or with `every` logits_NV behind
        each new token.
        """
        parts = list(zip(self._rows, tokens, strict=True))
        n = sum(map(len, tokens)) if every else len(parts)
        logits_NV = torch.empty(n, self.model.config.vocab_size)
        done = 0
        for group in _split(parts):
            done += self._compute(group, every, logits_NV[done:])
        return logits_NV

    def write(
        self, choices: Sequence[Choice], ends: Sequence[int], vocabulary: int
    ) -> list[list[int]]:
        """Write up to `choices[b].limit` tokens for each row, in one call; returns them.

        A row ends with the first token of `ends`, which is returned too. Each returned token but
        the last is in the cache. Raises ModelError when the logits are not numbers.
        """
        return self._write(choices, ends, vocabulary, None)

    def write_guessing(
        self,
        choice: Choice,
        ends: Sequence[int],
        vocabulary: int,
        plan: GuessPlan,
    ) -> tuple[list[int], Guessed]:
        """Write the only row as `write` does, guessing ahead of each pass."""
        text = [*self._rows[0].tokens, choice.last]
        text_N = np.empty(len(text) + max(0, choice.limit), dtype=np.int32)
        text_N[: len(text)] = text
        guesses = GuessesStruct(
            plan.corpus.address, plan.length, plan.enough, text_N.ctypes.data, len(text)
        )
        [written] = self._write([choice], ends, vocabulary, ctypes.addressof(guesses))
        went = Guessed(guesses.passes, guesses.guessed, guesses.right, guesses.wrong)
        return written, went

    def _write(
        self,
        choices: Sequence[Choice],
        ends: Sequence[int],
        vocabulary: int,
        guesses: int | None,
    ) -> list[list[int]]:
        rows, stride = self._rows, max((choice.limit for choice in choices), default=0)
        for row, choice in zip(rows, choices, strict=True):
            self._reserve(row, choice.limit)
        settings = (Choice * len(rows))(*choices)
        ends_N = np.array(ends, dtype=np.int32)
        tokens_BT = np.empty((len(rows), stride), dtype=np.int32)
        written_B = np.zeros(len(rows), dtype=np.int32)
        with self.model.pool.lock, _Feeding(rows) as feed:
            code = self.model.library.write(
                ctypes.addressof(self.model.struct), self.model.pool.address,
                ctypes.addressof(feed), ctypes.addressof(settings), vocabulary,
                ends_N.ctypes.data, len(ends_N),
                tokens_BT.ctypes.data, stride, written_B.ctypes.data, guesses,
            )  # fmt: skip
        _check(code)
        texts: list[list[int]] = [
            tokens_BT[number, :n].tolist() for number, n in enumerate(written_B)
        ]
        for row, choice, text in zip(rows, choices, texts, strict=True):
            if text:
                row.tokens += [choice.last, *text[:-1]]
        return texts

    def choose(
        self, logits_NV: Tensor, choices: Sequence[Choice], ends: Sequence[int], vocabulary: int
    ) -> list[int]:
        """Choose a token from each row of logits, as `write` does; raises as it does."""
        ends_N = np.array(ends, dtype=np.int32)
        chosen_N = np.empty(len(choices), dtype=np.int32)
        settings = (Choice * len(choices))(*choices)
        with self.model.pool.lock:
            code = self.model.library.choose(
                self.model.pool.address, logits_NV.data_ptr(), logits_NV.stride(0), len(choices),
                ctypes.addressof(settings), vocabulary,
                ends_N.ctypes.data, len(ends_N), chosen_N.ctypes.data,
            )  # fmt: skip
        _check(code)
        chosen: list[int] = chosen_N.tolist()
        return chosen

    def truncate(self, lengths: Sequence[int]) -> None:
        """Drop row b's tokens after its first `lengths[b]`."""
        for row, length in zip(self._rows, lengths, strict=True):
            del row.tokens[length:]
            pages = -(-len(row.tokens) // PAGE)
            self._release(row.pages[pages:])
            del row.pages[pages:]

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be left out or repeated."""
        old, self._rows = self._rows, [_Row() for _ in rows]
        for row, number in zip(self._rows, rows, strict=True):
            self._share(row, old[number].tokens, old[number])
        for row in old:
            self._release(row.pages)

    def drop(self, rows: Sequence[int]) -> list[int]:
        """Remove these rows; returns the old numbers of the rows that are left, in their order."""
        leaving = set(rows)
        order = [number for number in range(len(self._rows)) if number not in leaving]
        for number in leaving:
            self._release(self._rows[number].pages)
        self._rows = [self._rows[number] for number in order]
        return order

    def _share(self, row: _Row, prompt: Sequence[int], source: _Row) -> None:
        common = count_common(prompt, source.tokens)
        row.tokens = source.tokens[:common]
        row.pages = source.pages[: -(-common // PAGE)]
        for page in row.pages:
            page.owners += 1

    def _reserve(self, row: _Row, new: int) -> None:
        """Give a row pages of its own for `new` more tokens."""
        length, context = len(row.tokens), self.model.config.n_positions
        if length + new > context:
            raise ValueError(f"{length} + {new} tokens exceed the context, {context}")
        first = length // PAGE
        if new and first < len(row.pages) and row.pages[first].owners > 1:
            mine = self._new_page()
            mine.copy(row.pages[first])
            row.pages[first].owners -= 1
            row.pages[first] = mine
        while len(row.pages) * PAGE < length + new:
            row.pages.append(self._new_page())

    def _new_page(self) -> _Page:
        if not self._free:
            return _Page(self.model)
        page = self._free.pop()
        page.owners = 1
        return page

    def _release(self, pages: Sequence[_Page]) -> None:
        for page in pages:
            page.owners -= 1
            if not page.owners:
                self._free.append(page)

    def _compute(self, parts: Sequence[_Part], every: bool, out: Tensor | None) -> int:
        """Run the layers on new tokens; returns the number of logits written to `out`."""
        counts = [len(part.tokens) for part in parts]
        for part, count in zip(parts, counts, strict=True):
            self._reserve(part.row, count)
        n = sum(counts)
        if out is None:
            wanted_N = np.empty(0, dtype=np.int32)
        elif every:
            wanted_N = np.arange(n, dtype=np.int32)
        else:
            last = np.cumsum(counts, dtype=np.int32) - 1
            wanted_N = last[[part.last for part in parts]].astype(np.int32)
        tokens_N = np.array([token for part in parts for token in part.tokens], dtype=np.int32)
        rows = [part.row for part in parts]
        with self.model.pool.lock, _Feeding(rows, counts, tokens_N) as feed:
            code = self.model.library.feed(
                ctypes.addressof(self.model.struct), self.model.pool.address,
                ctypes.addressof(feed), wanted_N.ctypes.data, len(wanted_N),
                None if out is None else out.data_ptr(),
            )  # fmt: skip
        _check(code)
        for part in parts:
            part.row.tokens += part.tokens
        return len(wanted_N)


class _Feeding:
    """The arrays of a `Feed`, kept while C reads them."""

    def __init__(
        self, rows: Sequence[_Row], counts: Sequence[int] = (), tokens_N: I32 | None = None
    ) -> None:
        self._stride = max((len(row.pages) for row in rows), default=0)
        pages = np.zeros((len(rows), self._stride), dtype=np.uint64)
        for number, row in enumerate(rows):
            pages[number, : len(row.pages)] = [page.address for page in row.pages]
        self._pages = pages
        self._starts = np.array([len(row.tokens) for row in rows], dtype=np.int32)
        self._counts = np.array(counts, dtype=np.int32)
        self._tokens = tokens_N

    def __enter__(self) -> Feed:
        return Feed(
            len(self._starts),
            self._stride,
            self._starts.ctypes.data,
            self._counts.ctypes.data,
            None if self._tokens is None else self._tokens.ctypes.data,
            self._pages.ctypes.data,
        )

    def __exit__(self, *_: object) -> None:
        pass


def _split(rows: Sequence[tuple[_Row, Sequence[int]]]) -> Iterator[list[_Part]]:
    """Yield the new tokens of rows in passes of at most PASS_TOKENS tokens."""
    group: list[_Part] = []
    room = PASS_TOKENS
    for row, tokens in rows:
        begin = 0
        while begin < len(tokens):
            piece = tokens[begin : begin + room]
            begin += len(piece)
            room -= len(piece)
            group.append(_Part(row, piece, begin == len(tokens)))
            if not room:
                yield group
                group, room = [], PASS_TOKENS
    if group:
        yield group


def _check(code: int) -> None:
    if code == -1:
        raise ModelError(
            "The model computes scores that are not numbers, so it cannot write.",
            fix="Try --precision fp32, or a checkpoint from before the training diverged.",
        )
    if code == -2:
        raise UsageError("Every token is ruled out as the next one.")
    if code == -3:
        raise OutOfRoomError(
            "There is too little memory to write so many texts at once.",
            fix="Give a smaller --batch-size; it does not change the texts.",
        )
