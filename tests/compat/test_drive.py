"""The names around Google Drive."""

# ruff: noqa: ARG001 - fixtures that only set the place

from __future__ import annotations

import os
import sys
import tarfile
from types import ModuleType, SimpleNamespace

import pytest

import penwright.compat.gpt_2_simple as gpt2
from penwright.errors import RunError, UsageError


@pytest.fixture
def drive(place, monkeypatch):
    monkeypatch.setattr("penwright.compat.gpt_2_simple.folders.MOUNT", place / "mount")
    (place / "mount" / "My Drive").mkdir(parents=True)
    (place / "checkpoint" / "run1" / "checkpoints").mkdir(parents=True)
    (place / "checkpoint" / "run1" / "checkpoints" / "latest").write_text("step-000002")
    return place / "mount" / "My Drive"


@pytest.mark.parity("gpt-2-simple: get_tarfile_name")
def test_get_tarfile_name():
    assert gpt2.get_tarfile_name(f"checkpoint{os.sep}run1") == "checkpoint_run1.tar"


@pytest.mark.parity("gpt-2-simple: mount_gdrive")
def test_mount_gdrive_inside_colab(monkeypatch):
    mounted = []
    colab = ModuleType("google.colab")
    colab.drive = SimpleNamespace(mount=mounted.append)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
    gpt2.mount_gdrive()
    assert mounted == ["/content/drive"]


@pytest.mark.parity("gpt-2-simple: mount_gdrive", "gpt-2-simple: is_mounted")
def test_is_mounted_and_mount_gdrive_outside_colab(place, monkeypatch):
    monkeypatch.setattr("penwright.compat.gpt_2_simple.folders.MOUNT", place / "mount")
    with pytest.raises(UsageError, match=r"not mounted.*mount_gdrive"):
        gpt2.is_mounted()
    with pytest.raises(UsageError, match="inside a Colab notebook only"):
        gpt2.mount_gdrive()
    for call in (gpt2.copy_checkpoint_to_gdrive, gpt2.copy_checkpoint_from_gdrive):
        with pytest.raises(UsageError, match="not mounted"):
            call()


@pytest.mark.parity(
    "gpt-2-simple: copy_checkpoint_to_gdrive", "gpt-2-simple: copy_checkpoint_from_gdrive"
)
@pytest.mark.parametrize("copy_folder", [False, True])
def test_copy_checkpoint_to_gdrive_and_from_gdrive(drive, place, copy_folder):
    assert gpt2.is_mounted()
    gpt2.copy_checkpoint_to_gdrive(copy_folder=copy_folder)
    assert (drive / ("checkpoint/run1" if copy_folder else "checkpoint_run1.tar")).exists()
    with pytest.raises(UsageError, match="already"):
        gpt2.copy_checkpoint_from_gdrive(copy_folder=copy_folder)
    (place / "checkpoint").rename(place / "elsewhere")
    gpt2.copy_checkpoint_from_gdrive(copy_folder=copy_folder)
    assert (place / "checkpoint/run1/checkpoints/latest").read_text() == "step-000002"


def test_an_archive_with_anything_else_in_it_is_refused(drive, place):
    with tarfile.open(drive / "checkpoint_run2.tar", "w") as tar:
        (place / "evil.txt").write_text("")
        tar.add("evil.txt")
    with pytest.raises(RunError, match=r"holds more than checkpoint/run2: evil\.txt"):
        gpt2.copy_checkpoint_from_gdrive("run2")


def test_what_is_missing_is_told(drive):
    with pytest.raises(RunError, match="no run in checkpoint/run9"):
        gpt2.copy_checkpoint_to_gdrive("run9")
    with pytest.raises(RunError, match=r"no file .*checkpoint_run9\.tar"):
        gpt2.copy_checkpoint_from_gdrive("run9")
    with pytest.raises(UsageError, match="no file 'nope'"):
        gpt2.copy_file_to_gdrive("nope")


@pytest.mark.parity("gpt-2-simple: copy_file_to_gdrive", "gpt-2-simple: copy_file_from_gdrive")
def test_copy_file_to_gdrive_and_from_gdrive(drive, place):
    (place / "titles.csv").write_text("title\n")
    gpt2.copy_file_to_gdrive("titles.csv")
    (place / "titles.csv").unlink()
    gpt2.copy_file_from_gdrive("titles.csv")
    assert (place / "titles.csv").read_text() == "title\n"
