"""Kill a run again and again, resume it each time, and compare it with one that was left alone.

    python bench/kill.py --kills 50
    python bench/kill.py --kills 10 --options method=lora
    python bench/kill.py --kills 10 --sequence
    python bench/kill.py --places

With --kills the moments are random; with --places a run is killed just before the first and the
last time that it opens for writing, renames or deletes each kind of file, one run for each.
The final weights, every figure of the metrics that is no measurement of time or memory, and all
samples must be the same, byte for byte. Exits with 1 when they are not; the last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
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
SHORT = {
    "steps": 4, "max_length": 16, "evaluate_every": 2, "sample_every": 2, "sample_tokens": 4,
    "save_every": 1,
}  # fmt: skip
WRITING = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
"""Audit events of the interpreter (PEP 578) before something on the disk changes."""


def main() -> int:
    """Run both, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--options", nargs="*", default=[], metavar="NAME=VALUE")
    keeping.add_options(parser)
    parser.add_argument("--sequence", action="store_true", help="two data sets, one after another")
    parser.add_argument("--places", action="store_true", help="wherever something is written")
    arguments = parser.parse_args()
    if arguments.places:
        return kill_at_places(SETTINGS | SHORT | dict(o.split("=", 1) for o in arguments.options))
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
    write_texts(folder)
    environment = (
        ENVIRONMENT | os.environ | {"PENWRIGHT_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    )
    words = [sys.executable, "-c", code, json.dumps(settings)]
    return subprocess.Popen(words, cwd=folder, env=environment, stderr=subprocess.PIPE)


def write_texts(folder: Path) -> None:
    """Make a folder with the data."""
    folder.mkdir(exist_ok=True)
    (folder / "story.txt").write_text("".join(TEXT.format(n=n) for n in range(400)))
    (folder / "other.txt").write_text("".join(TEXT.format(n=n * n) for n in range(300)))


def kill_at_places(settings: dict[str, Any]) -> int:
    """Kill one run at each place where something is written, resume it, and compare."""
    differences = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone, counts = folder / "alone", folder / "places.json"
        if run_forked(alone, settings, lambda: count_places(counts)) != 0:
            raise SystemExit("The undisturbed run failed.")
        places = json.loads(counts.read_text())
        cases = sorted({(place, n) for place, last in places.items() for n in (1, last)})
        for number, (place, n) in enumerate(cases):
            killed = folder / str(number)
            status = run_forked(killed, settings, lambda p=place, n=n: kill_at(p, n))
            if os.WIFSIGNALED(status):
                began = (killed / "runs/run/run.json").exists()
                status = run_forked(killed, settings | ({"resume": True} if began else {}))
            found = (
                ["resuming failed"] if status else compare(alone / "runs/run", killed / "runs/run")
            )
            for difference in found:
                print(f"Killed before {place}, time {n}: {difference}.", file=sys.stderr)
            differences += found
    print(json.dumps({"places": len(cases), "equal": not differences}))
    return 1 if differences else 0


def run_forked(
    folder: Path, settings: dict[str, Any], prepare: Callable[[], None] = lambda: None
) -> int:
    """Run in a fork of this process, which has torch loaded; returns what `os.waitpid` tells."""
    import penwright.verbs.finetune

    if process := os.fork():
        return os.waitpid(process, 0)[1]
    code = 1
    try:
        write_texts(folder)
        os.chdir(folder)
        os.environ |= {"PENWRIGHT_CACHE": str(folder.parent / "cache"), "HF_HUB_OFFLINE": "1"}
        prepare()
        data = [] if settings.get("resume") else ["story.txt"]
        penwright.verbs.finetune.finetune(*data, **settings)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def watch(act: Callable[[str], None]) -> None:
    """Call `act` with the place, such as `os.rename step-N`, before each change below runs/."""

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if event not in WRITING or isinstance(values[0], int):
            return
        if event == "open" and not (isinstance(values[1], str) and set(values[1]) & set("wax+")):
            return
        path = os.fsdecode(values[0])
        if "runs" in Path(path).parts:
            act(f"{event} {name_place(Path(path))}")
        elif "/" not in path and event != "open":  # as rmtree deletes
            act(f"{event} in a folder")

    sys.addaudithook(hook)


def name_place(path: Path) -> str:
    """Return the name of a path with N for numbers; in a checkpoint, that of its folder."""
    inner = [part for part in path.parts[:-1] if re.match(r"\.?step-", part)]
    return re.sub("[0-9]+", "N", f"in {inner[0]}" if inner else path.name)


def count_places(file: Path) -> None:
    """Keep in a file how often the run came to each place."""
    counts: Counter[str] = Counter()

    def act(place: str) -> None:
        counts[place] += 1
        file.write_text(json.dumps(counts))

    watch(act)


def kill_at(place: str, n: int) -> None:
    """Kill this process when it comes to a place for the n-th time."""
    counts: Counter[str] = Counter()

    def act(at: str) -> None:
        counts[at] += 1
        if at == place and counts[at] == n:
            os.kill(os.getpid(), signal.SIGKILL)

    watch(act)


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
