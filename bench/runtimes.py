"""How far the models that we write are from ours, in the runtimes that they are for.

    python bench/runtimes.py [MODEL]

Exports MODEL (`base` unless named) in every format and type, runs three prompts through each in
its own runtime and through ours in float32, and keeps the figures in bench/results/runtimes.json.
Runtimes that are not installed are left out.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from penwright import weights
from penwright.weights import checking
from penwright.weights.exporting import DTYPES


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else "base"
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for to in ("huggingface", "ctranslate2", "gguf"):
            if not checking.is_installed(to):
                print(f"{checking.RUNTIMES[to]} is not installed", file=sys.stderr)
                continue
            for dtype in DTYPES[to]:
                out = Path(folder) / f"{to}-{dtype}"
                made = weights.export(model, to, out, dtype=dtype, check=True)
                assert made.checked is not None
                rows.append({"to": to, "dtype": dtype, "bytes": made.bytes, **asdict(made.checked)})
                print(f"{to} {dtype}: {made.bytes:,} bytes; {made.checked}")
    result = {
        "what": f"log-probabilities of {model} in other runtimes, against ours in float32",
        "when": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / "runtimes.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
