"""Peak anonymous memory of training steps, beside what was predicted.

    python bench/memory.py [--sizes 124M 355M] [--methods lean full] [--ranks 2] [--keep]

Two steps of one sequence in a process of its own each; anonymous memory is sampled every 10 ms.
With --limit the process may not hold more data than that, which is how transformers' own training
is shown to end; it is run for the sizes of --peer.

    python bench/memory.py --ranks 2 --sizes 1558M --methods full --optimizer sgd --length 128

trains on several processes of this machine instead, which torchrun starts, under --parallel; the
batch is that of one of them, and the peak is of each, from its start on: rank 0 makes the model.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keeping
from penwright.model import SIZES
from penwright.train.memory import Load, predict
from penwright.train.plan import TrainPlan

CHILD = """
import json, resource, sys
who, shape, limit = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[4])
if limit:
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
sys.path.insert(0, sys.argv[3])
import contenders
from watching import Peak
peak = Peak(shape["device"])
take_step = contenders.make(who, **shape)
built = peak.bytes()
losses = [float(take_step()) for _ in range(2)]
print(json.dumps({"built": built, "peak": peak.bytes(), "losses": losses}))
"""

RANK = """
import json, sys, time
from dataclasses import replace
shape = json.loads(sys.argv[1])
sys.path.insert(0, sys.argv[2])
import torch
from contenders import batch_of, config_of, plan_of
from watching import Peak
from penwright.config import OptimizerConfig
from penwright.model import GPT2, init_weights
from penwright.train.parallel import join
from penwright.train.ranks import Leader, follow, lead
peak = Peak()
device, config = torch.device("cpu"), config_of(shape["size"])
world = join(device)
rows, length = shape["batch"], shape["length"]
plan = replace(
    plan_of(shape["who"], rows * world.size, length, config.n_embd),
    micro_batch=rows,
    parallel=shape["parallel"],
    optim=OptimizerConfig(optimizer=shape["optimizer"]),
)
def body():
    model = GPT2(config)
    init_weights(model, seed=0)
    model.set_dropout(0.0)
    leader = Leader(world, model, plan, device)
    batch = batch_of(config, rows * world.size, length)
    made = time.perf_counter()
    losses = [float(leader.step(batch, n, 1e-4)[0]) / batch.n_learned for n in (1, 2)]
    return losses, (time.perf_counter() - made) / 2
losses, seconds = lead(world, body) if world.rank == 0 else follow(world)
print(json.dumps({"rank": world.rank, "peak": peak.bytes(), "losses": losses, "step": seconds}))
"""


def measure_ranks(who: str, size: str, options: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of each rank in two steps of several, and what was predicted for one."""
    from contenders import plan_of

    shape = {"who": who, "size": size, "batch": options.batch, "length": options.length}
    shape |= {"parallel": options.parallel, "optimizer": options.optimizer}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--no-python"]
    torchrun += [f"--nproc-per-node={options.ranks}", "--rdzv-backend=c10d"]
    torchrun += ["--rdzv-endpoint=localhost:0", sys.executable, "-c", RANK]
    started = time.perf_counter()
    child = subprocess.run(
        [*torchrun, json.dumps(shape), str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    ranks = sorted(map(json.loads, child.stdout.splitlines()), key=lambda rank: rank["rank"])
    load = replace(
        load_of(plan_of(who, options.batch, options.length, SIZES[size].n_embd), "cpu"),
        optimizer=options.optimizer,
        devices=options.ranks,
        shard=options.parallel == "fsdp",
    )
    predicted = predict(SIZES[size], load).total
    peaks = [rank["peak"] for rank in ranks]
    return {
        "seconds": time.perf_counter() - started,
        "seconds_per_step": ranks[0]["step"],
        "losses": ranks[0]["losses"],
        "peak": max(peaks),
        "peaks": peaks,
        "predicted": predicted,
        "predicted_over_peak": predicted / max(peaks),
    }


def measure(
    who: str, size: str, options: argparse.Namespace, device: str = "cpu"
) -> dict[str, Any]:
    """Peak memory of two steps in a process of their own, and what was predicted for ours."""
    here = str(Path(__file__).parent)
    shape = {"size": size, "batch": options.batch, "length": options.length}
    shape |= {"micro": options.batch, "device": device}
    limit = str(int(float(options.limit.removesuffix("GB")) * 1e9))
    arguments = [who, json.dumps(shape), here, limit]
    started = time.perf_counter()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=False
    )
    result: dict[str, Any] = {"seconds": time.perf_counter() - started}
    if child.returncode:
        said = [line for line in child.stderr.splitlines() if line.strip()]
        return result | {"died": said[-1][:200] if said else f"exit code {child.returncode}"}
    result |= json.loads(child.stdout.splitlines()[-1])
    if not who.startswith("peer"):
        from contenders import plan_of

        load = load_of(plan_of(who, options.batch, options.length), device)
        predicted = predict(SIZES[size], load).total
        result |= {"predicted": predicted, "predicted_over_peak": predicted / result["peak"]}
    return result


def load_of(plan: TrainPlan, device: str) -> Load:
    """What of a plan decides how much memory a run takes."""
    return Load(
        method=plan.method,
        width=4 if plan.precision == "fp32" else 2,
        micro_batch=plan.micro_batch,
        length=plan.max_length,
        batch_size=plan.batch_size,
        optimizer=plan.optim.optimizer,
        recompute=plan.recompute,
        quantize=plan.lora.quantize,
        lora_rank=plan.lora.lora_rank,
        on_gpu=device == "cuda",
        kernels=plan.kernels,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", default=["124M"])
    parser.add_argument("--methods", nargs="*", default=["lean", "full"])
    parser.add_argument("--peer", nargs="*", default=[], help="sizes to run transformers on")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--limit", default="0GB")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--parallel", choices=["ddp", "fsdp"], default="fsdp")
    parser.add_argument("--optimizer", default="adamw", help="of several ranks")
    keeping.add_options(parser)
    options = parser.parse_args()
    result: dict[str, Any] = {
        **keeping.describe(f"{options.batch} x {options.length} tokens, limit {options.limit}")
    }
    if options.ranks > 1:
        result["what"] = f"{options.ranks} ranks of {options.batch} x {options.length} tokens"
        for size, who in itertools.product(options.sizes, options.methods):
            name = f"{size} {who}, {options.parallel}, {options.optimizer}"
            result[name] = measure_ranks(who, size, options)
            print(name, json.dumps(result[name]), flush=True)
        if options.keep:
            keeping.keep("memory-ranks", result, add=True)
        return
    runs = [(who, size) for size in options.sizes for who in options.methods]
    for who, size in [*runs, *(("peer-fp32", size) for size in options.peer)]:
        result[f"{size} {who}"] = measure(who, size, options)
        print(size, who, json.dumps(result[f"{size} {who}"]), flush=True)
    if options.keep:
        keeping.keep("memory", result, add=True)
    if options.json:
        print(json.dumps({name: one for name, one in result.items() if " " in name}))


if __name__ == "__main__":
    main()
