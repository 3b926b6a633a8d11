"""How much memory and time opening a 1558M-shaped model takes, against reading its file.

    python bench/opening.py [--size 1558M] [--folder DIR] [--json] [--keep]

Writes random float32 weights (6.2 GB) once, then, in a fresh process each: reads the file from
end to end; opens the model in bfloat16, its anonymous memory sampled every 10 ms; describes it.
The file is in the page cache ("warm") or has just been dropped from it ("cold"). Merely
touching as much fresh memory as the weights take is measured beside it, since no way of opening
can be faster than reading and that. All processes have the environment
that the command line gives itself.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import keeping
from penwright.cli import ENVIRONMENT

READ = """
import sys, time
start = time.perf_counter()
buffer = bytearray(8 << 20)
with open(sys.argv[1], "rb", buffering=0) as file:
    while file.readinto(buffer):
        pass
print(time.perf_counter() - start)
"""
TOUCH = """
import sys, time
import torch
start = time.perf_counter()
torch.empty(int(sys.argv[1]), dtype=torch.bfloat16).view(-1)[::2048].fill_(0)
print(time.perf_counter() - start)
"""
OPEN = """
import json, sys, threading, time
import torch
from penwright import weights
from penwright.weights import opening

def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))

peak, done, before = 0, threading.Event(), anonymous()
def watch():
    global peak
    while not done.wait(0.01):
        peak = max(peak, anonymous())
thread = threading.Thread(target=watch); thread.start()
start = time.perf_counter()
opened = weights.open(sys.argv[1], dtype=torch.bfloat16)
seconds = time.perf_counter() - start
done.set(); thread.join()
size = sum(p.numel() * p.element_size() for p in opened.model.parameters())
peak = max(peak, anonymous())
print(json.dumps({"seconds": seconds, "peak": peak, "before": before, "weights": size}))
"""
DESCRIBE = """
import sys, time
import penwright.errors
start = time.perf_counter()
from penwright import weights
weights.describe(sys.argv[1])
print(time.perf_counter() - start)
"""


def write_model(folder: Path, size: str) -> None:
    import torch

    from penwright.model import GPT2, SIZES
    from penwright.tokens.bpe import Tokenizer
    from penwright.weights import huggingface
    from penwright.weights.stored import Stored

    config = SIZES[size]
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in GPT2(config).state_dict().items()}

    def fill(target: torch.Tensor) -> None:
        target.normal_(std=0.02)

    tensors = {name: Stored(shape, "F32", fill) for name, shape in shapes.items()}
    huggingface.save_parts(
        folder,
        config,
        tensors,
        Tokenizer.gpt2(),
        card="",
        penwright={},
        dtype=torch.float32,
        shard_bytes=1 << 40,
    )


def drop(file: Path) -> None:
    """Let the system forget the file, so that the next reader waits for the disk."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
        os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(code: str, argument: Path | int) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code, str(argument)],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT | os.environ,
    )
    return result.stdout


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="1558M")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    keeping.add_options(parser)
    options = parser.parse_args()
    head = keeping.describe(f"{options.size} in float32, opened in bfloat16 on a CPU")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "model"
        file = folder / "model.safetensors"
        if not file.is_file():
            write_model(folder, options.size)
        rounds = []
        for cache in ("warm", "cold") * options.rounds:
            run(READ, file) if cache == "warm" else drop(file)
            read = float(run(READ, file))
            if cache == "cold":
                drop(file)
            touched = float(run(TOUCH, file.stat().st_size // 4))
            opened = json.loads(run(OPEN, folder))
            described = float(run(DESCRIBE, folder))
            rounds.append(
                {
                    "cache": cache,
                    "read_s": read,
                    "touch_s": touched,
                    "describe_s": described,
                    **opened,
                }
            )
        size = file.stat().st_size
    ratios = {
        (cache, floor): statistics.median(
            one["seconds"] / sum(one[part] for part in floor.split("+"))
            for one in rounds
            if one["cache"] == cache
        )
        for cache in ("warm", "cold")
        for floor in ("read_s", "read_s+touch_s")
    }
    result = {
        **head,
        "file_bytes": size,
        "rounds": rounds,
        "peak_over_weights": max(one["peak"] / one["weights"] for one in rounds),
        "peak_beyond_start_over_weights": max(
            (one["peak"] - one["before"]) / one["weights"] for one in rounds
        ),
        "open_over": {f"{cache} {floor}": ratio for (cache, floor), ratio in ratios.items()},
    }
    print(json.dumps(result, indent=2))
    if options.keep:
        keeping.keep("opening", result)
    if options.json:
        print(json.dumps(result["open_over"]))


if __name__ == "__main__":
    main()
