"""Training steps beside transformers' GPT-2: tokens/s, peak memory and the loss curve.

    python bench/train.py [--size 124M] [--batch 4] [--rounds 3] [--steps 4] [--json] [--keep]
    python bench/train.py --size base --length 338 --documents 3 --against --busy

Each contender lives in a process of its own and they take steps in turn, a pair at a time, on the
same random weights and tokens, so that whatever else the machine does falls on both. A round is
four steps in a row, as a run takes them: the first one finds the caches full of what the other
contender left there, and its threads asleep. The first round is not counted: on a virtual machine a
process's first steps, which touch memory for the first time, take up to half as long again as those
from the fourth on. One contender runs nothing but the matrix products of our step, for their share
of its time. The peers are transformers with torch's AdamW as it comes, in float32 and in bfloat16
autocast; ours is the training loop's own step, in the environment that the command line gives
itself. With --busy, steps are also taken beside another torch process that keeps all threads busy.
Peak memory is anonymous memory, sampled every 10 ms. With --json the last line holds the ratios;
--keep writes all to bench/results. Without bfloat16 in hardware only float32 is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import keeping
from penwright.cli import ENVIRONMENT
from penwright.compute import is_emulated
from racing import Contender

CHILD = """
import json, sys, time
import torch
who, shape, steps, threads = sys.argv[1], json.loads(sys.argv[2]), *map(int, sys.argv[3:5])
torch.set_num_threads(threads)
sys.path.insert(0, sys.argv[5])
import contenders
from watching import Peak
peak = Peak(shape["device"])
take_step = contenders.make(who, **shape)
print("ready", flush=True)
for line in sys.stdin:
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        loss = take_step()
    loss = float(loss)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    step = {"seconds": seconds, "cpu": cpu, "loss": loss, "peak": peak.bytes()}
    print(json.dumps(step), flush=True)
"""
SHAPE = ("size", "batch", "length", "micro", "device", "documents")


def enter(who: str, options: argparse.Namespace) -> Contender:
    """A contender of the wanted shape; ours has the environment of the command line."""
    here = str(Path(__file__).parent)
    shape = json.dumps({name: getattr(options, name) for name in SHAPE})
    environment = ({} if who.startswith("peer") else ENVIRONMENT) | os.environ
    return Contender(
        [sys.executable, "-c", CHILD, who, shape, str(options.steps), str(options.threads), here],
        environment=environment | {"OMP_NUM_THREADS": str(options.threads)},
    )


def race(pair: tuple[str, str], options: argparse.Namespace) -> dict[str, Any]:
    """Rounds in turn, the first of each not counted; medians and the ratios of the rounds."""
    first, second = (enter(who, options) for who in pair)
    for _ in range(options.rounds + 1):
        first.step()
        second.step()
    for contender in (first, second):
        contender.close()
    tokens = options.batch * options.length * options.steps
    result: dict[str, Any] = {}
    for who, contender in zip(pair, (first, second), strict=True):
        counted = contender.steps[1:]
        seconds = statistics.median(step["seconds"] for step in counted)
        cpu = statistics.median(step["cpu"] for step in counted)
        result[who] = {
            "seconds": seconds / options.steps,
            "tokens_per_s": tokens / seconds,
            "cpu_seconds": cpu / options.steps,
            "peak_mb": contender.steps[-1]["peak"] / 2**20,
            "losses": [step["loss"] for step in contender.steps],
        }
    for what in ("seconds", "cpu"):
        ratios = [b[what] / a[what] for a, b in zip(first.steps[1:], second.steps[1:], strict=True)]
        result[f"{what}_ratio"] = statistics.median(ratios)
    ours, theirs = (contender.steps[-1]["peak"] for contender in (first, second))
    result["memory_ratio"] = ours / theirs
    result["loss_difference"] = max(
        abs(a["loss"] / b["loss"] - 1) for a, b in zip(first.steps, second.steps, strict=True)
    )
    return result


BUSY = """
import sys, torch
torch.set_num_threads(int(sys.argv[1]))
x = torch.randn(1024, 1024)
while True:
    x @ x
"""


def race_beside(who: str, options: argparse.Namespace) -> dict[str, float]:
    """Steps in turn with nothing else, and beside a torch process that is busy on all threads."""
    other = subprocess.Popen([sys.executable, "-c", BUSY, str(options.threads)])
    try:
        contender = enter(who, options)
        contender.step()  # the other one starts meanwhile
        for _ in range(options.rounds):
            for what in (signal.SIGSTOP, signal.SIGCONT):
                other.send_signal(what)
                contender.step()
        contender.close()
    finally:
        other.kill()
    seconds = [step["seconds"] / options.steps for step in contender.steps[1:]]
    idle, busy = statistics.median(seconds[::2]), statistics.median(seconds[1::2])
    return {"idle_seconds": idle, "busy_seconds": busy, "share": idle / busy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="124M")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--ours", help="full, full-fp32, lean or lora")
    parser.add_argument("--against", nargs="*", help="peer-bf16 and peer-fp32")
    parser.add_argument("--documents", type=int, default=1, help="packed into each row of ours")
    parser.add_argument("--steps", type=int, default=4, help="of a round")
    parser.add_argument("--busy", action="store_true", help="also beside a busy process")
    keeping.add_options(parser)
    options = parser.parse_args()
    # A step in emulated bfloat16 takes a quarter of an hour.
    emulated = is_emulated("bf16", torch.device("cpu"))
    if emulated:
        print("This processor has no bfloat16: float32 is measured only.", file=sys.stderr)
    options.ours = options.ours or ("full-fp32" if emulated else "full")
    if options.against is None:
        options.against = ["peer-fp32"] + ["peer-bf16"] * (not emulated)
    options.micro, options.device = options.batch, "cpu"
    result: dict[str, Any] = {
        **keeping.describe(
            f"{options.size}, {options.batch} x {options.length} tokens, {options.ours}",
            ("torch", "transformers"),
        ),
        "threads": options.threads,
    }
    products = options.ours.replace("full", "products")
    alone = race((options.ours, products), options)
    result["products"] = {
        "seconds": alone[products]["seconds"],
        "step_seconds": alone[options.ours]["seconds"],
        "share": alone["seconds_ratio"],
    }
    for peer in options.against:
        result[peer] = race((options.ours, peer), options)
    if options.busy:
        result["beside_a_busy_process"] = race_beside(options.ours, options)
    print(json.dumps(result, indent=2))
    if options.keep:
        keeping.keep("train" if options.size == "124M" else f"train-{options.size}", result)
    if options.json:
        kept = ("seconds_ratio", "cpu_ratio", "memory_ratio", "loss_difference")
        ratios = {peer: {k: result[peer][k] for k in kept} for peer in options.against}
        print(json.dumps(ratios | {"products": result["products"]}))


if __name__ == "__main__":
    main()
