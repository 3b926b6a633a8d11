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
from safetensors.torch import load_file

from penwright import files, runs
from penwright.errors import OutOfRoomError, RunError
from penwright.model import GPT2
from penwright.runs import Run
from penwright.train.one_device import STATE_FILE
from penwright.train.replica import Replica, Snapshot
from penwright.weights.peft import save_adapter

STATE = "trainer.json"
STATE_SHARDS = "trainer"
"""The folder of the optimizer's state, where each rank writes its shards."""
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

    def save(self, state: TrainState, replica: Replica) -> None:
        """Begin to write the checkpoint of `state.step`, or write it, where memory is scarce.

        Raises what went wrong with the one before, OutOfRoomError as a rule; the checkpoints
        before that are untouched.
        """
        self.wait()
        check_room(self.run, replica.model)
        snapshot = replica.snapshot(self.run.info.get("model", {}).get("name", ""))
        self._thread = threading.Thread(target=self._write, args=(replace(state), snapshot))
        self._thread.start()
        if not snapshot.is_copy:
            self.wait()

    def wait(self) -> None:
        """Return when everything is on disk; raises what went wrong."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _write(self, state: TrainState, snapshot: Snapshot) -> None:
        try:
            with files.atomic_folder(self.run.checkpoint(state.step)) as folder:
                self.save_model(folder, snapshot.model)
                if snapshot.adapter is not None:
                    save_adapter(folder / "adapter", snapshot.adapter)
                snapshot.write_state(folder)
                (folder / STATE).write_text(
                    json.dumps(files.jsonable(asdict(state)), indent=2) + "\n"
                )
                runs.write_manifest(folder)
            tidy(self.run, state, self.keep)
        except BaseException as error:  # handed to the loop, which raises it
            self._error = error


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
        if (folder / STATE).exists():
            shards = sorted(folder.glob(f"{STATE_SHARDS}/*"))
            names = [path.relative_to(folder).as_posix() for path in shards]
            runs.drop_files(folder, STATE_FILE, STATE, *names)


def newest_sound(run: Run, warn: Callable[[str], None]) -> Path:
    """Return the newest checkpoint that can be continued and is not damaged.

    Raises RunError when there is none.
    """
    for step in reversed(run.steps()):
        folder = run.checkpoint(step)
        if not (folder / STATE).exists():
            continue
        damage = runs.find_damage(folder)
        if damage is None:
            return folder
        warn(f"{damage}; falling back to the checkpoint before it.")
    raise RunError(
        f"{run.folder} has no checkpoint to continue from.", fix="Start it anew with --overwrite."
    )


def read_state(folder: Path) -> dict[str, torch.Tensor]:
    """Read the optimizer's state at a checkpoint, whole, by however many ranks it was written."""
    shards = folder / STATE_SHARDS
    if not shards.is_dir():
        return load_file(folder / STATE_FILE)
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.checkpoint.state_dict_loader import load

    reader = HuggingFaceStorageReader(str(shards))
    tensors = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in reader.read_metadata().state_dict_metadata.items()
        if isinstance(entry, TensorStorageMetadata)
    }
    load(tensors, storage_reader=reader, no_dist=True)
    return tensors


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
