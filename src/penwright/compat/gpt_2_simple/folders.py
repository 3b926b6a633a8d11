"""The folders of gpt-2-simple: models in `models/124M`, runs in `checkpoint/run1`.

Copies of them on Google Drive, as Colab mounts it, are made and read here, too.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penwright.errors import ModelError, RunError, UsageError
from penwright.files import atomic_file, atomic_folder, refuse_existing
from penwright.runs import CONTENTS, Run, new_name
from penwright.weights import names

OPENAI_FILES = (
    "checkpoint",
    "encoder.json",
    "hparams.json",
    "model.ckpt.data-00000-of-00001",
    "model.ckpt.index",
    "model.ckpt.meta",
    "vocab.bpe",
)
OLD_NAMES = {"117M": "124M", "345M": "355M"}
"""OpenAI's first names of two sizes."""
MOUNT = Path("/content/drive")
DRIVE_FOLDER = "My Drive"
_LOCK = "lock"


def is_gpt2_downloaded(model_dir: str | Path = "models", model_name: str = "124M") -> bool:
    """Return whether the model is there, as OpenAI's seven files or a Hugging Face folder."""
    folder = _folder(model_dir, model_name)
    if all((folder / name).is_file() for name in OPENAI_FILES):
        return True
    return (folder / "config.json").is_file() and any(
        (folder / name).is_file()
        for name in ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
    )


def download_gpt2(model_dir: str | Path = "models", model_name: str = "124M") -> None:
    """Copy a model into `model_dir/model_name`, from the Hub or from this machine's copy of it.

    `model_name` is a size (124M, 355M, 774M, 1558M), a Hub name or `base`. A model that is there
    already stays. Raises ModelError when there is no such model, or the Hub cannot be reached.
    """
    from penwright.weights import hub

    folder = Path(model_dir) / model_name
    if is_gpt2_downloaded(model_dir, model_name):
        print(f"{_folder(model_dir, model_name)} is there already.")
        return
    place = names.resolve(OLD_NAMES.get(model_name, model_name))
    source = hub.fetch(place.repository) if place.kind == "hub" else place.path
    if not (source / "config.json").is_file():
        raise ModelError(f"{source} is no model that can be copied to {folder}.")
    if folder.exists() and any(folder.iterdir()):
        raise ModelError(
            f"{folder} holds files but no whole model.", fix="Move it away and download again."
        )
    print(f"Fetching {model_name} into {folder}")
    with atomic_folder(folder) as temporary:
        for file in sorted(source.iterdir()):
            if file.is_file() and not file.name.startswith("."):
                shutil.copyfile(file, temporary / file.name)


def find_model(model_name: str, model_dir: str | Path) -> Path:
    """Return the folder of a downloaded model; raises ModelError when there is none."""
    folder = _folder(model_dir, model_name)
    if names.kind_of(folder) is None:
        raise ModelError(
            f"There is no model in {folder}.",
            fix=f"Fetch it first: download_gpt2(model_name='{model_name}').",
        )
    return folder


def find_run(
    run_name: str, checkpoint_dir: str | Path = "checkpoint", checkpoint: str = "latest"
) -> Path:
    """Return the place of a run's weights, Penwright's or TensorFlow's; raises ModelError.

    `checkpoint` may be the folder of one step or a TensorFlow checkpoint's name (`model-500`).
    """
    folder = Path(checkpoint_dir) / run_name
    if checkpoint != "latest":
        return _named(folder, checkpoint)
    if has_checkpoint(folder):
        return folder
    if has_tensorflow(folder):
        # A Penwright run without a checkpoint in the same folder must not hide it.
        return tensorflow_checkpoint(folder) if (folder / "run.json").exists() else folder
    if not (folder / "run.json").exists() and names.kind_of(folder) is not None:
        return folder
    raise ModelError(
        f"There is no trained model in {folder}.",
        fix="Train one with finetune(), or name another with run_name.",
    )


def has_checkpoint(folder: Path) -> bool:
    """Return whether a Penwright run in `folder` has saved a checkpoint."""
    return (folder / "run.json").is_file() and bool(Run(folder).steps())


def has_tensorflow(folder: Path) -> bool:
    """Return whether `folder` holds a TensorFlow checkpoint."""
    return folder.is_dir() and any(folder.glob("*.index"))


def tensorflow_checkpoint(folder: Path) -> Path:
    """Return the newest TensorFlow checkpoint in `folder`, as its `.index` file."""
    from penwright.weights.openai_tf import find_prefix

    prefix = find_prefix(folder)
    return prefix.with_name(prefix.name + ".index")


def _folder(model_dir: str | Path, model_name: str) -> Path:
    folder = Path(model_dir) / model_name
    today = Path(model_dir) / OLD_NAMES.get(model_name, model_name)
    return today if today.is_dir() and not folder.is_dir() else folder


def _named(folder: Path, checkpoint: str) -> Path:
    name = Path(checkpoint).name
    index = folder / (name if name.endswith(".index") else f"{name}.index")
    if index.is_file():
        return index
    digits = name.rpartition("-")[2]
    if (folder / "run.json").is_file() and digits.isdigit():
        step = Run(folder).checkpoint(int(digits))
        if step.is_dir():
            return step
    kept = [path.name for path in sorted(folder.glob("checkpoints/step-*"))]
    kept += [path.stem for path in sorted(folder.glob("*.index"))]
    raise ModelError(
        f"There is no checkpoint '{checkpoint}' in {folder}.",
        fix=f"There is: {', '.join(kept)}." if kept else "Train one with finetune().",
    )


def steps_done(folder: Path) -> int:
    """Return the number of steps trained in this folder, TensorFlow's included."""
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
    """Make room for a new run in `folder`; yield the folder that the old run was moved to, if any.

    Files that are not Penwright's stay. When the block fails before the new run has saved a
    checkpoint, the old run is moved back.
    """
    aside = _move(folder, folder.parent / _free_name(folder)) if keep_old else None
    folder.mkdir(parents=True, exist_ok=True)
    if any(item.name != _LOCK for item in folder.iterdir()) and not (folder / "run.json").exists():
        # Penwright starts a run in a folder with other files only if it holds a run already.
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
    """Delete a run that was moved aside."""
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


def mount_gdrive() -> None:
    """Mount Google Drive; raises UsageError outside Colab."""
    try:
        from google.colab import drive  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise UsageError(
            "Google Drive can be mounted inside a Colab notebook only.",
            fix="Elsewhere, copy the folder checkpoint/ with the tools of your system.",
        ) from None
    drive.mount(str(MOUNT))


def is_mounted() -> bool:
    """Return True when Google Drive is mounted; raises UsageError otherwise."""
    if not MOUNT.is_dir():
        raise UsageError(
            f"Google Drive is not mounted at {MOUNT}.", fix="Call mount_gdrive() first."
        )
    return True


def get_tarfile_name(checkpoint_folder: str) -> str:
    """Return the name of a folder's archive: `checkpoint_run1.tar` for `checkpoint/run1`."""
    return checkpoint_folder.replace(os.path.sep, "_") + ".tar"


def copy_checkpoint_to_gdrive(run_name: str = "run1", copy_folder: bool = False) -> None:
    """Copy a run to Google Drive, as one archive or, with `copy_folder`, as a folder.

    An older archive there is replaced. Raises RunError when the run is not here, UsageError when
    its folder is on the drive already.
    """
    drive = _drive()
    run = Path("checkpoint") / run_name
    if not run.is_dir():
        raise RunError(f"There is no run in {run}.", fix="Train one with finetune().")
    if copy_folder:
        _copy_new(run, drive / run)
        return
    archive = drive / get_tarfile_name(str(run))
    with atomic_file(archive) as temporary, tarfile.open(temporary, "w") as tar:
        tar.add(run)


def copy_checkpoint_from_gdrive(run_name: str = "run1", copy_folder: bool = False) -> None:
    """Copy a run back from Google Drive.

    Raises RunError when it is not there, UsageError when it is here already.
    """
    drive = _drive()
    run = Path("checkpoint") / run_name
    if copy_folder:
        if not (drive / run).is_dir():
            raise RunError(f"There is no folder {drive / run}.")
        _copy_new(drive / run, run)
        return
    archive = drive / get_tarfile_name(str(run))
    if not archive.is_file():
        raise RunError(f"There is no file {archive}.")
    refuse_existing(run, "Move it away first.")
    with tarfile.open(archive, "r") as tar:
        outside = [m.name for m in tar.getmembers() if not Path(m.name).is_relative_to(run)]
        if outside:
            raise RunError(f"{archive} holds more than {run}: {outside[0]}.")
        tar.extractall(filter="data")


def copy_file_to_gdrive(file_path: str) -> None:
    """Copy a file to the top of Google Drive."""
    target = _drive() / file_path
    target.parent.mkdir(parents=True, exist_ok=True)
    _copy_file(Path(file_path), target)


def copy_file_from_gdrive(file_path: str) -> None:
    """Copy a file from the top of Google Drive."""
    source = _drive() / file_path
    Path(file_path).parent.mkdir(parents=True, exist_ok=True)
    _copy_file(source, Path(file_path))


def _drive() -> Path:
    is_mounted()
    return MOUNT / DRIVE_FOLDER


def _copy_file(source: Path, target: Path) -> None:
    if not source.is_file():
        raise UsageError(f"There is no file '{source}'.")
    shutil.copyfile(source, target)


def _copy_new(source: Path, target: Path) -> None:
    refuse_existing(target, "Move it away first.")
    shutil.copytree(source, target, dirs_exist_ok=True)
