"""Held-out loss of `lean` beside float32 AdamW: the same data, seeds and steps.

    python bench/quality.py DATA [DATA ...] [--model base] [--seeds 3] [--keep]
    python bench/quality.py DATA --model 124M --seeds 1 --steps 200 --tokens 512 [--keep]

Each data set is learned to the end (or for --steps, each of --tokens in one row) by both methods
with each seed; what is compared is the full held-out loss of the weights that the run exports.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import keeping

WAYS: dict[str, dict[str, Any]] = {
    "float32": {"method": "full", "precision": "fp32"},
    "lean": {"method": "lean"},
}


def compare(data: str, model: str, seed: int, given: dict[str, Any]) -> dict[str, Any]:
    """Both methods on this data with this seed, and the difference of their held-out losses."""
    import penwright

    losses = {}
    for name, way in WAYS.items():
        with tempfile.TemporaryDirectory() as folder:
            run = penwright.finetune(
                data,
                model=model,
                seed=seed,
                sample_every=0,
                output_dir=Path(folder) / "run",
                **way,
                **given,
            )
        assert run.perplexity_before is not None
        assert run.perplexity_after is not None
        losses[name] = math.log(run.perplexity_after)
    losses["before"] = math.log(run.perplexity_before)
    entry = {"data": Path(data).name, "seed": seed, "steps": run.steps, **losses}
    return entry | {"difference": losses["lean"] - losses["float32"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--model", default="base")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=0)
    keeping.add_options(parser)
    options = parser.parse_args()
    result: dict[str, Any] = {
        **keeping.describe("held-out loss in nats a token"),
        "runs": [],
    }
    given = {"steps": options.steps} if options.steps else {}
    given |= {"batch_size": 1, "max_length": options.tokens} if options.tokens else {}
    for data in options.data:
        for seed in range(options.seeds):
            entry = compare(data, options.model, seed, given)
            result["runs"].append(entry)
            print(json.dumps(entry), flush=True)
    result["largest_difference"] = max(abs(entry["difference"]) for entry in result["runs"])
    print(json.dumps({"largest_difference": result["largest_difference"]}))
    if options.keep:
        keeping.keep("quality", {Path(options.model).name: result}, add=True)


if __name__ == "__main__":
    main()
