"""Training on a GPU: tokens/s, MFU and memory beside a compiled plain loop and transformers.

    python bench/gpu_train.py [--sizes 124M 1558M] [--data FILE ...] [--json] [--keep]

Ours and a peer take turns in processes of their own, as in bench/train.py, on the same tokens; the
first turn, in which both compile, is not counted. The peers are nanoGPT's way (plain_gpt2.py,
compiled as a whole) and transformers as it comes, both in bfloat16 autocast with fused AdamW. MFU
is the share of what the card's maker says. Then every size and method takes two steps of one row
for the table of memory, and `lean` is held against float32 AdamW on each --data, as in
bench/quality.py. With --json the last line holds the ratios; --keep writes all to
bench/results/gpu_train.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

import contenders
import keeping
import memory
import quality
import train
from penwright.model import SIZES
from penwright.train.calibrate import card_flops
from penwright.train.meter import flops_a_token

PEERS = ("peer-plain", "peer-bf16")
BATCHES = {"124M": (64, 32), "355M": (32, 16), "774M": (32, 8), "1558M": (16, 8)}
"""Rows of a step and of a micro-batch."""


def race(size: str, options: argparse.Namespace, peak: float | None) -> dict[str, Any]:
    """Ours beside each peer on one size."""
    batch, micro = BATCHES[size]
    options.size, options.batch = size, options.batch or batch
    options.micro = min(options.micro or micro, options.batch)
    plan = contenders.plan_of("full", options.batch, options.length, device="cuda")
    result: dict[str, Any] = {"batch": options.batch, "micro": options.micro}
    for peer in PEERS:
        found = result[peer] = train.race(("full", peer), options)
        for who in ("full", peer):
            speed = found[who]["tokens_per_s"]
            if peak:
                share = speed * sum(flops_a_token(SIZES[size], plan)) / peak
                found[who]["mfu_percent"] = 100 * share
    return result


def measure_memory(options: argparse.Namespace) -> dict[str, Any]:
    """Bytes allocated at the peak of a step of one row, by size and method."""
    shape = argparse.Namespace(batch=1, length=options.length, limit="0GB")
    table: dict[str, Any] = {}
    for size in SIZES:
        for method in options.methods:
            table[f"{size} {method}"] = memory.measure(method, size, shape, "cuda")
            print(size, method, json.dumps(table[f"{size} {method}"]), file=sys.stderr)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="*", default=["124M", "1558M"], choices=list(BATCHES))
    parser.add_argument("--methods", nargs="*", default=["full", "lean", "lora"])
    parser.add_argument("--data", nargs="*", default=[])
    parser.add_argument("--model", default="base", help="what learns --data")
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--batch", type=int, help="rows of a step")
    parser.add_argument("--micro", type=int, help="rows at once")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10, help="in a turn")
    keeping.add_options(parser)
    options = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        print("bench/gpu_train.py needs a CUDA device, and there is none here.", file=sys.stderr)
        raise SystemExit(2)
    options.device, options.threads = "cuda", os.cpu_count() or 1
    options.documents = 1
    card = torch.cuda.get_device_name()
    result: dict[str, Any] = {
        **keeping.describe(
            f"training at {options.length} tokens", ("torch", "transformers", "triton")
        ),
        "card": card,
    }
    peak = card_flops(card)
    races = {size: race(size, argparse.Namespace(**vars(options)), peak) for size in options.sizes}
    result |= {"races": races, "memory": measure_memory(options)}
    result["quality"] = [quality.compare(data, options.model, 0, {}) for data in options.data]
    print(json.dumps(result, indent=2))
    if options.keep:
        keeping.keep("gpu_train", result, of="cuda")
    if options.json:
        ratios = {
            f"{size} {peer}": {
                key: races[size][peer][key] for key in ("seconds_ratio", "memory_ratio")
            }
            for size in races
            for peer in PEERS
        }
        print(json.dumps(ratios))


if __name__ == "__main__":
    main()
