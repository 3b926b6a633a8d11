"""Run folders: configuration, metrics, samples and checkpoints. No torch.

    runs/NAME/
      run.json            config, versions, data fingerprint, machine, the exact command
      metrics.jsonl       one line for each step or measurement
      samples/            texts that the model wrote during training
      checkpoints/        step-000500/ (a model folder + trainer state + manifest), latest, best
      report.html

Every file is replaced in one piece: written under a temporary name, synced, renamed. A checkpoint
folder appears whole or not at all, and its manifest tells a damaged one from a sound one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from penwright.errors import RunError, suggest
from penwright.files import (
    disk_errors,
    jsonable,
    lock_file,
    read_json,
    sha256,
    write_json,
    write_text,
)

RUNS = Path("runs")
MANIFEST = "manifest.json"
RECIPE = "recipe.json"
"""The figures and texts with which a recipe ended."""
COPIED = "copied.json"
"""The text that the run's last samples copied from the training text."""
QUALITY = "quality.json"
"""Figures of what the run's model wrote beside those of people's text."""
HELD_OUT = "held-out.json"
"""The loss of each held-out document, for comparisons with other runs."""
COPIED_PAGE = "copied.html"
"""The page of `penwright copied --html`."""
CONTENTS = (
    "run.json", "checkpoints", "samples", "metrics.jsonl", "report.html", RECIPE, COPIED,
    COPIED_PAGE, QUALITY, HELD_OUT, "tensorboard", "wandb",
)  # fmt: skip
"""The files of a run besides its lock; anything else in the folder belongs to the user."""
_STEP = "step-{:06d}"
_LONGEST_LINES = 1 << 16  # more bytes than two lines of metrics take


def write_manifest(folder: Path) -> None:
    """Write `manifest.json`: every file in `folder`, with its size and SHA-256."""
    files = {
        file.relative_to(folder).as_posix(): {"bytes": file.stat().st_size, "sha256": sha256(file)}
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    (folder / MANIFEST).write_text(json.dumps({"files": files}, indent=2) + "\n", encoding="utf-8")


def find_damage(folder: Path) -> str | None:
    """Check a folder against its manifest; returns a description of the damage, or None."""
    try:
        files = read_json(folder / MANIFEST)["files"]
    except (RunError, KeyError):
        return f"{folder / MANIFEST} is missing or damaged"
    for name, entry in files.items():
        file = folder / name
        if not file.is_file():
            return f"{file} is missing"
        if file.stat().st_size != entry["bytes"] or sha256(file) != entry["sha256"]:
            return f"{file} is damaged"
    return None


def drop_files(folder: Path, *names: str) -> None:
    """Delete files of a folder, after their entries in its manifest."""
    manifest = read_json(folder / MANIFEST)
    for name in names:
        manifest["files"].pop(name, None)
    write_json(folder / MANIFEST, manifest)
    for name in names:
        (folder / name).unlink(missing_ok=True)


class Run:
    """A run folder; holds its lock from `create` or `claim` until `close`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self._lock: IO[bytes] | None = None

    @property
    def checkpoints(self) -> Path:
        """Return the folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def info(self) -> dict[str, Any]:
        """Return the contents of run.json; raises RunError when it is missing or damaged."""
        return read_json(self.folder / "run.json")

    def update(self, **changes: Any) -> None:
        """Change keys of run.json atomically."""
        path = self.folder / "run.json"
        write_json(path, (read_json(path) if path.exists() else {}) | changes)

    @classmethod
    def create(cls, folder: Path, *, overwrite: bool = False) -> Run:
        """Make a run folder and claim it.

        With `overwrite` an older run is replaced; other files in its folder stay. Raises RunError
        for a folder that is in use, is not a run, or holds a run without `overwrite`.
        """
        run = cls(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            is_run = (folder / "run.json").exists()
            if not is_run and not _is_left_over(folder, overwrite=overwrite):
                raise RunError(
                    f"{folder} exists and is not a run.",
                    fix="Choose another --name or --output-dir.",
                )
            if is_run and not overwrite:
                raise RunError(
                    f"There is a run in {folder} already.",
                    fix="Add --resume to continue it, --overwrite to replace it, "
                    "or choose another --name.",
                )
            run.claim()
            for name in CONTENTS:
                item = folder / name
                shutil.rmtree(item) if item.is_dir() else item.unlink(missing_ok=True)
        with disk_errors(folder):
            run.checkpoints.mkdir(parents=True, exist_ok=True)
            (folder / "samples").mkdir(exist_ok=True)
        run.claim()
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Return an existing run without its lock; raises RunError when there is none."""
        if not (folder / "run.json").is_file():
            near = suggest(folder.name, (run.name for run in list_runs(folder.parent)))
            raise RunError(
                f"There is no run in {folder}.", fix=near or "`penwright runs` lists them."
            )
        return cls(folder)

    def claim(self) -> None:
        """Lock the folder; the system releases the lock when the process ends.

        Raises RunError when another process holds it.
        """
        if self._lock is not None:
            return
        with disk_errors(self.folder):
            handle = (self.folder / "lock").open("a+b")
        try:
            lock_file(handle)
        except OSError:
            handle.close()
            raise RunError(
                f"Another process is writing to {self.folder}.",
                fix="Wait for it, stop it, or choose another --name.",
            ) from None
        # The first byte is what Windows locks and lets nobody read.
        handle.truncate(0)
        handle.write(f" {os.getpid()}".encode())
        handle.flush()
        self._lock = handle

    def close(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def is_claimed(self) -> bool:
        """Return whether a running process holds the lock."""
        try:
            with (self.folder / "lock").open("a+b") as handle:
                lock_file(handle)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def holder(self) -> int | None:
        """Return the id of the process that holds the lock, or None."""
        if not self.is_claimed():
            return None
        with (self.folder / "lock").open("rb") as handle:
            handle.seek(1)
            digits = handle.read(20)
        return int(digits) if digits.isdigit() else None

    @property
    def status(self) -> str:
        """Return running, finished, interrupted or failed; interrupted if its process died."""
        status = str(self.info.get("status", "interrupted"))
        return "interrupted" if status == "running" and not self.is_claimed() else status

    # Metrics

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl."""
        path = self.folder / "metrics.jsonl"
        with disk_errors(path), path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(json.dumps(jsonable(record)) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """Return the records of metrics.jsonl without an unfinished last line.

        Raises RunError for a damaged line.
        """
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return []
        records = []
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], 1):
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                raise RunError(f"{path}:{number} is damaged.", fix="Delete that line.") from None
        return records

    def last_step(self) -> int:
        """Return the step of the last whole line of metrics.jsonl, 0 without one.

        Raises RunError when that line is damaged.
        """
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return 0
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LONGEST_LINES))
            *lines, _ = file.read().split(b"\n")
        try:
            return int(json.loads(lines[-1])["step"]) if lines else 0
        except (ValueError, TypeError, KeyError):
            raise RunError(f"{path} ends with a damaged line.", fix="Delete that line.") from None

    def forget_after(self, step: int, records: int = -1) -> int:
        """Drop what was written after `step`, which a resumed run writes again.

        Of the metrics the first `records` stay, or those up to `step` where the number is not
        known (-1). Half-written files of a killed process are deleted too. Returns how many
        metrics stay.
        """
        for left in self.checkpoints.glob(".step-*"):
            shutil.rmtree(left)
        for folder in (self.folder, self.checkpoints, self.folder / "samples"):
            for left in folder.glob(".*.tmp"):
                left.unlink()
        kept = [record for record in self.metrics() if record["step"] <= step]
        kept = kept if records < 0 else kept[:records]
        lines = "".join(json.dumps(record) + "\n" for record in kept)
        write_text(self.folder / "metrics.jsonl", lines)
        for sample in (self.folder / "samples").glob("step-*"):
            if int(sample.stem.removeprefix("step-")) > step:
                sample.unlink()
        return len(kept)

    def write_samples(self, step: int, samples: list[dict[str, Any]]) -> None:
        """Write the samples of `step` as JSON and as text."""
        stem = self.folder / "samples" / _STEP.format(step)
        write_text(
            stem.with_suffix(".json"), json.dumps(samples, indent=2, ensure_ascii=False) + "\n"
        )
        text = "\n\n".join(f"{sample['prompt']}{sample['text']}" for sample in samples)
        write_text(stem.with_suffix(".txt"), text + "\n")

    # Checkpoints

    def checkpoint(self, step: int) -> Path:
        """Return the folder of the checkpoint of `step`."""
        return self.checkpoints / _STEP.format(step)

    def steps(self) -> list[int]:
        """Return the steps with a checkpoint, in increasing order."""
        folders = self.checkpoints.glob("step-*")
        return sorted(int(folder.name.removeprefix("step-")) for folder in folders)

    def point(self, name: str, step: int) -> None:
        """Set the pointer `latest` or `best` to the checkpoint of `step`."""
        if self.pointed(name) == self.checkpoint(step):
            return
        write_text(self.checkpoints / name, _STEP.format(step) + "\n")

    def pointed(self, name: str) -> Path | None:
        """Return the checkpoint of a pointer, or None."""
        try:
            target = (self.checkpoints / name).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        folder = self.checkpoints / Path(target).name
        return folder if folder.is_dir() else None


def find_run(name: str | Path) -> Run:
    """Return the run that a user means: a run's folder, or the name of one under runs/.

    Raises RunError, with a near name, when there is none.
    """
    path = Path(name)
    if (path / "run.json").is_file() or len(path.parts) > 1:
        return Run.open(path)
    return Run.open(RUNS / path)


def run_of(path: Path) -> Run | None:
    """Return the run that a model's folder belongs to, or None."""
    for folder in (path, *path.parents[:2]):
        if (folder / "run.json").is_file():
            return Run(folder)
    return None


def list_runs(folder: Path = RUNS) -> list[Run]:
    """Return the runs under `folder`, oldest first."""
    found = [Run(path.parent) for path in folder.glob("*/run.json")]
    return sorted(found, key=lambda run: (run.folder / "run.json").stat().st_ctime)


def new_name(folder: Path, stem: str) -> str:
    """Return the first unused name of `stem`, `stem-2`, `stem-3`, ..."""
    name, number = stem, 1
    while (folder / name).exists():
        number += 1
        name = f"{stem}-{number}"
    return name


def spell(path: Path) -> str:
    """Return a path with a separator in it, so that it is not taken for a run's name."""
    text = path.as_posix()
    return text if "/" in text else f"./{text}"


def now() -> str:
    """Return the local time in ISO 8601 with its zone."""
    return datetime.now(UTC).astimezone().isoformat(timespec="seconds")


def _is_left_over(folder: Path, *, overwrite: bool) -> bool:
    """Return whether a folder holds only the remains of a run that was killed as it began.

    With `overwrite` also what was left when one was killed while it replaced another.
    """
    if not folder.is_dir():
        return False
    names = {item.name for item in folder.iterdir() if not item.match(".run.json.*.tmp")}
    made = {"checkpoints", "samples"}
    if overwrite and "lock" in names:
        return names <= {*CONTENTS, "lock"}
    return names <= made | {"lock"} and not any(
        any((folder / name).iterdir()) for name in made & names
    )
