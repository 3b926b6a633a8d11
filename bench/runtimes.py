"""How far the models that we write are from ours, in the runtimes that they are for.

    python bench/runtimes.py [MODEL] [--json] [--keep]

Exports MODEL (`base` unless named) in every format and type, runs three prompts through each in
its own runtime and through ours in float32.
Runtimes that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import keeping
from penwright import weights
from penwright.weights.exporting import FORMATS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="base")
    keeping.add_options(parser)
    options = parser.parse_args()
    model = options.model
    head = keeping.describe(
        f"log-probabilities of {model} in other runtimes, against ours in float32"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for to in ("huggingface", "ctranslate2", "gguf"):
            if not FORMATS[to].runtime.is_installed:
                print(f"{FORMATS[to].runtime.package} is not installed", file=sys.stderr)
                continue
            for dtype in FORMATS[to].dtypes:
                out = Path(folder) / f"{to}-{dtype}"
                made = weights.export(model, to, out, dtype=dtype, check=True)
                assert made.checked is not None
                rows.append({"to": to, "dtype": dtype, "bytes": made.bytes, **asdict(made.checked)})
                print(f"{to} {dtype}: {made.bytes:,} bytes; {made.checked}")
    result = {
        **head,
        "rows": rows,
    }
    if options.keep:
        keeping.keep("runtimes", result)
    if options.json:
        print(json.dumps({f"{row['to']} {row['dtype']}": row["largest"] for row in rows}))


if __name__ == "__main__":
    main()
