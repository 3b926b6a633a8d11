"""The command line as a user has it: a folder of their own, and what it prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from penwright.cli import run as run_command


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def sentences(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("penwright: ")]


def settle(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Work in a folder, offline, with caches of its own."""
    patch.chdir(folder)
    patch.setenv("PENWRIGHT_CACHE", str(folder / "cache"))
    patch.setenv("HF_HUB_OFFLINE", "1")
    patch.setenv("HF_HOME", str(folder / "hub"))


@pytest.fixture
def penwright(tmp_path, monkeypatch, capsys):
    """`penwright("generate", "base")` runs a command in an empty folder, offline."""
    settle(tmp_path, monkeypatch)

    def call(*words: str) -> Said:
        code = run_command([str(word) for word in words])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call
