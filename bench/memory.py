"""Peak anonymous memory of training steps, beside what was predicted.

    python bench/memory.py [--sizes 124M 355M] [--methods lean full] [--limit 18GB] [--keep]

Two steps of one sequence in a process of its own each; anonymous memory is sampled every 10 ms.
With --limit the process may not hold more data than that, which is how transformers' own training
is shown to end; it is run for the sizes of --peer.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
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
    keeping.add_options(parser)
    options = parser.parse_args()
    result: dict[str, Any] = {
        **keeping.describe(f"{options.batch} x {options.length} tokens, limit {options.limit}")
    }
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
