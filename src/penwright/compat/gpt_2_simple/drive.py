"""Google Drive, as Colab mounts it: copying files and runs there and back."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

from penwright.errors import RunError, UsageError
from penwright.files import atomic_file

MOUNT = Path("/content/drive")
FOLDER = "My Drive"


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
    """True when Google Drive is mounted; raises UsageError when not, as the old one did."""
    if not MOUNT.is_dir():
        raise UsageError(
            f"Google Drive is not mounted at {MOUNT}.", fix="Call mount_gdrive() first."
        )
    return True


def get_tarfile_name(checkpoint_folder: str) -> str:
    """The name of a folder's archive: `checkpoint/run1` gives `checkpoint_run1.tar`."""
    return checkpoint_folder.replace(os.path.sep, "_") + ".tar"


def copy_checkpoint_to_gdrive(run_name: str = "run1", copy_folder: bool = False) -> None:
    """Copy a run to Google Drive, as one archive or, with `copy_folder`, as a folder.

    An older archive there is replaced. Raises RunError when the run is not here, or its folder is
    on the drive already.
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
    """Copy a run back from Google Drive; raises RunError when it is not there, or already here."""
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
    _refuse_existing(run)
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
    return MOUNT / FOLDER


def _copy_file(source: Path, target: Path) -> None:
    if not source.is_file():
        raise UsageError(f"There is no file '{source}'.")
    shutil.copyfile(source, target)


def _copy_new(source: Path, target: Path) -> None:
    _refuse_existing(target)
    shutil.copytree(source, target, dirs_exist_ok=True)


def _refuse_existing(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise RunError(f"There is something in {folder} already.", fix="Move it away first.")
