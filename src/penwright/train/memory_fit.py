"""Choose a method that fits into memory: every way to train a model, the best first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from penwright.config import FinetuneConfig, MethodName, OptimizerName
from penwright.errors import OutOfRoomError
from penwright.model import SIZES, GPT2Config
from penwright.train.memory import Load, Memory, predict
from penwright.train.optimizer import OPTIMIZER_OF, OPTIMIZERS
from penwright.weights.names import SIZES as PRETRAINED
from penwright.wording import data_size

_SHARE = 0.9  # of the memory that may be planned for
_NOTES = {
    "full": "trains every weight in float32",
    "lean": "trains every weight, rounded to bfloat16",
    "lora": "trains small additions to a frozen model",
}


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to train, and whether it fits."""

    load: Load
    memory: Memory
    fits: bool

    @property
    def name(self) -> str:
        """Return the method and its options, such as `full, recompute`."""
        words: list[str] = [self.load.method]
        words += ["quantize"] if self.load.quantize else []
        words += ["recompute"] if self.load.recompute and self.load.method != "lean" else []
        return ", ".join(words)

    @property
    def note(self) -> str:
        """Return a short description of the method."""
        return _NOTES[self.load.method]


def list_options(config: GPT2Config, wanted: Load, budget: int) -> list[Option]:
    """List every method for a model of this shape, with the largest micro-batch that fits."""
    return [_fitted(config, load, budget) for load in _ways(wanted)]


def choose(
    config: GPT2Config,
    wanted: Load,
    budget: int,
    asked: FinetuneConfig,
    *,
    with_bf16: bool = True,
) -> tuple[Option, str]:
    """Return the first method that fits of those `asked` leaves open, and a sentence on why.

    Where nothing fits, the smallest is taken if the method was asked for; otherwise OutOfRoomError
    says what would fit.
    """
    options = [
        _fitted(config, load, budget, asked.micro_batch)
        for load in _ways(wanted)
        if asked.method in ("auto", load.method)
        and (not asked.recompute or load.recompute)
        and (not asked.lora.quantize or load.quantize)
        and (asked.method != "auto" or not _is_bound_to_full(asked) or load.method == "full")
        and (asked.method != "auto" or with_bf16 or load.method != "lean")
    ]
    for number, option in enumerate(options):
        if option.fits:
            first = options[0]
            why = (
                ""
                if number == 0
                else f"{first.name} would take {data_size(first.memory.total)} of the "
                f"{data_size(budget)} at hand, so {option.name} is taken: "
                f"{data_size(option.memory.total)}."
            )
            return option, why
    smallest = min(options, key=lambda option: option.memory.total)
    if asked.method != "auto" or asked.micro_batch:
        return smallest, (
            f"{smallest.name} is likely to take {data_size(smallest.memory.total)}, more than the "
            f"{data_size(budget)} at hand."
        )
    raise OutOfRoomError(
        f"Training this model takes {data_size(smallest.memory.total)} at the least, and "
        f"{data_size(budget)} are at hand.",
        fix=what_would_fit(wanted, budget),
    )


def what_would_fit(wanted: Load, budget: int) -> str:
    """Return a sentence that names the largest pretrained GPT-2 that fits in `budget` bytes."""
    for size in sorted(PRETRAINED, key=lambda name: -SIZES[name].n_layer * SIZES[name].n_embd):
        for option in list_options(SIZES[size], wanted, budget):
            if option.fits:
                return f"What fits: --model {size} with --method {option.load.method}."
    return "Shorter sequences (--max-length) and the small bundled model (--model base) take less."


def as_json(option: Option) -> dict[str, Any]:
    """Return an option as JSON values."""
    from dataclasses import asdict

    return {
        "name": option.name,
        "method": option.load.method,
        "precision": "fp32" if option.load.width == 4 else "bf16",
        "recompute": option.load.recompute,
        "quantize": option.load.quantize,
        "micro_batch": option.load.micro_batch,
        "memory": asdict(option.memory) | {"total": option.memory.total},
        "fits": option.fits,
        "note": option.note,
    }


def _ways(wanted: Load) -> Iterator[Load]:
    """Yield every way to train, from the fastest and best to the smallest."""

    def way(method: MethodName, *, recompute: bool, quantize: bool = False) -> Load:
        width = 2 if method == "lean" or quantize else wanted.width
        optimizer: OptimizerName = OPTIMIZER_OF["lean"] if method == "lean" else wanted.optimizer
        return replace(
            wanted,
            method=method,
            recompute=recompute,
            quantize=quantize,
            width=width,
            optimizer=optimizer,
        )

    yield way("full", recompute=False)
    yield way("full", recompute=True)
    yield way("lean", recompute=True)
    yield way("lora", recompute=False)
    yield way("lora", recompute=True)
    yield way("lora", recompute=False, quantize=True)
    yield way("lora", recompute=True, quantize=True)


def _fitted(config: GPT2Config, load: Load, budget: int, micro_batch: int | None = None) -> Option:
    """Return the option with the given micro-batch, or the largest that fits, by halving."""
    rows = min(micro_batch or load.batch_size, load.batch_size)
    while True:
        tried = replace(load, micro_batch=rows)
        memory = predict(config, tried)
        fits = memory.total <= _SHARE * budget
        if fits or rows == 1 or micro_batch:
            return Option(load=tried, memory=memory, fits=fits)
        rows = -(-rows // 2)


def _is_bound_to_full(asked: FinetuneConfig) -> bool:
    """Whether only the method full can do what was asked for."""
    return (
        "lean" not in OPTIMIZERS[asked.optim.optimizer].methods or asked.compute.precision == "fp32"
    )
