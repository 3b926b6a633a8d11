"""Decoders: the seam between the writing of text and what computes logits.

A decoder holds the key-value cache of the rows that are being written, and turns new tokens into
logits. Everything around it (settings, stop texts, windows, drafts) is the same for all of them.

B rows, T tokens, C channels, V vocabulary, N new tokens of all rows, one row after the other.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from penwright.model import GPT2, GPT2Config, KVCache, evaluating
from penwright.model.cache import count_common
from penwright.model.lora import beside

PREFILL_TOKENS = 4096
"""Most tokens, padding included, that are computed at once when rows enter."""
WORTH_SHARING = 16
"""A common beginning shorter than this is computed again; a copy is no faster."""


class Decoder(Protocol):
    """The cache of some rows, and the computation of what may follow them."""

    @property
    def lengths(self) -> list[int]:
        """Return the number of cached tokens of each row."""

    @property
    def device(self) -> torch.device:
        """Return the device of the logits."""

    def enter(self, prompts: Sequence[Sequence[int]], share: Sequence[int | None] = ()) -> None:
        """Append rows with these tokens cached; a prompt may be empty.

        `share[i]` is an earlier row, old or of the same call: as far as its tokens are those of
        prompt i, they are copied instead of computed.
        """

    def feed(self, tokens: Sequence[Sequence[int]], every: bool = False) -> Tensor:
        """Append at least one token to each row; the numbers may differ.

        Returns float32 logits_BV behind each row's last token, or with `every` logits_NV behind
        each new token.
        """

    def truncate(self, lengths: Sequence[int]) -> None:
        """Drop row b's tokens after its first `lengths[b]`."""

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be left out or repeated."""

    def drop(self, rows: Sequence[int]) -> list[int]:
        """Remove these rows; returns the old numbers of the rows that are left, in their order."""


class Source(Protocol):
    """A model as the writing of text sees it: it opens decoders."""

    @property
    def config(self) -> GPT2Config:
        """Return the model's shape."""

    @property
    def weights(self) -> str:
        """Return the type of the weights: float32, bf16, fp16, int8 or int4."""

    @property
    def n_bytes(self) -> int:
        """Return the memory that the weights take."""

    def decoder(self) -> Decoder:
        """Return a new decoder without rows."""

    def beside(self, factors: Mapping[str, tuple[Tensor, Tensor]]) -> Source:
        """Return this model with an adapter's factors, A [R, I] and B [O, R] by the name of their
        matrix. Both have their weights in the same memory.
        """

    @property
    def device(self) -> torch.device:
        """Return the device that rows take memory of."""

    def row_bytes(self, length: int) -> int:
        """Return the memory that a row of `length` tokens takes while it is written."""


def find_shared(
    held: Sequence[Sequence[int]], prompts: Sequence[Sequence[int]]
) -> list[int | None]:
    """Return for each prompt the earlier row with the longest common beginning, if worth sharing.

    `held` are the tokens of the rows that are there; the prompts follow them.
    """
    known = sorted((list(tokens), row) for row, tokens in enumerate(held))
    shared: list[int | None] = []
    for number, prompt in enumerate(prompts, len(held)):
        entry = list(prompt), number
        at = bisect.bisect(known, entry)
        # Of all sorted texts, a neighbour has the longest common beginning.
        near = [
            (count_common(prompt, tokens), row) for tokens, row in known[max(0, at - 1) : at + 1]
        ]
        common, row = max(near, default=(0, -1))
        shared.append(row if common >= min(WORTH_SHARING, max(1, len(prompt))) else None)
        known.insert(at, entry)
    return shared


class Reading(NamedTuple):
    """Rows to compute at once: where each is copied from, and the token it is computed from on."""

    rows: list[int]
    sources: list[int]
    starts: list[int]


def plan_reading(
    texts: Sequence[Sequence[int]], first: int, share: Sequence[int | None]
) -> Iterator[Reading]:
    """Yield the readings that fill the rows from `first` on, each after those it copies from."""
    sources: dict[int, int] = {}
    copied: dict[int, int] = {}
    depths: dict[int, int] = {}
    for row, shared in enumerate(share, first):
        source = row if shared is None else shared
        copied[row] = 0 if source == row else count_common(texts[row], texts[source])
        if not copied[row]:
            source = row
        # What the source has copied itself is copied from there: fewer readings wait.
        while source in sources and copied[row] <= copied[source]:
            source = sources[source]
        sources[row] = source
        depths[row] = depths[source] + 1 if source in depths else 0

    def new(row: int) -> int:
        return len(texts[row]) - copied[row]

    rows: list[int] = []
    for row in sorted(sources, key=lambda row: (depths[row], new(row))):
        if rows and (
            (depths[row], new(row) > 0) != (depths[rows[0]], new(rows[0]) > 0)
            or (len(rows) + 1) * new(row) > PREFILL_TOKENS
        ):
            yield _read_together(texts, rows, sources, new(rows[-1]))
            rows = []
        rows.append(row)
    if rows:
        yield _read_together(texts, rows, sources, new(rows[-1]))


def _read_together(
    texts: Sequence[Sequence[int]], rows: list[int], sources: dict[int, int], new: int
) -> Reading:
    # A row with fewer new tokens computes some that it could copy: no room for padding is needed.
    starts = [max(0, len(texts[row]) - new) for row in rows]
    return Reading(rows, [sources[row] for row in rows], starts)


class TorchDecoder:
    """A decoder with a GPT2 and its KVCache, on any device.

    With `static` a step of one token a row has fixed shapes, and is a CUDA graph on a GPU.
    """

    def __init__(self, model: GPT2, *, static: bool | None = None) -> None:
        self._model = model
        self._static = model.head_weight_VC.is_cuda if static is None else static
        self._cache = empty_cache(model)
        self._texts: list[list[int]] = []

    @property
    def lengths(self) -> list[int]:
        return self._cache.lengths

    @property
    def device(self) -> torch.device:
        return self._model.head_weight_VC.device

    def enter(self, prompts: Sequence[Sequence[int]], share: Sequence[int | None] = ()) -> None:
        first = len(self._texts)
        self._texts += [list(prompt) for prompt in prompts]
        with torch.inference_mode(), evaluating(self._model):
            self._cache.add(len(prompts))
            for group in plan_reading(self._texts, first, share or [None] * len(prompts)):
                part = self._cache.copy(group.sources, group.starts)
                texts = [self._texts[row] for row in group.rows]
                if part.lengths != list(map(len, texts)):
                    self._read(part, texts)
                self._cache.put(group.rows, part)

    def feed(self, tokens: Sequence[Sequence[int]], every: bool = False) -> Tensor:
        counts = [len(new) for new in tokens]
        longest = max(counts)
        for text, new in zip(self._texts, tokens, strict=True):
            text += new
        with torch.inference_mode(), evaluating(self._model):
            if self._static and longest == 1:
                ids = [new[0] for new in tokens]
                capture = self.device.type == "cuda"
                return self._cache.feed_static(self._model, ids, capture=capture).float()
            if longest > min(counts):  # as in `_read_together`
                self._cache.truncate([max(0, len(text) - longest) for text in self._texts])
            ends = [row * longest + min(len(text), longest) for row, text in enumerate(self._texts)]
            hidden_NC = self._read(self._cache, self._texts).flatten(0, 1)
            if every:
                wanted = [
                    n
                    for end, count in zip(ends, counts, strict=True)
                    for n in range(end - count, end)
                ]
            else:
                wanted = [end - 1 for end in ends]
            if len(wanted) < len(hidden_NC):
                hidden_NC = hidden_NC[torch.tensor(wanted, device=self.device)]
            return self._model.logits(hidden_NC).float()

    def truncate(self, lengths: Sequence[int]) -> None:
        for text, length in zip(self._texts, lengths, strict=True):
            del text[length:]
        self._cache.truncate(lengths)

    def select(self, rows: Sequence[int]) -> None:
        self._texts = [self._texts[row].copy() for row in rows]
        with torch.inference_mode():
            self._cache.select(rows)

    def drop(self, rows: Sequence[int]) -> list[int]:
        with torch.inference_mode():
            order = self._cache.drop(rows)
        self._texts = [self._texts[row] for row in order]
        return order

    def _read(self, cache: KVCache, texts: Sequence[Sequence[int]]) -> Tensor:
        """Compute what `cache` lacks of `texts`; returns hidden_BTC, padded at the end."""
        counts = [len(text) - held for text, held in zip(texts, cache.lengths, strict=True)]
        longest = max(counts)
        padded = [
            [*text[held:], *[0] * (longest - count)]
            for text, held, count in zip(texts, cache.lengths, counts, strict=True)
        ]
        tokens_BT = torch.tensor(padded, device=self.device)
        hidden_BTC: Tensor = self._model(tokens_BT, cache.begin(longest), cache)
        cache.advance(counts)
        return hidden_BTC


def empty_cache(model: GPT2) -> KVCache:
    """Return a cache without rows, in the precision that the model computes in."""
    weight_VC = model.head_weight_VC
    kind = weight_VC.device.type
    amp = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if amp else weight_VC.dtype
    return KVCache(model.config, 0, model.config.n_positions, dtype, weight_VC.device)


TORCH_WEIGHTS = {torch.float32: "float32", torch.bfloat16: "bf16", torch.float16: "fp16"}


class TorchSource:
    """A GPT2 in torch, on any device."""

    def __init__(self, model: GPT2, base: TorchSource | None = None) -> None:
        self.model = model
        self.base = base

    @property
    def config(self) -> GPT2Config:
        return self.model.config

    @property
    def device(self) -> torch.device:
        return self.model.head_weight_VC.device

    @property
    def weights(self) -> str:
        dtype = self.model.head_weight_VC.dtype
        return TORCH_WEIGHTS.get(dtype, str(dtype))

    @property
    def n_bytes(self) -> int:
        return sum(weight.numel() * weight.element_size() for weight in self.model.parameters())

    def decoder(self) -> TorchDecoder:
        return TorchDecoder(self.model)

    def beside(self, factors: Mapping[str, tuple[Tensor, Tensor]]) -> TorchSource:
        return TorchSource(beside(self.model, factors), self)

    def row_bytes(self, length: int) -> int:
        config = self.config
        held = (
            2 * config.n_layer * config.n_embd * length * self.model.head_weight_VC.element_size()
        )
        return 2 * held + 16 * config.vocab_size


def as_source(model: GPT2 | Source) -> Source:
    """Return the source of decoders that `model` is, or that computes it in torch."""
    return TorchSource(model) if isinstance(model, GPT2) else model
