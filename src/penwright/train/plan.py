"""The plan of a run, made before its first step and written to run.json.

Whatever the user left open is chosen here from the model's size, the data's size and the machine.
A resumed run reads the plan instead of deciding again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from penwright.compute import choose_precision, emulation_warning, is_emulated
from penwright.config import (
    BatchShape,
    FinetuneConfig,
    KernelsName,
    LoraConfig,
    MethodName,
    OptimizerConfig,
    ParallelName,
    Precision,
    ScheduleConfig,
    build,
    flat_values,
)
from penwright.errors import DataError, UsageError
from penwright.model import GPT2
from penwright.tokens import BatchSchedule, Split, fit_length
from penwright.tokens.mixing import ChangingMix, MixedBatches
from penwright.train.calibrate import choose_kernels
from penwright.train.compiled import choose_compile
from penwright.train.free_memory import budget_of
from penwright.train.memory import Load, choose
from penwright.train.optimizer import OPTIMIZER_OF, OPTIMIZERS, Schedule
from penwright.wording import parse_size

_MANY_STEPS = 200  # enough for the schedule to do its work
_MOST_TOKENS_A_STEP = 16_384
_LONGEST = 1024
_FEW_DOCUMENTS = 10
_FEW_TOKENS = 4096
_EVALUATIONS = 20
_EVALUATION_SHARE = 0.1  # of the run's time
_FORWARD_SHARE = 1 / 3  # of a training step's time that scoring the same tokens takes


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """Every choice that a run depends on. Lengths are in tokens, `*_every` in steps."""

    steps: int
    steps_per_epoch: int
    batch_size: int
    micro_batch: int
    max_length: int
    shape: BatchShape
    precision: Precision
    schedule: Schedule
    method: MethodName = "full"
    why: str = ""
    """A sentence on the method and precision, where they are not the first choice."""
    recompute: bool = False
    devices: int = 1
    """Number of ranks; `micro_batch` is of one."""
    parallel: ParallelName = "ddp"
    """Whether each rank holds the whole model (ddp) or a shard of it (fsdp)."""
    compile: bool = False
    kernels: KernelsName = "torch"
    """What computes a step on a CPU; see native/kernels.py."""
    optim: OptimizerConfig
    lora: LoraConfig
    seed: int
    evaluate_every: int
    evaluate_tokens: int
    patience: int
    save_every: int
    save_seconds: float
    keep: int
    sample_every: int
    sample_tokens: int

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> TrainPlan:
        """Return the plan of `as_json`, as run.json holds it; raises UsageError for a wrong one."""
        plan: TrainPlan = build(cls, values)
        return plan

    def as_json(self) -> dict[str, Any]:
        """Return the plan as one flat list of names and values, groups opened up."""
        return flat_values(self)

    def smaller(self) -> tuple[TrainPlan, str] | None:
        """Return the plan that takes less memory than this one, and the change in words, or None.

        Half the micro-batch and recomputing give the same gradient; lean holds the weights in
        bfloat16 and its averages in bytes.
        """
        if self.micro_batch > 1:
            rows = -(-self.micro_batch // 2)
            return replace(self, micro_batch=rows), f"going on with {rows} sequences at once"
        if not self.recompute:
            return replace(self, recompute=True), "going on with layers computed twice"
        if self.method == "full" and "lean" in OPTIMIZERS[self.optim.optimizer].methods:
            optim = replace(self.optim, optimizer=OPTIMIZER_OF["lean"])
            changed = replace(self, method="lean", precision="bf16", optim=optim)
            return changed, "going on with the method lean"
        return None

    def batches(self, part: Split) -> BatchSchedule | MixedBatches:
        """Return the batches of this run over `part`."""
        if isinstance(part, ChangingMix):
            return MixedBatches(
                part, self.shape, self.batch_size, self.max_length, self.seed, self.steps
            )
        return BatchSchedule(part, self.shape, self.batch_size, self.max_length, self.seed)

    def measured(self, held_out: Split) -> Split:
        """Return the fixed subset of the held-out part that is scored during the run."""
        if self.evaluate_tokens >= held_out.n_tokens:
            return held_out
        order = np.random.default_rng(self.seed).permutation(len(held_out))
        ranges = held_out.ranges[order]
        ends = np.cumsum(ranges[:, 1] - ranges[:, 0])
        count = int(np.searchsorted(ends, self.evaluate_tokens, side="right"))
        if count == 0:
            start = int(ranges[0, 0])
            return Split(held_out.store, np.array([[start, start + self.evaluate_tokens]]))
        return Split(held_out.store, ranges[:count])


def parse_every(text: str | int | None) -> tuple[int, float]:
    """Parse `500`, `10min`, `30s` or `2h` into steps and seconds between checkpoints; 0 is never.

    Raises UsageError for anything else.
    """
    if text is None:
        return 0, 600.0
    words = str(text).strip().lower()
    for unit, seconds in (("min", 60), ("s", 1), ("h", 3600)):
        number = words.removesuffix(unit).strip()
        if words.endswith(unit) and number.replace(".", "", 1).isdigit():
            return 0, float(number) * seconds
    if words.isdigit():
        return int(words), 0.0
    raise UsageError(f"save_every cannot be '{text}'.", fix="Give steps (500) or a time (10min).")


def choose_held_out(config: FinetuneConfig, documents: int, tokens: int) -> float:
    """Return the share of documents to hold out: as asked, or what can be scored twice in time.

    A tenth of the data, but at most 200,000 tokens, and little enough that scoring it before and
    after takes at most a tenth of the time of training on as many tokens as the run will see.
    Nothing of a few short documents, each of which is needed.
    """
    if config.held_out is not None:
        return config.held_out
    if documents < _FEW_DOCUMENTS and tokens < _FEW_TOKENS:
        return 0.0
    to_train = tokens * (config.epochs or choose_epochs(tokens))
    if config.steps is not None:
        to_train = min(to_train, config.steps * (config.batch_size or 8) * 1024)
    affordable = max(4096.0, _EVALUATION_SHARE * to_train / _FORWARD_SHARE / 2)
    return round(min(0.1, min(affordable, 200_000.0) / max(1, tokens)), 6)


def make_plan(
    config: FinetuneConfig,
    model: GPT2,
    training: Split,
    held_out: Split,
    device: torch.device,
    calibration: Path | None = None,
    devices: int = 1,
) -> TrainPlan:
    """Settle every choice of a run; what is measured for it is kept in the file `calibration`.

    Raises DataError when there is nothing to learn and UsageError for impossible numbers.
    """
    if training.n_learned == 0:
        raise DataError(
            "There is nothing to learn in this data.", fix="Mark what to learn with --learn."
        )
    shape, length = choose_window(
        training, model.config.n_positions, config.shape, config.max_length
    )
    batch_size, steps_per_epoch, steps = _plan_steps(config, training, shape, length)
    evaluate_every, evaluate_tokens = plan_evaluations(
        config.evaluate_every, steps, steps * batch_size * length, held_out.n_tokens
    )
    save_steps, save_seconds = parse_every(config.save_every)
    precision = choose_arithmetic(config, device, model.config.n_embd, calibration)
    check_parallel(config, precision, devices)
    kernels = choose_kernels(device, precision, model.config.n_embd, calibration)
    option, why = choose(
        model.config,
        Load.wanted(config, precision, batch_size, length, device, kernels, devices),
        budget_of(parse_size(config.memory) if config.memory else None, device, devices),
        config,
        with_bf16=not is_emulated("bf16", device),
    )
    load = option.load
    precision = "bf16" if load.method == "lean" else precision
    why = " ".join(filter(None, (why, emulation_warning(precision, device))))
    return TrainPlan(
        steps=steps,
        steps_per_epoch=steps_per_epoch,
        batch_size=batch_size,
        micro_batch=load.micro_batch,
        max_length=length,
        shape=shape,
        precision=precision,
        schedule=plan_schedule(config.rates, model, steps, steps_per_epoch),
        method=load.method,
        recompute=load.recompute,
        devices=devices,
        parallel="fsdp" if load.shard else "ddp",
        compile=choose_compile(
            config.compile, device, 6.0 * model.n_parameters * steps * batch_size * length
        ),
        kernels="torch" if load.shard else kernels,
        optim=config.optim,
        lora=replace(config.lora, quantize=load.quantize),
        seed=config.seed,
        why=why,
        evaluate_every=evaluate_every,
        evaluate_tokens=evaluate_tokens,
        patience=config.patience,
        save_every=save_steps,
        save_seconds=save_seconds,
        keep=config.keep,
        sample_every=choose_sample_every(config.sample_every, steps, evaluate_every),
        sample_tokens=config.sample_tokens,
    )


def _plan_steps(
    config: FinetuneConfig, training: Split, shape: BatchShape, length: int
) -> tuple[int, int, int]:
    """Return the rows of a step, the steps of an epoch, and the steps of the run."""
    rows = BatchSchedule(training, shape, 1, length, config.seed).n_rows
    batch_size = config.batch_size or choose_batch_size(config, training.n_tokens, length, rows)
    steps_per_epoch = config.steps_per_epoch
    if steps_per_epoch is None:
        steps_per_epoch = math.ceil(rows / batch_size)
    epochs = config.epochs or choose_epochs(training.n_tokens)
    steps = config.steps if config.steps is not None else math.ceil(epochs * steps_per_epoch)
    return batch_size, steps_per_epoch, steps


def plan_schedule(
    config: ScheduleConfig, model: GPT2, steps: int, steps_per_epoch: int
) -> Schedule:
    """Return the schedule with shares and epochs turned into steps; auto is cosine."""
    return Schedule(
        schedule=config.schedule if config.schedule != "auto" else "cosine",
        learning_rate=config.learning_rate or choose_learning_rate(model),
        warmup_steps=round(steps * config.warmup) if config.warmup < 1 else int(config.warmup),
        decay_factor=config.decay_factor,
        decay_steps=tuple(round(epoch * steps_per_epoch) for epoch in config.decay_epochs),
        decay_share=config.decay_share,
    )


def choose_window(
    training: Split,
    context: int,
    shape: Literal["auto", BatchShape] = "auto",
    max_length: int | None = None,
) -> tuple[BatchShape, int]:
    """Return the shape of batches and the length of a row in tokens, as asked or chosen.

    Raises UsageError for a length that the model's context does not hold.
    """
    if max_length is not None and not 2 <= max_length <= context:
        raise UsageError(
            f"max_length cannot be {max_length}.", fix=f"This model takes 2 to {context}."
        )
    most = max_length or min(context, _LONGEST)
    chosen: BatchShape = choose_shape(training, most) if shape == "auto" else shape
    length = fit_length(training, most, chosen)
    if max_length is None and chosen == "packed":
        length = choose_packed_length(training, length)
    return chosen, length


def choose_arithmetic(
    config: FinetuneConfig, device: torch.device, width: int, calibration: Path | None
) -> Precision:
    """Return the precision of a run; raises UsageError for options that exclude each other."""
    wanted = config.compute.precision
    if config.lora.quantize and config.method not in ("auto", "lora"):
        raise UsageError("quantize is for frozen weights.", fix="Add --method lora.")
    name = config.optim.optimizer
    methods = OPTIMIZERS[name].methods
    if config.method != "auto" and config.method not in methods:
        raise UsageError(
            f"The method {config.method} cannot use the optimizer {name}.",
            fix=f"Give --optimizer {OPTIMIZER_OF[config.method]}, or --method {methods[0]}.",
        )
    if config.method != "lean":
        return choose_precision(wanted, device, width, calibration)
    if wanted not in ("auto", "bf16"):
        raise UsageError(f"The method lean is in bf16, not in {wanted}.", fix="Or --method full.")
    return "bf16"


def check_parallel(config: FinetuneConfig, precision: Precision, devices: int) -> None:
    """Raise UsageError for what cannot be done with a shard of each weight alone."""
    if config.parallel != "fsdp":
        return
    if devices == 1:
        raise UsageError("--parallel fsdp needs several devices.", fix="Give --devices 2.")
    name = config.optim.optimizer
    refused = {
        "the method lean": config.method == "lean",
        f"the optimizer {name}": not OPTIMIZERS[name].elementwise,
        "int8 weights": config.lora.quantize,
        "fp16": precision == "fp16",
    }
    for what, is_asked in refused.items():
        if is_asked:
            raise UsageError(
                f"--parallel fsdp cannot divide {what} among devices.",
                fix="Give --parallel ddp, or --method full or lora with --optimizer adamw or sgd.",
            )


def choose_shape(training: Split, length: int) -> Literal["packed", "windows"]:
    """Return windows if documents are far longer than a row on average, else packed."""
    return "windows" if training.n_tokens / len(training) > 2 * length else "packed"


def choose_packed_length(training: Split, most: int) -> int:
    """Return the row length up to `most` that whole documents fill with the least padding.

    Documents of 300 tokens leave two fifths of a row of 512 empty, and little of one of 350.
    """
    longest = int((training.ranges[:, 1] - training.ranges[:, 0]).max()) - 1
    lengths = {most, *(count * longest for count in range(1, most // longest + 1)[:4])}

    def computed(length: int) -> int:
        return BatchSchedule(training, "packed", 1, length, 0).n_rows * length

    return min(sorted(lengths, reverse=True), key=computed)


def choose_epochs(tokens: int) -> float:
    """Return 4 epochs for 40,000 tokens, up to 6 for fewer, 1 for some million or more."""
    return float(max(1, min(6, round(4 * (40_000 / max(1, tokens)) ** 0.3))))


def choose_batch_size(config: FinetuneConfig, tokens: int, length: int, rows: int) -> int:
    """Return the sequences in a step; few if the data is little, so a run has some 200 steps."""
    epochs = config.epochs or choose_epochs(tokens)
    wanted = min(_MOST_TOKENS_A_STEP, max(1024, tokens * epochs / _MANY_STEPS))
    return max(1, min(rows, round(wanted / length)))


def choose_learning_rate(model: GPT2) -> float:
    """1e-4 for 124M parameters; larger for smaller models, smaller for larger ones."""
    return float(f"{1e-4 * (124e6 / model.n_parameters) ** 0.4:.1e}")


def plan_evaluations(
    wanted: int | None, steps: int, tokens_to_train: int, held_out_tokens: int
) -> tuple[int, int]:
    """Return the steps between measurements, and their held-out tokens, for a tenth of the time.

    The full held-out set is scored before and at the end; what is left of the tenth is shared by
    the measurements between.
    """
    if held_out_tokens == 0:
        return 0, 0
    every = wanted if wanted is not None else max(10, math.ceil(steps / _EVALUATIONS))
    if every <= 0:
        return 0, 0
    count = max(1, steps // every)
    affordable = _EVALUATION_SHARE * tokens_to_train / _FORWARD_SHARE - 2 * held_out_tokens
    return every, min(held_out_tokens, max(1024, int(affordable / count)))


def choose_sample_every(wanted: int | None, steps: int, evaluate_every: int) -> int:
    """Return the steps between samples: as asked, or five times in a run, with a measurement."""
    if wanted is not None:
        return wanted
    fifth = max(1, steps // 5)
    every = max(1, round(fifth / evaluate_every)) * evaluate_every if evaluate_every else fifth
    return min(every, max(1, steps))
