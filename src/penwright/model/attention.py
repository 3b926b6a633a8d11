"""Attention functions that a model calls in each layer: causal, within documents, and cached.

Legend: B batch, H heads, T time (queries), S time (keys), D head dimension, C channels;
L tokens of a document; N tokens, or documents, of all rows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from penwright.model.config import GPT2Config

if TYPE_CHECKING:
    from penwright.model.gpt2 import GPT2


PADDING = -1
GROWTH = 256


class Attend(Protocol):
    """Mixes the values of layer `layer`; all tensors are [B, H, T, D]."""

    def __call__(
        self,
        layer: int,
        q_BHTD: Tensor,
        k_BHTD: Tensor,
        v_BHTD: Tensor,
        dropout_p: float,
        scale: float,
    ) -> Tensor: ...


def attend_causal(
    layer: int,  # noqa: ARG001
    q_BHTD: Tensor,
    k_BHTD: Tensor,
    v_BHTD: Tensor,
    dropout_p: float,
    scale: float,
) -> Tensor:
    """Let each token attend to itself and all tokens before it in its row."""
    return scaled_dot_product_attention(
        q_BHTD, k_BHTD, v_BHTD, dropout_p=dropout_p, is_causal=True, scale=scale
    )


def documents(documents_BT: Tensor, device: torch.device | str | None = None) -> Attend:
    """Return attention to the token itself and all tokens before it in its document.

    A document is a run of equal numbers in a row of `documents_BT`; -1 is padding. The numbers
    are read once, on the host: pass them on the CPU, with the `device` of the model.
    """
    device = documents_BT.device if device is None else torch.device(device)
    documents_BT = documents_BT.cpu()
    borders_BT = documents_BT[:, 1:] != documents_BT[:, :-1]
    # Padding may attend to its row's only document: its output is not used.
    if not (borders_BT & (documents_BT[:, 1:] != PADDING)).any():
        return attend_causal
    if device.type == "cpu":
        return SplitDocuments(documents_BT)
    if (flash := flash_attention(device)) is not None:
        return FlashDocuments(documents_BT, flash, device)
    return MaskedDocuments(bring(documents_BT, device))


def bring(tensor: Tensor, device: torch.device) -> Tensor:
    """Return `tensor` on `device`, copied without making the host wait.

    A GPU copies asynchronously only from pinned memory; the copy is queued behind earlier work.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def find_offsets(documents_BT: Tensor) -> Tensor:
    """Return the documents' offsets in the concatenated rows, and the end of the last, as int64."""
    borders_BT = documents_BT[:, 1:] != documents_BT[:, :-1]
    begins_BT = torch.nn.functional.pad(borders_BT, (1, 0), value=True)
    begins_N = begins_BT.flatten().nonzero().flatten()
    return torch.nn.functional.pad(begins_N, (0, 1), value=documents_BT.numel())


class SplitDocuments:
    """One causal attention call for each document, on a CPU."""

    def __init__(self, documents_BT: Tensor) -> None:
        self.lengths: list[int] = find_offsets(documents_BT).diff().tolist()

    def __call__(
        self,
        layer: int,
        q_BHTD: Tensor,
        k_BHTD: Tensor,
        v_BHTD: Tensor,
        dropout_p: float,
        scale: float,
    ) -> Tensor:
        q_1HLD, k_1HLD, v_1HLD = (self._split(x_BHTD) for x_BHTD in (q_BHTD, k_BHTD, v_BHTD))
        mixed = [
            attend_causal(layer, q, k, v, dropout_p, scale)
            for q, k, v in zip(q_1HLD, k_1HLD, v_1HLD, strict=True)
        ]
        line_NHD = torch.cat([mixed_1HLD[0].transpose(0, 1) for mixed_1HLD in mixed])
        batch, heads, length, width = q_BHTD.shape
        return line_NHD.view(batch, length, heads, width).transpose(1, 2)

    def _split(self, x_BHTD: Tensor) -> list[Tensor]:
        line_NHD = x_BHTD.transpose(1, 2).flatten(0, 1)
        return [x_LHD.transpose(0, 1)[None] for x_LHD in torch.split(line_NHD, self.lengths)]


class MaskedDocuments:
    """All documents at once under a boolean mask, made once for all layers."""

    def __init__(self, documents_BT: Tensor) -> None:
        same_BTS = documents_BT[:, :, None] == documents_BT[:, None, :]
        self.mask_B1TS = same_BTS.tril()[:, None]

    def __call__(
        self,
        layer: int,  # noqa: ARG002
        q_BHTD: Tensor,
        k_BHTD: Tensor,
        v_BHTD: Tensor,
        dropout_p: float,
        scale: float,
    ) -> Tensor:
        return scaled_dot_product_attention(
            q_BHTD, k_BHTD, v_BHTD, attn_mask=self.mask_B1TS, dropout_p=dropout_p, scale=scale
        )


Flash = Callable[..., Tensor]


def flash_attention(device: torch.device) -> Flash | None:
    """Return torch's variable-length flash attention, or None where it is not available.

    Needs half precision under autocast, and an NVIDIA GPU from Ampere on.
    """
    if device.type != "cuda" or torch.version.cuda is None:
        return None
    half = torch.is_autocast_enabled("cuda") and torch.get_autocast_dtype("cuda").itemsize == 2
    if not half or torch.cuda.get_device_capability(device) < (8, 0):
        return None
    from torch.nn.attention import varlen

    known = inspect.signature(varlen.varlen_attn).parameters  # not in the oldest supported torch
    attend = cast(Flash, varlen.varlen_attn)
    return attend if {"scale", "window_size"} <= known.keys() else None


class FlashDocuments:
    """Variable-length flash attention over the concatenated documents, without a mask."""

    def __init__(self, documents_BT: Tensor, flash: Flash, device: torch.device) -> None:
        self.documents_BT = bring(documents_BT, device)
        self.offsets_N = bring(find_offsets(documents_BT).int(), device)
        self.flash = flash

    def __call__(
        self,
        layer: int,
        q_BHTD: Tensor,
        k_BHTD: Tensor,
        v_BHTD: Tensor,
        dropout_p: float,
        scale: float,
    ) -> Tensor:
        if dropout_p or q_BHTD.dtype.itemsize > 2:  # neither is supported
            masked = MaskedDocuments(self.documents_BT)
            return masked(layer, q_BHTD, k_BHTD, v_BHTD, dropout_p, scale)
        batch, _, length, _ = q_BHTD.shape
        q_NHD, k_NHD, v_NHD = (x.transpose(1, 2).flatten(0, 1) for x in (q_BHTD, k_BHTD, v_BHTD))
        mixed_NHD = self.flash(
            *(q_NHD, k_NHD, v_NHD, self.offsets_N, self.offsets_N, length, length),
            scale=scale,
            window_size=(-1, 0),  # all tokens before, none after
        )
        return mixed_NHD.view(batch, length, *mixed_NHD.shape[1:]).transpose(1, 2)


class KVCache:
    """The keys and values of `batch` rows of up to `length` tokens each, so that each new token is
    computed once.

    Rows begin at column 0 whatever their length, so a token's column is its position, and prompts
    of unequal length are padded on the right, where plain causal attention needs no mask.
    Memory grows with the text, in steps. `feed` runs the model on new tokens: it calls `begin`, the
    model with `attend=cache`, and `advance`. `select`, `drop` and `join` change the rows, and
    `truncate` drops their last tokens.
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

    def join(self, other: KVCache) -> None:
        """Append the rows of `other`.

        Raises ValueError when one of them is longer than this cache may be.
        """
        first, longest = len(self.lengths), max(other.lengths, default=0)
        if longest > self.length:
            raise ValueError(f"{longest} tokens exceed the cache's length, {self.length}")
        self.lengths = self.lengths + other.lengths
        self._grow(longest)
        pairs = zip(self._keys + self._values, other._keys + other._values, strict=True)
        for mine, theirs in pairs:
            mine[first : len(self.lengths), :, :longest] = theirs[: len(other.lengths), :, :longest]

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
