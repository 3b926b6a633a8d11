"""Measure this machine's training speed in two seconds, and keep the result for the next time.

A step's time is put together from three rates measured here on the model's own width: a token
through one block and back, a token through the output matrix and the loss, and a weight's update.
"""

from __future__ import annotations

import functools
import math
import platform
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from penwright import native
from penwright.compute import (
    DTYPES,
    autocast,
    is_emulated,
    keep_measurement,
    measurement_key,
    read_measurements,
)
from penwright.config import KernelsName
from penwright.model import GPT2, GPT2Config, chunked_cross_entropy, init_weights
from penwright.model.attention import attend_causal
from penwright.model.gpt2 import Conv1D
from penwright.native.kernels import Kernels, open_kernels
from penwright.native.training import use_kernels
from penwright.train import native_adamw
from penwright.train.adamw8bit import AdamW8bit
from penwright.train.memory import Counts, Load
from penwright.train.process import limit_malloc
from penwright.wording import Warn

_SECONDS = 0.5  # for each rate
_SECONDS_OF_PEAK = 0.1
_ROWS, _LENGTH = 4, 512  # products of few rows take longer for each
_HEAD_TOKENS = 256, 768  # the difference is that of tokens, the rest that of a pass
_FASTER = 1.1  # oneDNN's products are taken from this speed-up on
_WEIGHTS = 1 << 23  # more than a cache holds
_LENGTH_EMULATED = 2  # tokens of which each may take a second
_CARDS = {
    "B200": 2250, "H200": 989, "GH200": 989, "H100 PCIe": 756, "H100 NVL": 835, "H100": 989,
    "A100": 312, "A10": 125, "A10G": 70, "A40": 150, "RTX A6000": 155, "L40S": 362, "L40": 181,
    "L4": 121, "V100": 125, "T4": 65, "RTX 4090": 165, "RTX 3090": 71,
}  # fmt: skip
"""10^12 operations a second of half-precision products, by the makers' data sheets."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Seconds on this machine."""

    block_token: float
    head_token: float
    head_pass: float
    """Of each micro-batch, however many tokens it has."""
    adamw_weight: float
    adamw8bit_weight: float


def measure(config: GPT2Config, precision: str, load: Load, device: torch.device) -> Rates:
    """Measure the rates of a model of this shape under a load; takes some seconds."""
    limit_malloc()  # as a run does, whose large tensors have fresh pages
    rows, length = _ROWS, _LENGTH
    if is_emulated(precision, device):
        rows, length = 1, _LENGTH_EMULATED
    tokens = rows * length
    kernels = open_kernels(load.kernels)
    small = replace(config, n_layer=1, n_positions=length, vocab_size=64)
    model = GPT2(small).to(device)
    init_weights(model, seed=0)
    model.set_dropout(0.0)
    block = model.blocks[0]
    if precision == "bf16":
        for module in block.modules():
            if isinstance(module, Conv1D):
                module.weight.data = module.weight.detach().bfloat16()
    if kernels is not None and load.method != "lora":
        use_kernels(model, kernels)
    x_BTC = torch.randn(rows, length, config.n_embd, device=device, requires_grad=True)
    head_VC = torch.randn(config.vocab_size, config.n_embd, device=device, requires_grad=True)
    targets_N = torch.arange(tokens, device=device) % config.vocab_size

    def forget_gradients() -> None:  # a step does not add to those of the one before
        x_BTC.grad = head_VC.grad = None
        block.zero_grad()

    def through_block() -> None:
        with autocast(device, precision):
            y_BTC = block(x_BTC, attend_causal)
        y_BTC.float().sum().backward()
        forget_gradients()

    def through_head(n: int) -> None:
        with autocast(device, precision):
            hidden_NC = x_BTC.flatten(0, 1)[:n]
            loss = chunked_cross_entropy(hidden_NC, head_VC, targets_N[:n], kernels=kernels)
            loss.backward()  # type: ignore[no-untyped-call]
        forget_gradients()

    weights = [torch.nn.Parameter(torch.randn(_WEIGHTS, device=device)) for _ in range(2)]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    plain = torch.optim.AdamW(weights[:1], lr=1e-6, fused=device.type != "mps")
    coded = AdamW8bit([{"params": weights[1:]}], betas=(0.9, 0.999), eps=1e-8, seed=0)

    def update() -> None:
        if kernels is None:
            plain.step()
        else:
            gradients = {weights[0]: torch.empty(0) if weights[0].grad is None else weights[0].grad}
            native_adamw.take_step(plain, kernels, gradients, {}, 1.0)

    few, many = (1, tokens) if tokens < max(_HEAD_TOKENS) else _HEAD_TOKENS
    some, all_ = (_best(functools.partial(through_head, n), device) for n in (few, many))
    head_token = max(0.0, all_ - some) / (many - few)
    return Rates(
        block_token=_best(through_block, device) / tokens,
        head_token=head_token,
        head_pass=max(0.0, all_ - many * head_token),
        adamw_weight=_best(update, device) / weights[0].numel(),
        adamw8bit_weight=_best(coded.step, device) / weights[0].numel(),
    )


def rates_of(
    config: GPT2Config,
    precision: str,
    load: Load,
    device: torch.device,
    kept: Path,
    tell: Warn = lambda _: None,
) -> Rates:
    """Return the rates from the file `kept`, or measure them, say so, and keep them there."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    shape = config.n_embd, config.n_head, config.vocab_size
    plain = load.kernels == "torch" or load.method == "lora"
    key = measurement_key(name, precision, load.kernels, "plain" if plain else "fused", *shape)
    try:
        return Rates(**read_measurements(kept)[key])  # type: ignore[arg-type]
    except (KeyError, TypeError):
        pass
    tell(f"Measuring how fast this machine trains (method {load.method}), once.")
    rates = measure(config, precision, load, device)
    keep_measurement(kept, key, asdict(rates))
    return rates


def peak_flops(
    precision: str, device: torch.device, kept: Path, kernels: KernelsName = "torch"
) -> float | None:
    """Return the most operations a second that matrix products reach; None if that is unknown.

    Of a GPU, what its maker says of half precision. On a CPU measured now, in a tenth of a second,
    and never less than what the file `kept` remembers.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return card_flops(name) if precision != "fp32" else None
    if device.type != "cpu":
        return None
    key = measurement_key("peak", platform.machine(), precision, kernels)
    before = read_measurements(kept).get(key)
    best = before if isinstance(before, float) else 0.0
    size = 128 if is_emulated(precision, device) else 1024
    x = torch.randn(size, size).to(DTYPES[precision])
    opened = open_kernels(kernels)
    multiply = torch.mm if opened is None else opened.multiply
    out = torch.empty_like(x)
    seconds = _best(lambda: multiply(x, x, out=out), device, _SECONDS_OF_PEAK)
    reached = 2.0 * x.shape[0] ** 3 / seconds
    if reached > best:
        keep_measurement(kept, key, reached)
    return max(best, reached)


def card_flops(name: str) -> float | None:
    """Return a card's half-precision operations a second by its data sheet; None if unknown."""
    if "MIG" in name:
        return None
    known = (flops for card, flops in _CARDS.items() if re.search(rf"\b{card}\b", name))
    return next((flops * 1e12 for flops in known), None)


def choose_kernels(
    device: torch.device, precision: str, width: int, kept: Path | None
) -> KernelsName:
    """Return what computes a step: native kernels where there are any, and which products.

    The products are oneDNN's where these are faster in float32 at the model's `width`. That is
    timed once, in some milliseconds, and stored in the file `kept`.
    """
    library = native.load() if device.type == "cpu" else None
    if library is None:
        return "torch"
    if precision != "fp32" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return "native"
    key = measurement_key("products", platform.machine(), width)
    known = read_measurements(kept).get(key) if kept else None
    if known in ("native", "onednn"):
        return known
    x, w = torch.randn(1024, width), torch.randn(width, 4 * width)
    names: tuple[KernelsName, KernelsName] = "native", "onednn"
    multiply = {name: Kernels(library, products=name).multiply for name in names}
    seconds: dict[KernelsName, float] = dict.fromkeys(names, math.inf)
    for _ in range(8):  # in turn, so that whatever else the machine does falls on both
        for name in names:
            start = time.perf_counter()
            multiply[name](x, w)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    faster = seconds["native"] > _FASTER * seconds["onednn"]
    found: KernelsName = "onednn" if faster else "native"
    if kept:
        keep_measurement(kept, key, found)
    return found


def seconds_a_step(config: GPT2Config, load: Load, rates: Rates) -> float:
    """Predict the seconds of one optimizer step."""
    tokens = load.batch_size * load.length
    # Forward, gradients of what goes in, and gradients of the weights cost alike; recomputing is
    # another forward, and frozen matrices have no gradients.
    share = 2 / 3 if load.method == "lora" else 1.0
    block = rates.block_token * (share + (1 / 3 if load.recompute else 0.0))
    weights = 0 if load.method == "lora" else Counts.of(config).all
    eight_bits = load.optimizer == "adamw8bit"
    update = weights * (rates.adamw8bit_weight if eight_bits else rates.adamw_weight)
    head = tokens * rates.head_token + rates.head_pass * math.ceil(
        load.batch_size / load.micro_batch
    )
    return tokens * config.n_layer * block + head * share + update


def _best(work: Callable[[], object], device: torch.device, seconds: float = _SECONDS) -> float:
    """Return the best time of as many runs as fit into `seconds`, the first not counted."""
    work()
    best, end = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best
