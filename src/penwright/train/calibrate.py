"""How fast this machine trains: two seconds of measuring, kept for the next time.

A step's time is put together from three rates measured here on the model's own width: a token
through one block and back, a token through the output matrix and the loss, and a weight's update.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from penwright.model import GPT2, GPT2Config, chunked_cross_entropy, init_weights
from penwright.model.attention import attend_causal
from penwright.train.adamw8bit import AdamW8bit
from penwright.train.memory import Counts, Load
from penwright.train.precision import autocast

_SECONDS = 0.5  # for each rate
_TOKENS = 256


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Seconds on this machine."""

    block_token: float
    head_token: float
    adamw_weight: float
    adamw8bit_weight: float


def measure(config: GPT2Config, precision: str, device: torch.device) -> Rates:
    """Measure the rates of a model of this shape; takes about two seconds."""
    small = replace(config, n_layer=1, n_positions=_TOKENS, vocab_size=64)
    model = GPT2(small).to(device)
    init_weights(model, seed=0)
    model.set_dropout(0.0)
    block = model.blocks[0]
    if precision == "bf16":
        for parameter in block.parameters():
            if parameter.ndim == 2:
                parameter.data = parameter.detach().bfloat16()
    x_BTC = torch.randn(1, _TOKENS, config.n_embd, device=device, requires_grad=True)
    head_VC = torch.randn(config.vocab_size, config.n_embd, device=device, requires_grad=True)
    targets_N = torch.arange(_TOKENS, device=device) % config.vocab_size

    def through_block() -> None:
        with autocast(device, precision):
            y_BTC = block(x_BTC, attend_causal)
        y_BTC.float().sum().backward()

    def through_head() -> None:
        with autocast(device, precision):
            chunked_cross_entropy(x_BTC[0], head_VC, targets_N).backward()  # type: ignore[no-untyped-call]

    weights = [torch.nn.Parameter(torch.randn(1 << 20, device=device)) for _ in range(2)]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    plain = torch.optim.AdamW(weights[:1], lr=1e-6, fused=device.type != "mps")
    coded = AdamW8bit([{"params": weights[1:]}], betas=(0.9, 0.999), eps=1e-8, seed=0)
    return Rates(
        block_token=_best(through_block, device) / _TOKENS,
        head_token=_best(through_head, device) / _TOKENS,
        adamw_weight=_best(plain.step, device) / weights[0].numel(),
        adamw8bit_weight=_best(coded.step, device) / weights[0].numel(),
    )


def rates_of(config: GPT2Config, precision: str, device: torch.device, kept: Path) -> Rates:
    """The rates kept in the file `kept`, or measured now and kept there."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    key = " ".join(
        str(part)
        for part in (
            name,
            platform.node(),
            torch.get_num_threads(),
            torch.__version__,
            precision,
            config.n_embd,
            config.n_head,
            config.vocab_size,
        )
    )
    try:
        known = json.loads(kept.read_text(encoding="utf-8"))
        return Rates(**known[key])
    except (OSError, ValueError, KeyError, TypeError):
        known = _known(kept)
    rates = measure(config, precision, device)
    kept.parent.mkdir(parents=True, exist_ok=True)
    waiting = kept.with_suffix(".part")
    waiting.write_text(json.dumps(known | {key: asdict(rates)}, indent=2), encoding="utf-8")
    waiting.replace(kept)
    return rates


def seconds_a_step(config: GPT2Config, load: Load, rates: Rates) -> float:
    """How long one optimizer step takes."""
    tokens = load.batch_size * load.length
    # Forward, gradients of what goes in, and gradients of the weights cost alike; recomputing is
    # another forward, and frozen matrices have no gradients.
    share = 2 / 3 if load.method == "lora" else 1.0
    block = rates.block_token * (share + (1 / 3 if load.recompute else 0.0))
    weights = 0 if load.method == "lora" else Counts.of(config).all
    eight_bits = load.optimizer == "adamw8bit"
    update = weights * (rates.adamw8bit_weight if eight_bits else rates.adamw_weight)
    return tokens * (config.n_layer * block + rates.head_token * share) + update


def _known(kept: Path) -> dict[str, object]:
    try:
        values = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _best(work: Callable[[], object], device: torch.device) -> float:
    """The best time of as many runs as fit, the first not counted."""
    work()
    best, end = float("inf"), time.perf_counter() + _SECONDS
    while best == float("inf") or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best
