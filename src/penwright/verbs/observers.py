"""Observers of a run besides the terminal: hooks, TensorBoard, Weights & Biases."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Protocol

from penwright.config import LoggerName
from penwright.errors import MissingExtraError, UsageError
from penwright.runs import Run
from penwright.train import Observer, Silent
from penwright.verbs.notebook import LiveCurves, is_notebook
from penwright.wording import log

_NAMES = {"tensorboard": "TensorBoard", "wandb": "Weights & Biases"}
_PROJECT = "penwright"


class Several:
    """Several observers as one, told in their order."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.observers = observers

    def on_start(self, info: dict[str, Any]) -> None:
        for observer in self.observers:
            observer.on_start(info)

    def on_step(self, record: dict[str, Any]) -> None:
        for observer in self.observers:
            observer.on_step(record)

    def on_evaluate(self, record: dict[str, Any]) -> None:
        for observer in self.observers:
            observer.on_evaluate(record)

    def on_samples(self, step: int, samples: list[dict[str, Any]]) -> None:
        for observer in self.observers:
            observer.on_samples(step, samples)

    def on_message(self, text: str) -> None:
        for observer in self.observers:
            observer.on_message(text)


class Logged(Silent):
    """Logs the sentences for the user, and nothing else."""

    def on_message(self, text: str) -> None:
        log(text)


class OnEvaluate(Silent):
    """Calls a function with each measurement."""

    def __init__(self, function: Callable[[dict[str, Any]], None]) -> None:
        self._function = function

    def on_evaluate(self, record: dict[str, Any]) -> None:
        self._function(record)


class Logger(Observer, Protocol):
    """An observer that must be told when the run is over."""

    def close(self) -> None: ...


class Loggers(Several):
    """Several that are closed together."""

    def __init__(self, loggers: Sequence[Logger] = ()) -> None:
        super().__init__(loggers)
        self._loggers = loggers

    def close(self) -> None:
        """Let each of them finish what it writes."""
        for logger in self._loggers:
            logger.close()


class TensorBoard(Silent):
    """Writes to the folder `tensorboard` of the run; what came after `step` no longer counts."""

    def __init__(self, run: Run, step: int) -> None:
        # TensorBoard imports TensorFlow, where that is installed, unless it finds this module. It
        # decides once, when it opens a file; the module is removed for the rest of the process.
        stub = "tensorboard.compat.notf"
        is_new = stub not in sys.modules
        sys.modules.setdefault(stub, ModuleType(stub))
        try:
            from torch.utils.tensorboard import SummaryWriter

            folder = str(run.folder / "tensorboard")
            self._writer: Any = SummaryWriter(folder, purge_step=step + 1 if step else None)
        finally:
            if is_new:
                sys.modules.pop(stub, None)

    def on_step(self, record: dict[str, Any]) -> None:
        self._add(record)

    def on_evaluate(self, record: dict[str, Any]) -> None:
        self._add(record)

    def on_samples(self, step: int, samples: list[dict[str, Any]]) -> None:
        for number, sample in enumerate(samples):
            self._writer.add_text(f"samples/{number}", f"{sample['prompt']}{sample['text']}", step)

    def close(self) -> None:
        self._writer.close()

    def _add(self, record: Mapping[str, Any]) -> None:
        for name, value in figures(record):
            self._writer.add_scalar(name, value, record["step"])


class WeightsAndBiases(Silent):
    """A run of the project `penwright` there, with the same name; WANDB_MODE=offline keeps it here.

    Raises UsageError when it refuses, as without a login.
    """

    def __init__(self, run: Run, say: Callable[[str], None]) -> None:
        import wandb

        known = run.info.get("wandb")
        try:
            self._run: Any = wandb.init(
                project=_PROJECT,
                name=run.name,
                id=known,
                resume="allow" if known else None,
                dir=str(run.folder.resolve()),
                config=run.info["config"] | {"plan": run.info["plan"]},
                settings=wandb.Settings(console="off", silent=True),
            )
        except wandb.errors.Error as error:
            raise UsageError(
                f"Weights & Biases refused: {str(error).splitlines()[0]}",
                fix="Type `wandb login`, or set WANDB_MODE=offline.",
            ) from None
        run.update(wandb=self._run.id)
        self._run.define_metric("*", step_metric="step")
        if not self._run.offline:
            say(f"Weights & Biases: {self._run.url}")

    def on_step(self, record: dict[str, Any]) -> None:
        self._run.log({**dict(figures(record)), "step": record["step"]})

    def on_evaluate(self, record: dict[str, Any]) -> None:
        self._run.log({**dict(figures(record)), "step": record["step"]})

    def on_samples(self, step: int, samples: list[dict[str, Any]]) -> None:
        import wandb

        rows = [[step, sample["prompt"], sample["text"]] for sample in samples]
        table = wandb.Table(columns=["step", "prompt", "text"], data=rows)
        self._run.log({"samples": table, "step": step})

    def close(self) -> None:
        self._run.finish()


def is_installed(name: LoggerName) -> bool:
    """Return whether a logger's package is there; a mere folder of that name is none."""
    found = importlib.util.find_spec(name)
    return found is not None and found.origin is not None


def check(names: Sequence[LoggerName]) -> None:
    """Raise MissingExtraError for a logger whose package is not installed."""
    for name in names:
        if not is_installed(name):
            raise MissingExtraError(f"Logging to {_NAMES[name]}", name)


def open_loggers(run: Run, step: int, say: Callable[[str], None]) -> Loggers:
    """Open the loggers of a run that has come to `step`."""
    names = run.info["config"].get("log", ())
    check(names)
    made: list[Logger] = []
    if "tensorboard" in names:
        made.append(TensorBoard(run, step))
        say(f"To watch: tensorboard --logdir {run.folder / 'tensorboard'}")
    if "wandb" in names:
        made.append(WeightsAndBiases(run, say))
    if is_notebook():
        made.append(LiveCurves(run))
    return Loggers(made)


def figures(record: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the figures of a line of metrics, named `training/loss`, `held-out/loss` and so on."""
    group = "held-out" if record["kind"] == "eval" else "training"
    for name, value in record.items():
        if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{group}/{name}", float(value)
