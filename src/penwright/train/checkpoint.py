"""Checkpoints: a complete model folder and all that continuing needs, whole or not at all."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from penwright import files, runs
from penwright.errors import OutOfRoomError, RunError
from penwright.model import GPT2, GPT2Config
from penwright.runs import Run
from penwright.train.methods import Method
from penwright.train.optimizer import load_state_tensors, state_tensors
from penwright.weights.peft import Adapter, save_adapter

TENSORS = "trainer.safetensors"
STATE = "trainer.json"
_WITH_OPTIMIZER = 2  # newest checkpoints that keep it, so that one may turn out damaged


@dataclass(kw_only=True)
class TrainState:
    """The state of a run besides its weights, as a checkpoint holds it."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best_loss: float = float("inf")
    best_step: int = 0
    worse_in_a_row: int = 0
    grad_norm: float = 0.0
    rate_factor: float = 1.0
    left_out_step: int = -1
    loss_scale: dict[str, Any] | None = None
    records: int = 0
    """Lines of metrics.jsonl; -1 in a checkpoint of an older version, which does not count them."""


def check_room(run: Run, model: GPT2) -> None:
    """Raise OutOfRoomError unless the disk has room for one more checkpoint of this model."""
    needed = 3 * 4 * model.n_parameters + (16 << 20)
    free = shutil.disk_usage(run.folder).free
    if free < needed:
        raise OutOfRoomError(
            f"{run.folder} has room for {free / 1e9:.2f} GB, but a checkpoint takes "
            f"{needed / 1e9:.2f} GB.",
            fix="Free some room there, or choose another place with --output-dir; "
            "then go on with --resume.",
        )


class Saver:
    """Writes checkpoints behind the back of the loop, which only waits for a copy in memory."""

    def __init__(self, run: Run, keep: int, save_model: Callable[[Path, GPT2], None]) -> None:
        self.run = run
        self.keep = keep
        self.save_model = save_model
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def save(self, state: TrainState, method: Method) -> None:
        """Begin to write the checkpoint of `state.step`, or write it, where memory is scarce.

        Raises what went wrong with the one before, OutOfRoomError as a rule; the checkpoints
        before that are untouched.
        """
        self.wait()
        check_room(self.run, method.model)
        held = [method.tensors(), state_tensors(method.trained, method.optimizer)]
        weights, optimizer = (
            {name: value.detach().to("cpu", copy=method.copies) for name, value in tensors.items()}
            for tensors in held
        )
        adapter = method.adapter(self.run.info.get("model", {}).get("name", ""))
        model = _plain_model(method.model.config, weights)
        self._thread = threading.Thread(
            target=self._write, args=(replace(state), model, optimizer, adapter)
        )
        self._thread.start()
        if not method.copies:
            self.wait()

    def wait(self) -> None:
        """Return when everything is on disk; raises what went wrong."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _write(
        self,
        state: TrainState,
        model: GPT2,
        tensors: dict[str, torch.Tensor],
        adapter: Adapter | None,
    ) -> None:
        try:
            with files.atomic_folder(self.run.checkpoint(state.step)) as folder:
                self.save_model(folder, model)
                if adapter is not None:
                    save_adapter(folder / "adapter", adapter)
                save_file(tensors, folder / TENSORS)
                (folder / STATE).write_text(
                    json.dumps(files.jsonable(asdict(state)), indent=2) + "\n"
                )
                runs.write_manifest(folder)
            tidy(self.run, state, self.keep)
        except BaseException as error:  # handed to the loop, which raises it
            self._error = error


def _plain_model(config: GPT2Config, weights: dict[str, torch.Tensor]) -> GPT2:
    """Return a model whose parameters are these tensors, not copies."""
    with torch.device("meta"):
        model = GPT2(config)
    model.load_state_dict(weights, assign=True)
    return model


def tidy(run: Run, state: TrainState, keep: int) -> None:
    """Point `latest` and `best` at the checkpoints of `state`, and delete those not kept.

    Done after each save, and again on resuming, since the process may have been killed in between.
    """
    run.point("latest", state.step)
    if state.best_step and run.checkpoint(state.best_step).is_dir():
        run.point("best", state.best_step)
    prune(run, keep)


def prune(run: Run, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints and the best; old ones lose the optimizer."""
    best = run.pointed("best")
    steps = run.steps()
    for step in steps[: -max(keep, 1)]:
        if run.checkpoint(step) != best:
            files.remove_folder(run.checkpoint(step))
    for step in steps[:-_WITH_OPTIMIZER]:
        folder = run.checkpoint(step)
        if (folder / TENSORS).exists():
            runs.drop_files(folder, TENSORS, STATE)


def newest_sound(run: Run, warn: Callable[[str], None]) -> Path:
    """Return the newest checkpoint that can be continued and is not damaged.

    Raises RunError when there is none.
    """
    for step in reversed(run.steps()):
        folder = run.checkpoint(step)
        if not (folder / TENSORS).exists():
            continue
        damage = runs.find_damage(folder)
        if damage is None:
            return folder
        warn(f"{damage}; falling back to the checkpoint before it.")
    raise RunError(
        f"{run.folder} has no checkpoint to continue from.", fix="Start it anew with --overwrite."
    )


def load_state(folder: Path) -> TrainState:
    """Read the state of the run at a checkpoint; raises RunError when it is damaged."""
    values = files.read_json(folder / STATE)
    if values.get("best_loss") is None:
        values["best_loss"] = float("inf")
    values.setdefault("records", -1)
    try:
        return TrainState(**values)
    except TypeError:
        raise RunError(f"{folder / STATE} was written by another version of Penwright.") from None


def load_optimizer(folder: Path, method: Method) -> None:
    """Give the optimizer the state that it had at a checkpoint."""
    load_state_tensors(method.kind, method.trained, method.optimizer, load_file(folder / TENSORS))
