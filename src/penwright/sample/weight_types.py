"""Choose the type of the weights that text is written with: float32, bf16, int8 or int4.

`auto` takes the fastest type on this machine whose loss of quality is within its limit. Both are
measured once for a model and a machine, in some seconds, and kept in Penwright's cache.

The loss of quality is measured on texts that the model writes itself in float32. There the
perplexity of another type is exp(KL) times that of float32, KL being the mean Kullback-Leibler
divergence of the two distributions of the next token; it is computed over the whole vocabulary.

B rows, T tokens, N tokens of all rows, V vocabulary.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from penwright import native, weights
from penwright.compute import (
    calibration_file,
    choose_device,
    emulation_warning,
    keep_measurement,
    measurement_key,
    read_measurements,
)
from penwright.config import LoadConfig
from penwright.errors import UsageError
from penwright.files import stamp
from penwright.model import GPT2
from penwright.native import WEIGHTS, Choice, Library, PackedModel
from penwright.sample.decoder import TORCH_WEIGHTS, Source, TorchSource
from penwright.tokens.bpe import Tokenizer
from penwright.weights.names import Place
from penwright.weights.opening import Beside
from penwright.wording import Warn

LIMITS = {"float32": 0.0, "bf16": 0.005, "int8": 0.005, "int4": 0.03}
"""Largest increase of the perplexity for which `auto` takes a type."""
_ROWS, _TOKENS = 8, 48
_LARGE = 400_000_000  # weights, from which on a quarter of the tokens is enough
_SECONDS = 0.25  # for the speed of each type
_STEPS = 8


@dataclass(frozen=True)
class Measured:
    """A type of weights on this machine, for one model."""

    perplexity: float
    """Its increase over float32, as a share."""
    tokens_per_s: float
    """Of one text."""


@dataclass(frozen=True)
class Measurements:
    """All types of weights on this machine, for one model."""

    types: dict[str, Measured]

    @property
    def best(self) -> str:
        """Return the fastest type whose increase of the perplexity is within its limit."""
        good = [name for name, found in self.types.items() if found.perplexity <= LIMITS[name]]
        return max(good, key=lambda name: self.types[name].tokens_per_s)

    @property
    def says(self) -> str:
        """Return the sentence that tells the choice."""
        best, exact = self.types[self.best], self.types["float32"]
        if self.best == "float32":
            return "Weights: float32, the fastest here."
        times = best.tokens_per_s / exact.tokens_per_s
        return (
            f"Weights: {self.best}, {times:.1f} times as fast as float32 here, at "
            f"{100 * best.perplexity:.2f} % more perplexity; --weights float32 is exact."
        )


@dataclass(frozen=True)
class OpenedSource:
    """A model that can write, with its tokenizer; the other fields are those of OpenedModel."""

    source: Source
    open_model: Callable[[], GPT2]
    """Return the model in PyTorch."""
    tokenizer: Tokenizer
    name: str
    path: Path
    format: dict[str, Any]


def open_source(
    name: str | Path, config: LoadConfig, warn: Warn, *, in_torch: bool = False
) -> OpenedSource:
    """Open a model to write with, by the native decoder where there is one, unless `in_torch`.

    `warn` is told what of its files is left out or guessed, and which weights `auto` takes.
    Raises ModelError as `weights.open` does, UsageError for weights that cannot be had here.
    """
    place = weights.find_place(name)
    adapter = None if in_torch else weights.find_beside(place)
    if adapter is not None:
        return _open_beside(str(name), adapter, config, warn)
    device = choose_device(config.device)
    wanted = _find_type(config)
    library = (
        native.load(warn) if device.type == "cpu" and wanted != "fp16" and not in_torch else None
    )
    if library is None:
        return _open_in_torch(place, str(name), device, config, wanted, warn, share=not in_torch)
    parts, read = weights.open_tensors(place)
    tokenizer = parts.tokenizer()
    for note in parts.notes:
        warn(note)

    def pack(type_: str) -> PackedModel:
        return PackedModel(parts.config, read, library, type_)

    def open_model() -> GPT2:
        return weights.open_place(place, str(name), dtype=torch.float32, device="cpu").model

    key = _key(parts.path, config)
    source = _OPEN.get(key)
    if source is None and wanted == "auto":
        kept, identity = calibration_file(), stamp(parts.path)
        source, found = choose_weights(identity, library, pack, tokenizer, kept)
        warn(found.says)
    elif source is None:
        source = pack(wanted)
    _OPEN[key] = source
    return OpenedSource(source, open_model, tokenizer, str(name), parts.path, parts.format)


_OPEN: WeakValueDictionary[tuple[str, LoadConfig], Source] = WeakValueDictionary()
"""The models that this process writes with, by their files and how they were opened. A second one
of the same files, or an adapter of it, shares the weights.
"""


def _key(path: Path, config: LoadConfig) -> tuple[str, LoadConfig]:
    return f"{path.resolve()} {stamp(path)}", replace(config, drafts="auto")


def _open_beside(name: str, adapter: Beside, config: LoadConfig, warn: Warn) -> OpenedSource:
    base = open_source(adapter.base, config, warn).source
    for note in adapter.parts.notes:
        warn(note)
    return OpenedSource(
        base.beside(adapter.factors),
        lambda: weights.open(name, dtype=torch.float32).model,
        adapter.parts.tokenizer(),
        name,
        adapter.parts.path,
        adapter.parts.format,
    )


def _find_type(config: LoadConfig) -> str:
    """Return the type of weights that is asked for, or auto."""
    if config.precision == "auto":
        return config.weights
    if config.weights != "auto":
        raise UsageError("--weights and --precision contradict each other.", fix="Give one.")
    return {"fp32": "float32"}.get(config.precision, config.precision)


def _open_in_torch(
    place: Place,
    name: str,
    device: torch.device,
    config: LoadConfig,
    wanted: str,
    warn: Warn,
    *,
    share: bool,
) -> OpenedSource:
    if wanted in ("int8", "int4"):
        where = f"Here text is written by {native.describe()}." if device.type == "cpu" else ""
        raise UsageError(
            f"{wanted} weights need the native decoder, which runs on a CPU. {where}".rstrip(),
            fix="Give --weights float32 or bf16, or leave it out.",
        )
    if wanted == "auto":
        wanted = "bf16" if device.type == "cuda" else "float32"
    elif slow := emulation_warning({"float32": "fp32"}.get(wanted, wanted), device):
        warn(slow)
    dtype = next(dtype for dtype, name in TORCH_WEIGHTS.items() if name == wanted)
    opened = weights.open_place(place, name, dtype=dtype, device=device)
    for note in opened.notes:
        warn(note)
    source = TorchSource(opened.model)
    if share:
        key = _key(opened.path, config)
        held = _OPEN.get(key)
        source = held.beside({}) if isinstance(held, TorchSource) else source
        _OPEN.setdefault(key, source)
    return OpenedSource(
        source,
        lambda: source.model,
        opened.tokenizer,
        opened.name,
        opened.path,
        opened.format,
    )


def choose_weights(
    identity: str,
    library: Library,
    pack: Callable[[str], PackedModel],
    tokenizer: Tokenizer,
    kept: Path,
) -> tuple[PackedModel, Measurements]:
    """Return the model in its best type of weights, and what was measured now or before.

    `identity` names the model's content, `pack` returns it in a type of weights, and `kept` is
    the file of measurements.
    """
    key = measurement_key(
        "weights", platform.machine(), library.path.stem, library.variant, identity
    )
    known = read_measurements(kept).get(key)
    try:
        types = {name: Measured(**known[name]) for name in WEIGHTS}  # type: ignore[index]
    except (KeyError, TypeError):
        packed, types = _measure_all(pack, tokenizer)
        keep_measurement(kept, key, {name: asdict(found) for name, found in types.items()})
        return packed, Measurements(types)
    found = Measurements(types)
    return pack(found.best), found


def _measure_all(
    pack: Callable[[str], PackedModel], tokenizer: Tokenizer
) -> tuple[PackedModel, dict[str, Measured]]:
    """Measure every type; returns the best packed model too. At most two are held at once."""
    best = pack("float32")
    texts = _write_texts(best, tokenizer)
    exact_NV = _read_logprobs(best, texts, tokenizer)
    types = {"float32": Measured(0.0, _measure_speed(best, tokenizer))}
    for name in WEIGHTS:
        if name in types:
            continue
        packed = pack(name)
        logp_NV = _read_logprobs(packed, texts, tokenizer)
        divergence = float((exact_NV.exp() * (exact_NV - logp_NV)).sum(-1).double().mean())
        types[name] = Measured(math.expm1(max(0.0, divergence)), _measure_speed(packed, tokenizer))
        if Measurements(types).best == name:
            best = packed
    return best, types


def _write_texts(packed: PackedModel, tokenizer: Tokenizer) -> list[list[int]]:
    """Let the model write some texts, from its own distribution."""
    config = packed.config
    large = 12 * config.n_layer * config.n_embd**2 > _LARGE
    length = min(_TOKENS // 4 if large else _TOKENS, config.n_positions - 1)
    decoder = packed.decoder()
    decoder.enter([[] for _ in range(_ROWS)])
    choices = [_choose(tokenizer, key, length) for key in range(_ROWS)]
    written = decoder.write(choices, (), tokenizer.vocab_size)
    return [[tokenizer.eot_id, *tokens[:-1]] for tokens in written]


def _choose(tokenizer: Tokenizer, key: int, limit: int) -> Choice:
    return Choice(key=key, temperature=1.0, top_p=1.0, limit=limit, last=tokenizer.eot_id)


def _read_logprobs(
    packed: PackedModel, texts: Sequence[Sequence[int]], tokenizer: Tokenizer
) -> Tensor:
    decoder = packed.decoder()
    decoder.enter([[] for _ in texts])
    logits_NV = decoder.feed(texts, every=True)[:, : tokenizer.vocab_size]
    return logits_NV.log_softmax(-1)


def _measure_speed(packed: PackedModel, tokenizer: Tokenizer) -> float:
    """Return the tokens a second of one text, the best of some short ones."""
    decoder = packed.decoder()
    decoder.enter([[]])
    limit = min(_STEPS, packed.config.n_positions)
    best, end = math.inf, time.perf_counter() + _SECONDS
    while best == math.inf or time.perf_counter() < end:
        begin = time.perf_counter()
        decoder.write([_choose(tokenizer, 0, limit)], (), tokenizer.vocab_size)
        best = min(best, time.perf_counter() - begin)
        decoder.truncate([0])
    return limit / best
