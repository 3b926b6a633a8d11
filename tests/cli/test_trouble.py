"""What goes wrong on real machines: a sentence, nothing lost, and the run goes on once mended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from penwright.runs import Run, sha256

ROOT = Path(__file__).parent.parent.parent
OPTIONS = ("--model", "base", "--name", "run", "--precision", "fp32", "--batch-size", "2")
SHORT = ("--max-length", "32", "--sample-every", "0", "--evaluate-every", "4", "--patience", "0")
LINES = "".join(f"Item {n}. The harbour asked for tea {n} times.\n" for n in range(300))


@pytest.fixture
def started(penwright, tmp_path):
    """A run of eight steps, checkpoints at every second."""
    (tmp_path / "story.txt").write_text(LINES)
    words = ("finetune", "story.txt", *OPTIONS, *SHORT, "--save-every", "2", "--steps", "8")
    said = penwright(*words)
    assert said.code == 0, said.err
    return tmp_path / "runs" / "run"


def resume(penwright, *more):
    return penwright("finetune", "--resume", "--name", "run", *more)


def test_a_flipped_byte_costs_the_steps_since_the_checkpoint_before(penwright, started):
    newest = started / "checkpoints" / "step-000008" / "model.safetensors"
    whole = sha256(newest)
    content = bytearray(newest.read_bytes())
    content[-100] ^= 1
    newest.write_bytes(content)
    said = resume(penwright)
    assert said.code == 0, said.err
    assert "step-000008/model.safetensors is damaged" in said.err
    assert "after step 6" in said.err
    assert sha256(newest) == whole, "the steps done again are the steps that were lost"


def test_a_cut_metrics_line_is_mended_by_resuming(penwright, started):
    metrics = started / "metrics.jsonl"
    metrics.write_text(metrics.read_text() + '{"kind": "step", "ste')
    assert resume(penwright, "--steps", "10").code == 0
    steps = [r["step"] for r in Run(started).metrics() if r["kind"] == "step"]
    assert steps == list(range(1, 11))


@pytest.mark.usefixtures("started")
def test_a_deleted_piece_of_prepared_data_is_made_again(penwright, tmp_path):
    (store,) = (tmp_path / "cache" / "stores").iterdir()
    next(store.glob("shard-*")).unlink()
    said = resume(penwright, "--steps", "10")
    assert said.code == 0, said.err
    assert "made again" in said.err


def test_a_run_that_is_being_written_is_left_alone(penwright, started):
    run = Run.open(started)
    run.claim()
    try:
        said = resume(penwright, "--steps", "10")
    finally:
        run.close()
    assert said.code == 1
    assert "Another process is writing" in said.err


@pytest.mark.usefixtures("started")
def test_other_data_is_refused(penwright, tmp_path):
    (tmp_path / "story.txt").write_text(LINES + "One more.\n")
    said = resume(penwright, "--steps", "10")
    assert (said.code, len(said.sentences)) == (1, 1)
    assert "data is not what run began with" in said.err


def test_a_named_checkpoint_is_gone_back_to(penwright, started):
    whole = sha256(started / "checkpoints" / "step-000008" / "model.safetensors")
    said = resume(penwright, "--checkpoint", "step-000006")
    assert said.code == 0, said.err
    assert sha256(started / "checkpoints" / "step-000008" / "model.safetensors") == whole
    said = resume(penwright, "--checkpoint", "step-000005")
    assert (said.code, "step-000008" in said.err) == (1, True)


def test_every_checkpoint_opens_in_transformers(started):
    folders = sorted((started / "checkpoints").glob("step-*"))
    assert len(folders) >= 2
    for folder in folders:
        model = AutoModelForCausalLM.from_pretrained(folder)
        assert model.config.n_layer == 6


@pytest.mark.skipif(os.name != "posix", reason="the file-size limit is POSIX's")
def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_room(penwright, tmp_path):
    (tmp_path / "story.txt").write_text(LINES)
    words = ["finetune", "story.txt", *OPTIONS, *SHORT, "--steps", "4"]
    code = (
        "import resource, sys; from penwright.cli import run\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, 20_000_000))\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    folder = tmp_path / "runs" / "run"
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    assert list((folder / "checkpoints").glob("step-*")) == []
    said = resume(penwright)
    assert said.code == 0, said.err
    assert [r["step"] for r in Run(folder).metrics() if r["kind"] == "step"] == [1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora", "lean"])
def test_a_run_killed_again_and_again_is_the_run_left_alone(method):
    words = [sys.executable, ROOT / "bench" / "kill.py", "--kills", "5"]
    options = [f"method={method}", "precision=bf16" if method == "lean" else "precision=fp32"]
    done = subprocess.run([*words, "--options", *options], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["equal"] is True
