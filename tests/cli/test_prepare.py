"""`prepare` as a user has it: killed and started again, the cache found, the disk full."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys

import pytest

from penwright import formats
from penwright.dataset import store_cache
from penwright.tokens import Store

pytestmark = pytest.mark.usefixtures("small_base")

SHORT = ("--model", "base", "--steps", "1", "--sample-every", "0", "--max-length", "32")


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def made_text(characters: int) -> str:
    chance = random.Random(0)
    words = [f"{word}{n}" for n in range(40) for word in ("goose", " owl", " tea,", " rain.\n")]
    lines = [" ".join(chance.choices(words, k=12)) for _ in range(2000)]
    text = "\n".join(lines)
    return "\n<|endoftext|>\n".join([text] * (characters // len(text)))


@pytest.mark.slow
def test_killed_at_five_moments_by_chance_it_becomes_the_same(tmp_path):
    (tmp_path / "long.txt").write_text(made_text(40_000_000))

    def command(output: str) -> list[str]:
        words = ["prepare", "long.txt", "--model", "base", "--output", output]
        return [sys.executable, "-m", "penwright", *words]

    chance = random.Random()
    for _ in range(5):
        child = subprocess.Popen(command("killed"), cwd=tmp_path)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(chance.uniform(0.5, 6))
        child.kill()
        child.wait()
    for output in ("killed", "straight"):
        subprocess.run(command(output), cwd=tmp_path, check=True)
    assert contents(tmp_path / "killed") == contents(tmp_path / "straight")
    assert len(Store.open(tmp_path / "straight").header["shards"]) > 1


def test_a_second_run_on_the_same_data_reads_none_of_it(penwright, tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("Some words about tea. " * 200)
    os.utime(tmp_path / "a.txt", (1e9, 1e9))  # not only just written
    first = penwright("finetune", "a.txt", *SHORT, "--name", "one")
    assert first.code == 0, first.err

    def never(*_):
        raise AssertionError("the text was read again")

    monkeypatch.setattr(formats, "read", never)
    monkeypatch.setattr(store_cache, "hash_file", never)
    again = penwright("finetune", "a.txt", *SHORT, "--name", "two")
    assert again.code == 0, again.err


def test_a_full_disk_while_preparing_is_told_and_continued(penwright, tmp_path):
    (tmp_path / "long.txt").write_text(made_text(1_000_000))
    words = ("prepare", "long.txt", "--model", "base", "--output", "store")
    code = (
        "import errno, os, sys; from penwright.cli import run\n"
        "def full(_): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "os.fsync = full\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "no space left" in done.stderr
    assert "continues where it stopped" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store").exists()
    said = penwright(*words)
    assert said.code == 0, said.err
    assert Store.open(tmp_path / "store").n_documents > 1
