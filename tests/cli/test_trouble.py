"""What goes wrong on real machines: a sentence, nothing lost, and the run goes on once mended."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penwright.cli import run as run_command
from penwright.runs import Run, sha256
from tests.cli.conftest import settle

pytestmark = pytest.mark.usefixtures("known_speed")

ROOT = Path(__file__).parent.parent.parent
OPTIONS = ("--model", "base", "--name", "run", "--precision", "fp32", "--batch-size", "2")
SHORT = ("--max-length", "32", "--sample-every", "0", "--evaluate-every", "4", "--patience", "0")
LINES = "".join(f"Item {n}. The harbour asked for tea {n} times.\n" for n in range(300))


@pytest.fixture(scope="module")
def eight_steps(tmp_path_factory):
    """The folder in which a run took eight steps, with a checkpoint at every second."""
    folder = tmp_path_factory.mktemp("eight-steps")
    (folder / "story.txt").write_text(LINES)
    words = ("finetune", "story.txt", *OPTIONS, *SHORT, "--save-every", "2", "--steps", "8")
    with pytest.MonkeyPatch.context() as patch:
        settle(folder, patch)
        assert run_command(list(words)) == 0
    return folder


@pytest.fixture
def started(penwright, eight_steps, tmp_path):  # noqa: ARG001 - in the folder of the test
    """The run of eight steps, in a copy of its folder."""
    shutil.copytree(eight_steps, tmp_path, dirs_exist_ok=True)
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


@pytest.mark.usefixtures("started")
def test_another_model_is_refused(penwright):
    said = resume(penwright, "--model", "124M", "--steps", "10")
    assert said.code == 1
    assert "--model cannot change while run is resumed: it began with base" in said.err
    assert resume(penwright, "--model", "base", "--steps", "10").code == 0


@pytest.mark.usefixtures("started")
def test_a_default_on_the_command_line_is_an_option_that_was_given(penwright, tmp_path):
    """The run began with --patience 0; the defaults are 5 and 0.01."""
    said = resume(penwright, "--patience", "5", "--weight-decay", "0.01")
    assert said.code == 0, said.err
    assert Run(tmp_path / "runs" / "run").info["plan"]["patience"] == 5
    said = resume(penwright, "--no-recompute", "--seed", "7")
    assert (said.code, "--seed cannot change" in said.err) == (1, True)
    (tmp_path / "options.toml").write_text("beta1 = 0.8")
    said = resume(penwright, "--config", "options.toml")
    assert (said.code, "--beta1 cannot change" in said.err) == (1, True)


def test_a_model_that_was_replaced_is_refused_where_the_run_still_needs_it(penwright, tmp_path):
    """An adapter's checkpoint goes on from the model that the run began with."""
    (tmp_path / "story.txt").write_text(LINES)
    for seed in (1, 2):
        made = ("new", "--size", "tiny", "--seed", str(seed), "--output", f"model-{seed}")
        assert penwright(*made).code == 0
    words = ("finetune", "story.txt", "--model", "./model-1", *OPTIONS[2:], *SHORT)
    said = penwright(*words, "--method", "lora", "--steps", "4")
    assert said.code == 0, said.err
    (tmp_path / "model-1").rename(tmp_path / "old")
    (tmp_path / "model-2").rename(tmp_path / "model-1")
    said = resume(penwright, "--steps", "6")
    assert said.code == 1
    assert "other weights than when run began with it" in said.err
    (tmp_path / "model-1").rename(tmp_path / "model-2")
    (tmp_path / "old").rename(tmp_path / "model-1")
    assert resume(penwright, "--steps", "6").code == 0


def test_a_named_checkpoint_is_gone_back_to(penwright, started):
    whole = sha256(started / "checkpoints" / "step-000008" / "model.safetensors")
    said = resume(penwright, "--checkpoint", "step-000006")
    assert said.code == 0, said.err
    assert sha256(started / "checkpoints" / "step-000008" / "model.safetensors") == whole
    said = resume(penwright, "--checkpoint", "step-000005")
    assert (said.code, "step-000008" in said.err) == (1, True)


def test_every_checkpoint_opens_in_transformers(started):
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    folders = sorted((started / "checkpoints").glob("step-*"))
    assert len(folders) >= 2
    for folder in folders:
        model = transformers.AutoModelForCausalLM.from_pretrained(folder)
        assert model.config.n_layer == 6


def with_files_up_to(limit, *words, cwd):
    """A command in a process that cannot write a file of more than `limit` bytes."""
    code = (
        "import resource, sys; from penwright.cli import run\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=cwd, capture_output=True, text=True
    )


def steps_of(run):
    return [record["step"] for record in Run(run).metrics() if record["kind"] == "step"]


@pytest.mark.skipif(os.name != "posix", reason="the file-size limit is POSIX's")
def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_room(penwright, tmp_path):
    (tmp_path / "story.txt").write_text(LINES)
    words = ["finetune", "story.txt", *OPTIONS, *SHORT, "--steps", "4"]
    done = with_files_up_to(20_000_000, *words, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    folder = tmp_path / "runs" / "run"
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    assert list((folder / "checkpoints").glob("step-*")) == []
    said = resume(penwright)
    assert said.code == 0, said.err
    assert steps_of(folder) == [1, 2, 3, 4]


@pytest.mark.skipif(os.name != "posix", reason="the file-size limit is POSIX's")
def test_a_disk_that_fills_up_later_leaves_the_checkpoints_before(penwright, started):
    last = started / "checkpoints" / "step-000008"
    sums = {path.name: sha256(path) for path in last.iterdir() if path.is_file()}
    words = ["finetune", "--resume", "--name", "run", "--steps", "12"]
    done = with_files_up_to(20_000_000, *words, cwd=started.parent.parent)
    assert done.returncode == 1, done.stderr
    assert "step-000010 could not be written: file too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name: sha256(path) for path in last.iterdir() if path.is_file()} == sums
    assert Run(started).pointed("latest") == last
    assert not list(last.parent.glob(".step*"))
    said = resume(penwright, "--steps", "12")
    assert said.code == 0, said.err
    assert steps_of(started) == list(range(1, 13))


@pytest.mark.parametrize("place", ["/sys/penwright", "file/run"])
def test_a_place_that_cannot_be_written_in(penwright, tmp_path, place):
    if not Path("/sys").is_dir() and place.startswith("/sys"):
        pytest.skip("this system has no /sys, where not even root may make a folder")
    (tmp_path / "story.txt").write_text(LINES)
    (tmp_path / "file").write_text("")
    said = penwright("finetune", "story.txt", "--model", "base", "--output-dir", place)
    assert said.code == 1
    assert "could not be written" in said.sentences[0]
    assert "--output-dir" in said.err


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing(penwright, tmp_path, monkeypatch):
    """Back and forth by days at every look; the run is the one that an honest clock sees."""
    (tmp_path / "story.txt").write_text(LINES)
    words = ("finetune", "story.txt", *OPTIONS[:2], "--precision", "fp32", *SHORT, "--steps", "4")
    assert penwright(*words, "--name", "honest", "--save-every", "10min").code == 0
    honest, jumps = time.time, itertools.cycle((-400_000, 800_000))
    monkeypatch.setattr(time, "time", lambda: honest() + next(jumps))
    assert penwright(*words, "--name", "jumping", "--save-every", "10min").code == 0
    said = penwright("finetune", "--resume", "--name", "jumping", "--steps", "6")
    assert said.code == 0, said.err
    one, other = (
        sha256(tmp_path / "runs" / name / "checkpoints" / "step-000004" / "model.safetensors")
        for name in ("honest", "jumping")
    )
    assert one == other
    assert steps_of(tmp_path / "runs" / "jumping") == [1, 2, 3, 4, 5, 6]
    assert Run(tmp_path / "runs" / "jumping").steps() == [4, 6]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["full", "lora", "lean"])
def test_a_run_killed_again_and_again_is_the_run_left_alone(method):
    words = [sys.executable, ROOT / "bench" / "kill.py", "--kills", "5"]
    options = [f"method={method}", "precision=bf16" if method == "lean" else "precision=fp32"]
    done = subprocess.run([*words, "--options", *options], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["equal"] is True


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forks of one process")
def test_a_run_killed_at_any_place_where_it_writes_is_the_run_left_alone():
    words = [sys.executable, ROOT / "bench" / "kill.py", "--places"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["equal"] is True
    assert outcome["places"] > 20
