"""Training and writing on several devices as people run them: processes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penwright.runs import Run

ROOT = Path(__file__).parents[2]
STORIES = ROOT / "src" / "penwright" / "assets" / "samples" / "hill.jsonl"
TRAIN = [
    "finetune", str(STORIES), "--model", "base", "--precision", "fp32", "--batch-size", "4",
    "--max-length", "32", "--evaluate-every", "0", "--held-out", "0", "--sample-every", "0",
    "--name", "r",
]  # fmt: skip
TORCHRUN = ["-m", "torch.distributed.run"]

pytestmark = pytest.mark.slow


def start(folder: Path, *words: str) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *words], cwd=folder, env=env, stderr=subprocess.PIPE, text=True
    )


def penwright(folder: Path, *words: str, code: int = 0) -> str:
    """Run a command to its end; return what it said."""
    process = start(folder, "-m", "penwright", *words)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == code, said
    return said


def losses(folder: Path) -> list[float]:
    records = Run(folder / "runs" / "r").metrics()
    assert [record["step"] for record in records] == list(range(1, len(records) + 1))
    return [record["loss"] for record in records]


def wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} did not come")


def children(pid: int) -> dict[str, int]:
    """Return the process ids of a launcher's ranks, by rank."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            values = dict(
                word.split("=", 1) for word in path.read_text().split("\0") if "=" in word
            )
            status = (path.parent / "status").read_text()
        except OSError:
            continue
        if "RANK" in values and f"PPid:\t{pid}\n" in status:
            found[values["RANK"]] = int(path.parent.name)
    return found


def test_a_run_continues_on_two_ranks_one_and_two(tmp_path):
    one, many = tmp_path / "one", tmp_path / "many"
    penwright(one, *TRAIN, "--steps", "6")
    schedule = ["--schedule", "constant", "--warmup", "0"]
    penwright(one, *TRAIN, "--steps", "6", "--overwrite", *schedule)
    penwright(many, *TRAIN, "--steps", "2", *schedule, "--devices", "2", "--parallel", "fsdp")
    resume = ["finetune", "--resume", "--name", "r"]
    penwright(many, *resume, "--steps", "4", "--devices", "1")
    penwright(many, *resume, "--steps", "6", "--devices", "2", "--parallel", "ddp")
    assert losses(many) == pytest.approx(losses(one), abs=1e-5)


def test_a_rank_that_is_killed_loses_nothing(tmp_path):
    process = start(
        tmp_path, "-m", "penwright", *TRAIN, "--steps", "100000", "--save-every", "2",
        "--devices", "2",
    )  # fmt: skip
    run = Run(tmp_path / "runs" / "r")
    wait_for(run.checkpoints / "latest")
    os.kill(children(process.pid)["1"], signal.SIGKILL)
    killed = time.monotonic()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert time.monotonic() - killed < 15
    assert said.count("penwright: ") == 1, said
    assert "penwright: Rank 1 was ended by SIGKILL" in said
    assert "Traceback" not in said
    assert run.status in ("failed", "interrupted")
    step = run.steps()[-1]
    said = penwright(tmp_path, "finetune", "--resume", "--name", "r", "--steps", str(step + 2))
    assert f"after step {step}" in said
    assert len(losses(tmp_path)) == step + 2


def test_torchrun_starts_a_run_again_where_it_was(tmp_path):
    words = ["--standalone", "--nproc-per-node", "2", "--max-restarts", "1", "-m", "penwright"]
    command = [*TORCHRUN, *words, *TRAIN, "--steps", "20", "--save-every", "2"]
    process = start(tmp_path, *command)
    run = Run(tmp_path / "runs" / "r")
    wait_for(run.checkpoints / "latest")
    os.kill(children(process.pid)["1"], signal.SIGKILL)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    assert "Continuing r after step" in said
    assert run.status == "finished"
    assert len(losses(tmp_path)) == 20


def start_machines(folder: Path, port: int, *words: str) -> tuple[list[int], list[str]]:
    """Run a command as two machines, of which the second has neither the data nor the run."""
    torchrun = [*TORCHRUN, "--nnodes", "2", "--nproc-per-node", "1", "--master-addr", "localhost"]
    there = [word if word != str(STORIES) else "nothing.jsonl" for word in TRAIN]
    machines = [
        start(folder / name, *torchrun, "--master-port", str(port), "--node-rank", str(number),
              "-m", "penwright", *train, "--steps", "4", *words)
        for number, (name, train) in enumerate((("a", TRAIN), ("b", there)))
    ]  # fmt: skip
    said = [machine.communicate(timeout=120)[1] for machine in machines]
    return [machine.returncode for machine in machines], said


def test_two_machines_share_no_folder(tmp_path):
    """torchrun starts the same command on both."""
    codes, said = start_machines(tmp_path, 29571)
    assert codes == [0, 0], said
    penwright(tmp_path / "one", *TRAIN, "--steps", "4")
    assert losses(tmp_path / "a") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)
    assert "Teaching" in said[0]
    assert "Teaching" not in said[1]
    assert not list((tmp_path / "b").iterdir())


def test_shards_of_a_checkpoint_need_a_shared_folder(tmp_path):
    codes, said = start_machines(tmp_path, 29572, "--parallel", "fsdp")
    assert 0 not in codes
    assert "storage that all machines share" in "".join(said), said[1]
    assert not list((tmp_path / "a" / "runs" / "r").glob("checkpoints/*/manifest.json"))


def test_what_cannot_be_is_said_once(tmp_path):
    said = penwright(
        tmp_path, *TRAIN, "--devices", "2", "--parallel", "fsdp", "--optimizer", "muon", code=2
    )  # fmt: skip
    assert said.count("penwright: ") == 1
    assert "fsdp cannot divide the optimizer muon" in said


def test_two_devices_write_the_file_of_one(tmp_path):
    (tmp_path / "prompts.txt").write_text("".join(f"A goose, number {n}\n" for n in range(20)))
    words = ["generate", "base", "--prompts", "prompts.txt", "--n", "2", "--max-new-tokens", "12"]
    words += ["--weights", "float32", "--seed", "3", "--output"]
    penwright(tmp_path, *words, "one.jsonl")
    process = start(tmp_path, "-m", "penwright", *words, "two.jsonl", "--devices", "2")
    two = tmp_path / "two.jsonl"
    wait_for(two)
    while process.poll() is None and not two.read_bytes():
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    penwright(
        tmp_path, *words, "two.jsonl", *([] if process.returncode == 0 else ["--devices", "2"])
    )
    assert two.read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert len(two.read_text().splitlines()) == 40
    assert json.loads(two.read_text().splitlines()[39])["index"] == 39
