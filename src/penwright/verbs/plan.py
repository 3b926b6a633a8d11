"""Plan a training without starting it: memory, speed and time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penwright.compute import calibration_file, choose_device, choose_precision, is_emulated
from penwright.config import FinetuneConfig, PlanConfig, build
from penwright.dataset.training import open_training_data
from penwright.errors import OutOfRoomError, UsageError
from penwright.tokens import BatchSchedule, Split
from penwright.train.calibrate import Rates, choose_kernels, rates_of, seconds_a_step
from penwright.train.free_memory import budget_of
from penwright.train.memory import (
    Load,
    Option,
    as_json,
    choose,
    list_options,
)
from penwright.train.plan import (
    choose_batch_size,
    choose_epochs,
    choose_window,
)
from penwright.verbs.describe import names_model
from penwright.weights import choose_model, read_shape
from penwright.wording import log, parse_size

_BATCH = 8  # sequences, where no data says better


@dataclass(frozen=True, kw_only=True)
class Planned:
    """Every way to train a model on this machine; `taken` is the one that `finetune` takes."""

    model: str
    device: str
    precision: str
    budget: int
    """Bytes of memory that were planned for, on each device."""
    batch_size: int
    length: int
    devices: int
    steps: int | None
    """Optimizer steps, if they were asked for or there is data."""
    options: tuple[Option, ...]
    rates: tuple[Rates, ...]
    taken: Option | None
    says: str
    """The reason for that one; or, where none fits, what would help."""
    config: Any

    def tokens_per_s(self, number: int) -> float:
        """Return the tokens a second of an option."""
        load = self.options[number].load
        step = seconds_a_step(self.config, load, self.rates[number])
        return load.devices * load.batch_size * load.length / step

    def seconds(self, number: int) -> float | None:
        """Return the seconds an option takes for the data; None without data."""
        if self.steps is None:
            return None
        return self.steps * self.batch_size * self.length / self.tokens_per_s(number)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "model": self.model,
            "device": self.device,
            "budget": self.budget,
            "batch_size": self.batch_size,
            "length": self.length,
            "devices": self.devices,
            "steps": self.steps,
            "options": [
                as_json(option)
                | {"tokens_per_s": self.tokens_per_s(number), "seconds": self.seconds(number)}
                for number, option in enumerate(self.options)
            ],
            "taken": self.taken.name if self.taken else None,
            "says": self.says,
        }


def plan(model: str | None = None, *data: str | Path, **options: Any) -> Planned:
    """Return the memory by use, the speed and the time of training `model` on `data`.

    `options` are those of `penwright plan`.
    """
    return run_plan(model, data, build(PlanConfig, options))


def run_plan(
    name: str | None,
    paths: Sequence[str | Path],
    config: PlanConfig,
    warn: Callable[[str], None] = log,
) -> Planned:
    """Plan as `finetune` with the same options would."""
    if name is not None and Path(name).is_file() and not names_model(name):
        raise UsageError(
            f"{name} is data; the model comes first.", fix=f"Type: penwright plan base {name}"
        )
    name = str(choose_model(name, warn))
    shape, read_tokenizer = read_shape(name, warn)
    device = choose_device(config.compute.device)
    precision = choose_precision(config.compute.precision, device, shape.n_embd, calibration_file())
    devices = config.devices or 1
    budget = budget_of(parse_size(config.memory) if config.memory else None, device, devices)
    asked = FinetuneConfig(
        epochs=config.epochs,
        max_length=config.max_length,
        steps=config.steps,
        batch_size=config.batch_size,
        data=config.data,
        compute=config.compute,
    )
    training = open_training_data(paths, asked, read_tokenizer(), warn).training if paths else None
    batch, length, steps = _fit(training, asked, shape.n_positions)
    kept = calibration_file()
    kernels = choose_kernels(device, precision, shape.n_embd, kept)
    wanted = Load.wanted(asked, precision, batch, length, device, kernels, devices)
    options = tuple(list_options(shape, wanted, budget))
    known = {
        load.method: rates_of(
            shape, "bf16" if load.method == "lean" else precision, load, device, kept, warn
        )
        for load in {option.load.method: option.load for option in options}.values()
    }
    taken: Option | None = None
    try:
        with_bf16 = not is_emulated("bf16", device)
        taken, says = choose(shape, wanted, budget, asked, with_bf16=with_bf16)
    except OutOfRoomError as error:
        says = f"{error.message} {error.fix}"
    return Planned(
        model=name,
        device=device.type,
        precision=precision,
        budget=budget,
        batch_size=batch,
        length=length,
        devices=devices,
        steps=steps,
        options=options,
        rates=tuple(known[option.load.method] for option in options),
        taken=taken,
        says=says,
        config=shape,
    )


def _fit(
    training: Split | None, config: FinetuneConfig, context: int
) -> tuple[int, int, int | None]:
    """Return the rows of a step, their length, and the number of steps if it is known."""
    if training is None:
        return config.batch_size or _BATCH, min(context, config.max_length or 1024), config.steps
    kind, length = choose_window(training, context, max_length=config.max_length)
    rows = BatchSchedule(training, kind, 1, length, config.seed).n_rows
    batch = config.batch_size or choose_batch_size(config, training.n_tokens, length, rows)
    epochs = config.epochs or choose_epochs(training.n_tokens)
    return batch, length, config.steps or math.ceil(epochs * math.ceil(rows / batch))
