"""Kill a run again and again, resume it each time, and compare it with one that was left alone.

    python bench/kill.py --kills 50
    python bench/kill.py --kills 10 --options method=lora
    python bench/kill.py --kills 10 --sequence

The final weights, every figure of the metrics that is no measurement of time or memory, and all
samples must be the same, byte for byte. Exits with 1 when they are not; the last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import keeping
from penwright.cli import ENVIRONMENT
from penwright.runs import sha256

TIMED = {"tokens_per_s", "memory_mb", "seconds", "mfu_percent"}
TIMED |= {"cpu_percent", "gpu_percent", "gpu_memory_mb"}
RUN = """
import json, sys
import penwright
options = json.loads(sys.argv[1])
penwright.finetune(*([] if options.get("resume") else ["story.txt"]), **options)
"""
SEQUENCE = """
import json, sys
import penwright
penwright.cross_train(["story.txt", "other.txt"], **json.loads(sys.argv[1]))
"""
TEXT = "Item {n}. The harbour asked for tea, and {n} councillors voted on it {n} times.\n"
SETTINGS: dict[str, Any] = {
    "model": "base",
    "name": "run",
    "precision": "fp32",
    "steps": 60,
    "batch_size": 2,
    "max_length": 64,
    "evaluate_every": 6,
    "sample_every": 15,
    "sample_tokens": 16,
    "save_every": 4,
    "patience": 0,
}


def main() -> int:
    """Run both, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--options", nargs="*", default=[], metavar="NAME=VALUE")
    keeping.add_options(parser)
    parser.add_argument("--sequence", action="store_true", help="two data sets, one after another")
    arguments = parser.parse_args()
    settings = SETTINGS | dict(option.split("=", 1) for option in arguments.options)
    with tempfile.TemporaryDirectory() as folder:
        left_alone, killed = Path(folder, "left-alone"), Path(folder, "killed")
        code, names = (SEQUENCE, ["run-1", "run-2"]) if arguments.sequence else (RUN, ["run"])
        seconds = run_whole(left_alone, code, settings)
        kills = run_killed(killed, code, settings, arguments.kills, arguments.seed, seconds)
        differences = [
            f"{name}: {difference}"
            for name in names
            for difference in compare(left_alone / "runs" / name, killed / "runs" / name)
        ]
    for difference in differences:
        print(difference, file=sys.stderr)
    outcome = {"kills": kills, "equal": not differences, "options": arguments.options}
    if arguments.keep:
        name = " ".join(["sequence" if arguments.sequence else "run", *arguments.options])
        head = keeping.describe("runs killed at random moments, beside one that was left alone")
        keeping.keep("kill", {name: head | outcome}, add=True)
    print(json.dumps(outcome))
    return 1 if differences else 0


def start(folder: Path, code: str, settings: dict[str, Any]) -> subprocess.Popen[bytes]:
    """A run in a process of its own, in `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / "story.txt").write_text("".join(TEXT.format(n=n) for n in range(400)))
    (folder / "other.txt").write_text("".join(TEXT.format(n=n * n) for n in range(300)))
    environment = (
        ENVIRONMENT | os.environ | {"PENWRIGHT_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    )
    words = [sys.executable, "-c", code, json.dumps(settings)]
    return subprocess.Popen(words, cwd=folder, env=environment, stderr=subprocess.PIPE)


def run_whole(folder: Path, code: str, settings: dict[str, Any]) -> float:
    """The run that nobody disturbs; returns its seconds."""
    began = time.monotonic()
    process = start(folder, code, settings)
    _, error = process.communicate()
    if process.returncode:
        raise SystemExit(f"The undisturbed run failed: {error.decode()[-2000:]}")
    return time.monotonic() - began


def run_killed(
    folder: Path, code: str, settings: dict[str, Any], kills: int, seed: int, seconds: float
) -> int:
    """Kill at random moments after the run's folder is there, resume, until it ends by itself."""
    chance, runs, done = random.Random(seed), folder / "runs", 0
    while True:
        before = last_change(runs)
        process = start(folder, code, settings | ({"resume": True} if before else {}))
        while process.poll() is None and last_change(runs) == before:
            time.sleep(0.002)
        if done < kills:
            # Most of the run's seconds are its start; the rest is shared by the kills.
            time.sleep(chance.uniform(0, 2.5 * seconds / kills))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                done += 1
        _, error = process.communicate()
        if process.returncode == 0:
            return done
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(f"After {done} kills, resuming failed: {error.decode()[-2000:]}")


def last_change(runs: Path) -> int:
    """When a run.json was last changed, in nanoseconds; 0 before there is one."""
    times = []
    for file in runs.glob("*/run.json"):
        with contextlib.suppress(FileNotFoundError):  # it is being replaced
            times.append(file.stat().st_mtime_ns)
    return max(times, default=0)


def compare(one: Path, other: Path) -> list[str]:
    """Every difference between two finished runs, in words."""
    differences = []
    for name in ("best", "latest"):
        a, b = ((run / "checkpoints" / name).read_text().strip() for run in (one, other))
        if a != b:
            differences.append(f"{name}: {a} and {b}")
            continue
        for file in ("model.safetensors", "trainer.safetensors"):
            paths = [run / "checkpoints" / a / file for run in (one, other)]
            if paths[0].exists() and sha256(paths[0]) != sha256(paths[1]):
                differences.append(f"{a}/{file} differs")
    lines = [without_times(run / "metrics.jsonl") for run in (one, other)]
    if lines[0] != lines[1]:
        differences.append(f"metrics differ: {len(lines[0])} and {len(lines[1])} lines")
    texts = [
        {path.name: path.read_bytes() for path in sorted((run / "samples").iterdir())}
        for run in (one, other)
    ]
    if texts[0] != texts[1]:
        differences.append("samples differ")
    return differences


def without_times(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics, but for what a clock says."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in record.items() if k not in TIMED} for record in records]


if __name__ == "__main__":
    sys.exit(main())
