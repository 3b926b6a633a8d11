"""What a run will do, settled before its first step and written to run.json.

Whatever the user left open is chosen here from the model's size, the data's size and the machine.
A resumed run reads the plan instead of deciding again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from penwright.compute import Arithmetic, choose_precision, emulation_warning, is_emulated
from penwright.config import BatchShape, FinetuneConfig, OptimizerName
from penwright.errors import DataError, UsageError
from penwright.model import GPT2
from penwright.tokens import BatchSchedule, Split, fit_length
from penwright.tokens.batches import Shape
from penwright.tokens.mixing import ChangingMix, MixedBatches
from penwright.train.compiled import choose_compile
from penwright.train.memory import Load, MethodKind, free_memory
from penwright.train.planner import choose
from penwright.train.schedule import Schedule
from penwright.wording import parse_size

_MANY_STEPS = 200  # enough for the schedule to do its work
_MOST_TOKENS_A_STEP = 16_384
_LONGEST = 1024
_FEW_DOCUMENTS = 10
_FEW_TOKENS = 4096
_EVALUATIONS = 20
_AS_ASKED = (
    "decay_factor", "decay_share", "optimizer", "weight_decay", "beta1", "beta2", "eps", "clip",
    "seed", "lora_rank", "lora_alpha", "lora_dropout", "lora_targets", "patience", "keep",
    "sample_tokens",
)  # fmt: skip
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
    shape: Shape
    precision: Arithmetic
    learning_rate: float
    schedule: Literal["constant", "linear", "cosine", "step", "wsd"]
    warmup_steps: int
    decay_factor: float
    decay_steps: tuple[int, ...]
    decay_share: float = 0.4
    method: MethodKind = "full"
    why: str = ""
    """A word on why the method was taken, where it is not the first choice."""
    recompute: bool = False
    compile: bool = False
    quantize: bool = False
    lora_rank: int = 8
    lora_alpha: float = 16.0
    lora_dropout: float = 0.0
    lora_targets: tuple[str, ...] = ("c_attn", "c_proj", "c_fc")
    optimizer: OptimizerName = "adamw"
    weight_decay: float
    beta1: float
    beta2: float
    eps: float
    clip: float
    seed: int
    evaluate_every: int
    evaluate_tokens: int
    patience: int
    save_every: int
    save_seconds: float
    keep: int
    sample_every: int
    sample_tokens: int

    @property
    def tokens_a_step(self) -> int:
        """Tokens in a whole batch, padding counted."""
        return self.batch_size * self.max_length

    @property
    def rates(self) -> Schedule:
        """The learning rate of each step."""
        return Schedule(
            kind=self.schedule,
            peak=self.learning_rate,
            steps=self.steps,
            warmup_steps=self.warmup_steps,
            floor=self.decay_factor,
            decay_steps=self.decay_steps,
            decay_share=self.decay_share,
        )

    def batches(self, part: Split) -> BatchSchedule | MixedBatches:
        """Return the batches of this run over `part`."""
        if isinstance(part, ChangingMix):
            return MixedBatches(
                part, self.shape, self.batch_size, self.max_length, self.seed, self.steps
            )
        return BatchSchedule(part, self.shape, self.batch_size, self.max_length, self.seed)

    def measured(self, held_out: Split) -> Split:
        """What of the held-out part is scored along the way: always the same."""
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
    """Steps and seconds between checkpoints from `500`, `10min`, `30s` or `2h`; 0 is never.

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
    """The share of the documents to hold out: asked for, or what can be scored twice in time.

    A tenth of the data, but at most 200,000 tokens, and little enough that scoring it before and
    after takes at most a tenth of the time of training on as many tokens as the run will see.
    Nothing of a few short documents, each of which is needed. Raises UsageError for a share that
    is none.
    """
    if config.held_out is not None:
        if not 0 <= config.held_out < 1:
            raise UsageError("held_out must be at least 0 and below 1.")
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
    rows = BatchSchedule(training, shape, 1, length, config.seed).n_rows
    batch_size = config.batch_size or choose_batch_size(config, training.n_tokens, length, rows)
    steps_per_epoch = config.steps_per_epoch
    if steps_per_epoch is None:
        steps_per_epoch = math.ceil(rows / batch_size)
    epochs = config.epochs or choose_epochs(training.n_tokens)
    steps = config.steps if config.steps is not None else math.ceil(epochs * steps_per_epoch)
    if steps < 1 or batch_size < 1 or steps_per_epoch < 1:
        raise UsageError("A run takes at least one step of one sequence.")
    evaluate_every, evaluate_tokens = plan_evaluations(
        config.evaluate_every, steps, steps * batch_size * length, held_out.n_tokens
    )
    save_steps, save_seconds = parse_every(config.save_every)
    precision = choose_arithmetic(config, device, model.config.n_embd, calibration)
    option, why = choose(
        model.config,
        Load.wanted(config, precision, batch_size, length, device),
        parse_size(config.memory) if config.memory else free_memory(device),
        config,
        with_bf16=not is_emulated("bf16", device),
    )
    load = option.load
    precision = "bf16" if load.method == "lean" else precision
    why = " ".join(filter(None, (why, emulation_warning(precision, device))))
    warmup = round(steps * config.warmup) if config.warmup < 1 else int(config.warmup)
    schedule = config.schedule if config.schedule != "auto" else "cosine"
    return TrainPlan(
        steps=steps,
        steps_per_epoch=steps_per_epoch,
        batch_size=batch_size,
        micro_batch=load.micro_batch,
        max_length=length,
        shape=shape,
        precision=precision,
        learning_rate=config.learning_rate or choose_learning_rate(model),
        schedule=schedule,
        warmup_steps=warmup,
        decay_steps=tuple(round(epoch * steps_per_epoch) for epoch in config.decay_epochs),
        method=load.method,
        recompute=load.recompute,
        compile=choose_compile(
            config.compile, device, 6.0 * model.n_parameters * steps * batch_size * length
        ),
        quantize=load.quantize,
        why=why,
        evaluate_every=evaluate_every,
        evaluate_tokens=evaluate_tokens,
        save_every=save_steps,
        save_seconds=save_seconds,
        sample_every=choose_sample_every(config.sample_every, steps, evaluate_every),
        **{name: getattr(config, name) for name in _AS_ASKED},
    )


def choose_window(
    training: Split, context: int, shape: BatchShape = "auto", max_length: int | None = None
) -> tuple[Shape, int]:
    """The shape of batches and the length of a row in tokens, where they are not given.

    Raises UsageError for a length that the model's context does not hold.
    """
    if max_length is not None and not 2 <= max_length <= context:
        raise UsageError(
            f"max_length cannot be {max_length}.", fix=f"This model takes 2 to {context}."
        )
    most = max_length or min(context, _LONGEST)
    chosen: Shape = choose_shape(training, most) if shape == "auto" else shape
    length = fit_length(training, most, chosen)
    if max_length is None and chosen == "packed":
        length = choose_packed_length(training, length)
    return chosen, length


def choose_arithmetic(
    config: FinetuneConfig, device: torch.device, width: int, calibration: Path | None
) -> Arithmetic:
    """The arithmetic of a method; raises UsageError for one that it does not have."""
    wanted = config.compute.precision
    if config.quantize and config.method not in ("auto", "lora"):
        raise UsageError("quantize is for frozen weights.", fix="Add --method lora.")
    if config.optimizer == "muon" and config.method == "lora":
        raise UsageError("muon is for whole matrices, not for LoRA's.", fix="Or --method full.")
    if config.method != "lean":
        return choose_precision(wanted, device, width, calibration)
    if wanted not in ("auto", "bf16"):
        raise UsageError(f"The method lean is in bf16, not in {wanted}.", fix="Or --method full.")
    if config.optimizer not in ("adamw", "adamw8bit"):
        raise UsageError(
            "The method lean has its own optimizer, AdamW in eight bits.", fix="Or --method full."
        )
    return "bf16"


def choose_shape(training: Split, length: int) -> Literal["packed", "windows"]:
    """Random crops where documents are far longer than a window, whole documents otherwise."""
    return "windows" if training.n_tokens / len(training) > 2 * length else "packed"


def choose_packed_length(training: Split, most: int) -> int:
    """The row length up to `most` that whole documents fill with the least padding.

    Documents of 300 tokens leave two fifths of a row of 512 empty, and little of one of 350.
    """
    longest = int((training.ranges[:, 1] - training.ranges[:, 0]).max()) - 1
    lengths = {most, *(count * longest for count in range(1, most // longest + 1)[:4])}

    def computed(length: int) -> int:
        return BatchSchedule(training, "packed", 1, length, 0).n_rows * length

    return min(sorted(lengths, reverse=True), key=computed)


def choose_epochs(tokens: int) -> float:
    """Four passes over 40,000 tokens, up to six over less, one from some million on."""
    return float(max(1, min(6, round(4 * (40_000 / max(1, tokens)) ** 0.3))))


def choose_batch_size(config: FinetuneConfig, tokens: int, length: int, rows: int) -> int:
    """Sequences a step, so that a run over little data still takes some hundred steps."""
    epochs = config.epochs or choose_epochs(tokens)
    wanted = min(_MOST_TOKENS_A_STEP, max(1024, tokens * epochs / _MANY_STEPS))
    return max(1, min(rows, round(wanted / length)))


def choose_learning_rate(model: GPT2) -> float:
    """1e-4 for 124M parameters; larger for smaller models, smaller for larger ones."""
    return float(f"{1e-4 * (124e6 / model.n_parameters) ** 0.4:.1e}")


def plan_evaluations(
    wanted: int | None, steps: int, tokens_to_train: int, held_out_tokens: int
) -> tuple[int, int]:
    """How often to measure, and on how many held-out tokens, within a tenth of the run's time.

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
    """Five times in a run unless asked otherwise, with a measurement; at its end at the latest."""
    if wanted is not None:
        return wanted
    fifth = max(1, steps // 5)
    every = max(1, round(fifth / evaluate_every)) * evaluate_every if evaluate_every else fifth
    return min(every, max(1, steps))
