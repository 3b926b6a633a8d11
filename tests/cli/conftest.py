"""The command line as a user has it: a folder of their own, and what it prints."""

from __future__ import annotations

from dataclasses import dataclass

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


@pytest.fixture
def penwright(tmp_path, monkeypatch, capsys):
    """`penwright("generate", "base")` runs a command in an empty folder, offline."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))

    def call(*words: str) -> Said:
        code = run_command([str(word) for word in words])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call
