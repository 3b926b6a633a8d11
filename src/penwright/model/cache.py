"""The key-value cache: attention over tokens that were computed before.

Legend: B batch, H heads, T time (queries), S time (keys), D head dimension, C channels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from penwright.model.config import GPT2Config

if TYPE_CHECKING:
    from penwright.model.gpt2 import GPT2

GROWTH = 256


class KVCache:
    """The keys and values of `batch` rows of up to `length` tokens each, so that each new token is
    computed once.

    Rows begin at column 0 whatever their length, so a token's column is its position, and prompts
    of unequal length are padded on the right, where plain causal attention needs no mask.
    Memory grows with the text, in steps. `feed` runs the model on new tokens: it calls `begin`, the
    model with `attend=cache`, and `advance`. `select`, `drop`, `add`, `put` and `join` change the
    rows, and `truncate` drops their last tokens.
    """

    def __init__(
        self,
        config: GPT2Config,
        batch: int,
        length: int,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.length = min(length, config.n_positions)
        # Tokens held of each row. The tensors may have room for more rows than there are.
        self.lengths = [0] * batch
        empty = torch.zeros(batch, config.n_head, 0, config.head_dim, dtype=dtype, device=device)
        self._keys = [empty] * config.n_layer
        self._values = [empty] * config.n_layer
        self._rows_B1: Tensor | None = None
        self._columns_BT = torch.zeros(batch, 0, dtype=torch.long, device=device)
        self._mask_B1TS: Tensor | None = None
        self._step: StaticStep | None = None

    @property
    def capacity(self) -> int:
        """Return the number of tokens per row that memory is allocated for."""
        return self._keys[0].shape[2]

    @torch.no_grad()
    def feed(self, model: GPT2, tokens_BT: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        """Append `tokens_BT`; returns the hidden state of each row's last token, [B, C].

        Of row b only the first `counts[b]` tokens count (at least one); the rest is padding.
        Raises ValueError when a row would outgrow the cache.
        """
        rows, new = tokens_BT.shape
        hidden_BTC: Tensor = model(tokens_BT, self.begin(new), self)
        self.advance(new if counts is None else counts)
        if counts is None:
            return hidden_BTC[:, -1]
        last_B = torch.tensor(counts, device=hidden_BTC.device) - 1
        return hidden_BTC[torch.arange(rows, device=hidden_BTC.device), last_B]

    @torch.no_grad()
    def feed_static(self, model: GPT2, tokens: Sequence[int], *, capture: bool) -> Tensor:
        """Append one token to each row; returns the logits_BV behind them.

        As `feed`, but shapes do not follow the lengths, so that with `capture` a GPU replays the
        step as one CUDA graph. The result is overwritten by the next step. Raises ValueError as
        `feed` does.
        """
        longest = max(self.lengths)
        if longest + 1 > self.length:
            raise ValueError(f"{longest} + 1 tokens exceed the cache's length, {self.length}")
        self._grow(longest + 1)
        rows = min(1 << (len(tokens) - 1).bit_length(), self._keys[0].shape[0])
        step = self._step
        if step is None or step.keys[0] is not self._keys[0] or step.rows != rows:
            self._step = step = StaticStep(model, self._keys, self._values, rows, capture=capture)
        logits_BV = step(tokens, self.lengths)
        self.advance(1)
        return logits_BV

    def begin(self, new: int) -> Tensor:
        """Make room for `new` tokens a row; returns their positions, [B, T]."""
        shortest, longest = min(self.lengths), max(self.lengths)
        if longest + new > self.length:
            raise ValueError(f"{longest} + {new} tokens exceed the cache's length, {self.length}")
        self._grow(longest + new)
        device = self._keys[0].device
        starts_B1 = torch.tensor(self.lengths, device=device)[:, None]
        self._columns_BT = starts_B1 + torch.arange(new, device=device)
        even = shortest == longest
        self._rows_B1 = None if even else torch.arange(len(self.lengths), device=device)[:, None]
        # One token behind rows of equal length sees all that is held; an empty cache is causal.
        if longest == 0 or (even and new == 1):
            self._mask_B1TS = None
        else:
            held_S = torch.arange(longest + new, device=device)
            self._mask_B1TS = (held_S <= self._columns_BT[:, :, None])[:, None]
        return self._columns_BT

    def advance(self, counts: int | Sequence[int]) -> None:
        """Count the first `counts` new tokens of each row as held."""
        added = [counts] * len(self.lengths) if isinstance(counts, int) else counts
        self.lengths = [length + more for length, more in zip(self.lengths, added, strict=True)]

    def truncate(self, lengths: Sequence[int]) -> None:
        """Drop row b's tokens after its first `lengths[b]`."""
        self.lengths = [min(a, b) for a, b in zip(self.lengths, lengths, strict=True)]

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be left out or repeated."""
        self.lengths = [self.lengths[row] for row in rows]
        index = torch.tensor(rows, dtype=torch.long, device=self._keys[0].device)
        for held in (self._keys, self._values):
            for layer, tensor in enumerate(held):
                held[layer] = tensor.index_select(0, index)

    def drop(self, rows: Sequence[int]) -> list[int]:
        """Remove these rows; returns the old numbers of the rows that are left.

        Cheaper than `select`: rows from the end fill the holes, nothing else moves.
        """
        order = list(range(len(self.lengths)))
        for hole in sorted(set(rows), reverse=True):
            last, used = len(order) - 1, self.lengths[-1]
            if hole != last:
                for tensor in (*self._keys, *self._values):
                    tensor[hole, :, :used] = tensor[last, :, :used]
                order[hole], self.lengths[hole] = order[last], used
            del order[last], self.lengths[last]
        return order

    def add(self, rows: int) -> None:
        """Append empty rows."""
        self.lengths = [*self.lengths, *[0] * rows]
        self._grow(0)

    def copy(self, rows: Sequence[int], lengths: Sequence[int]) -> KVCache:
        """Return a new cache with the first `lengths[i]` tokens of row `rows[i]`."""
        other = copy.copy(self)
        other._step = None
        other.lengths = list(lengths)
        longest = max(lengths, default=0)
        index = torch.tensor(rows, dtype=torch.long, device=self._keys[0].device)
        other._keys = [keys[:, :, :longest].index_select(0, index) for keys in self._keys]
        other._values = [values[:, :, :longest].index_select(0, index) for values in self._values]
        return other

    def put(self, rows: Sequence[int], other: KVCache) -> None:
        """Replace the rows `rows` by those of `other`.

        Raises ValueError when one of them is longer than this cache may be.
        """
        longest = self._longest_of(other)
        self._grow(longest)
        for row, length in zip(rows, other.lengths, strict=True):
            self.lengths[row] = length
        index = torch.tensor(rows, dtype=torch.long, device=self._keys[0].device)
        pairs = zip(self._keys + self._values, other._keys + other._values, strict=True)
        for mine, theirs in pairs:
            mine[index, :, :longest] = theirs[: len(rows), :, :longest]

    def _longest_of(self, other: KVCache) -> int:
        longest = max(other.lengths, default=0)
        if longest > self.length:
            raise ValueError(f"{longest} tokens exceed the cache's length, {self.length}")
        return longest

    def join(self, other: KVCache) -> None:
        """Append the rows of `other`; raises ValueError as `put` does."""
        self._longest_of(other)
        first = len(self.lengths)
        self.add(len(other.lengths))
        self.put(range(first, len(self.lengths)), other)

    def __call__(
        self,
        layer: int,
        q_BHTD: Tensor,
        k_BHTD: Tensor,
        v_BHTD: Tensor,
        dropout_p: float,
        scale: float,
    ) -> Tensor:
        """Store the new keys and values, and attend to all tokens of the row so far."""
        k_BHSD = self._hold(self._keys[layer], k_BHTD)
        v_BHSD = self._hold(self._values[layer], v_BHTD)
        first = max(self.lengths) == 0
        return scaled_dot_product_attention(
            q_BHTD,
            k_BHTD if first else k_BHSD.to(q_BHTD.dtype),
            v_BHTD if first else v_BHSD.to(q_BHTD.dtype),
            attn_mask=self._mask_B1TS,
            dropout_p=dropout_p,
            is_causal=first,
            scale=scale,
        )

    def _hold(self, held_BHSD: Tensor, new_BHTD: Tensor) -> Tensor:
        """Append new keys or values to each row; returns all up to the longest row's end."""
        longest, new = max(self.lengths), new_BHTD.shape[2]
        held_BHSD = held_BHSD[: len(self.lengths), :, : longest + new]
        if self._rows_B1 is None:
            held_BHSD[:, :, longest:] = new_BHTD
        else:
            new_BTHD = new_BHTD.transpose(1, 2).to(held_BHSD.dtype)
            held_BHSD[self._rows_B1, :, self._columns_BT] = new_BTHD
        return held_BHSD

    def _grow(self, columns: int) -> None:
        """Allocate room for all rows, and for `length` tokens in each."""
        held_rows, heads, held, width = self._keys[0].shape
        rows = max(len(self.lengths), held_rows)
        if columns <= held and rows == held_rows:
            return
        if columns > held:
            columns = min(max(columns + GROWTH, held + held // 2), self.length)
        shape = rows, heads, max(columns, held), width
        for tensors in (self._keys, self._values):
            for layer, tensor in enumerate(tensors):
                # Zeros, since what the mask hides still enters the sum, with weight 0.
                tensors[layer] = tensor.new_zeros(shape)
                tensors[layer][:held_rows, :, :held] = tensor


class StaticStep:
    """The decoding of one token for `rows` rows of a cache, with fixed shapes and addresses.

    Each row attends to all columns that memory is allocated for, under a mask. With `capture` the
    step is recorded as a CUDA graph, and replayed from then on.
    """

    def __init__(
        self,
        model: GPT2,
        keys: Sequence[Tensor],
        values: Sequence[Tensor],
        rows: int,
        *,
        capture: bool,
    ) -> None:
        self.keys, self.rows = list(keys), rows
        self._values, self._model = list(values), model
        device = keys[0].device
        self._tokens_B = torch.zeros(rows, dtype=torch.long, device=device)
        self._starts_B = torch.zeros(rows, dtype=torch.long, device=device)
        self._rows_B = torch.arange(rows, device=device)
        self._columns_S = torch.arange(keys[0].shape[2], device=device)
        self._graph: torch.cuda.CUDAGraph | None = None
        if capture:
            self._capture()

    def __call__(self, tokens: Sequence[int], lengths: Sequence[int]) -> Tensor:
        """Return logits_BV behind the tokens; row b's goes to column `lengths[b]`."""
        spare = [0] * (self.rows - len(tokens))
        self._tokens_B.copy_(torch.tensor([*tokens, *spare]))
        self._starts_B.copy_(torch.tensor([*lengths, *spare]))
        if self._graph is None:
            return self._compute()[: len(tokens)]
        self._graph.replay()
        return self._logits_BV[: len(tokens)]

    def _capture(self) -> None:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries allocate their workspaces before the recording
            for _ in range(2):
                self._compute()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits_BV = self._compute()

    def _compute(self) -> Tensor:
        seen_BS = self._columns_S <= self._starts_B[:, None]
        self._mask_B11S = seen_BS[:, None, None]
        tokens_B1, starts_B1 = self._tokens_B[:, None], self._starts_B[:, None]
        hidden_B1C: Tensor = self._model(tokens_B1, starts_B1, self._mix)
        return self._model.logits(hidden_B1C[:, 0])

    def _mix(
        self,
        layer: int,
        q_BH1D: Tensor,
        k_BH1D: Tensor,
        v_BH1D: Tensor,
        dropout_p: float,
        scale: float,
    ) -> Tensor:
        held = self.keys[layer][: self.rows], self._values[layer][: self.rows]
        for held_BHSD, new_BH1D in zip(held, (k_BH1D, v_BH1D), strict=True):
            new_BHD = new_BH1D[:, :, 0].to(held_BHSD.dtype)
            held_BHSD[self._rows_B, :, self._starts_B] = new_BHD
        keys_BHSD, values_BHSD = (held_BHSD.to(q_BH1D.dtype) for held_BHSD in held)
        return scaled_dot_product_attention(
            q_BH1D,
            keys_BHSD,
            values_BHSD,
            attn_mask=self._mask_B11S,
            dropout_p=dropout_p,
            scale=scale,
        )


def count_common(a: Sequence[int], b: Sequence[int]) -> int:
    """Return the length of the common beginning of two texts, whose cache they can share."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((n for n, (x, y) in pairs if x != y), min(len(a), len(b)))
