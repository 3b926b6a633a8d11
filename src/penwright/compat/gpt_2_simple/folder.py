"""The folder of a run: ours beside whatever else is in `checkpoint/run1`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penwright.compat.gpt_2_simple.models import has_checkpoint, has_tensorflow
from penwright.errors import RunError
from penwright.runs import CONTENTS, Run, new_name

_LOCK = "lock"


def steps_done(folder: Path) -> int:
    """Steps that were taken in this folder, TensorFlow's included."""
    if has_checkpoint(folder):
        run = Run(folder)
        return int(run.info.get("steps_before", 0)) + run.steps()[-1]
    counter = folder / "counter"
    if has_tensorflow(folder) and counter.is_file():
        words = counter.read_text(encoding="utf-8").strip()
        return int(words) if words.isdigit() else 0
    return 0


def check_free(folder: Path) -> None:
    """Raise RunError when another process is writing to this run."""
    if folder.is_dir() and Run(folder).is_claimed():
        raise RunError(
            f"Another process is writing to {folder}.", fix="Wait for it, or change run_name."
        )


@contextmanager
def room_for_run(folder: Path, *, keep_old: bool) -> Iterator[Path | None]:
    """Make room for a new run in `folder`, and yield where the old one was put, if it was.

    What is not ours stays where it is. When the block fails before the new run has saved anything,
    the old one is put back.
    """
    aside = _move(folder, folder.parent / _free_name(folder)) if keep_old else None
    folder.mkdir(parents=True, exist_ok=True)
    if any(item.name != _LOCK for item in folder.iterdir()) and not (folder / "run.json").exists():
        # Penwright adds a run to a folder with other things in it only where one was.
        Run(folder).update(status="interrupted")
    try:
        yield aside
    except BaseException:
        if not has_checkpoint(folder):
            for name in (*CONTENTS, _LOCK):
                _remove(folder / name)
            if aside is not None:
                _move(aside, folder)
            elif not any(folder.iterdir()):
                folder.rmdir()
        raise


def discard(aside: Path) -> None:
    """Delete a run that was put aside."""
    for name in (*CONTENTS, _LOCK):
        _remove(aside / name)
    if not any(aside.iterdir()):
        aside.rmdir()


def _free_name(folder: Path) -> str:
    return new_name(folder.parent, f"{folder.name}-old")


def _move(source: Path, target: Path) -> Path:
    target.mkdir(exist_ok=True)
    for name in (*CONTENTS, _LOCK):
        if (source / name).exists():
            (source / name).rename(target / name)
    if not any(source.iterdir()):
        source.rmdir()
    return target


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
