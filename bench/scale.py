"""How the cost of data grows: encoding, opening and indexing, at several sizes, carried on to 1 TB.

    python bench/scale.py FILE ... [--sizes 16 32 64 128] [--rounds 3] [--json] [--keep]

Takes so many megabytes of the text in the files (any format that is read), in documents of 4,000
characters. For each size, in a process of its own, it encodes the text into a token store; opens
the store, divides it, and makes the first batch; builds the index of its passages. Memory is the
most anonymous memory of the process, and of its largest worker. Figures are medians of the rounds.

For 1 TB, everything goes on along the line through the smallest and the largest size.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import keeping
from encode import MemoryWatch
from penwright import formats
from penwright.config import DataConfig, FinetuneConfig
from penwright.dataset.training import open_training_data
from penwright.document import START_OF_TEXT
from penwright.index.suffix_index import SuffixIndex
from penwright.tokens import BatchSchedule, Store, Tokenizer, prepare

LENGTH, ROWS = 1024, 8
TERABYTE = 1e6
"""In megabytes."""
CUT = re.compile(r"(?s)\S.{4000}.*?(?:\n\n|\Z)")
"""A document: 4,000 characters, up to the end of a paragraph."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--sizes", nargs="+", type=int, default=[16, 32, 64, 128], help="in MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    keeping.add_options(parser)
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(watch(STAGES[options.stage], options.files[0])))
        return
    result = keeping.describe("text in documents of 4,000 characters", ("numpy",))
    sizes: dict[int, dict[str, Any]] = {}
    for size in options.sizes:
        rounds = []
        for _ in range(options.rounds):
            with tempfile.TemporaryDirectory() as scratch:
                megabytes = write_text(options.files, size, Path(scratch))
                rounds.append({stage: child(stage, Path(scratch)) for stage in STAGES})
        sizes[size] = {
            "megabytes": megabytes,
            **{s: median([r[s] for r in rounds]) for s in STAGES},
        }
        print(size, "MB", json.dumps(sizes[size]), flush=True)
    result |= {f"{size} MB": found for size, found in sizes.items()}
    result["1 TB, extrapolated"] = extrapolate(*list(sizes.values())[:: len(sizes) - 1])
    print(json.dumps(result["1 TB, extrapolated"], indent=1))
    if options.keep:
        keeping.keep("scale", result)
    if options.json:
        print(json.dumps(result["1 TB, extrapolated"]))


def write_text(files: list[Path], megabytes: int, scratch: Path) -> float:
    """Write the beginning of files' text, in documents, into a plain file; return its megabytes."""
    with (scratch / "text.txt").open("wb") as out:
        for document in formats.read(files, DataConfig(), lambda _: None):
            for text in CUT.findall(document.text):
                out.write((text + START_OF_TEXT).encode())
                if out.tell() >= megabytes * 1e6:
                    return out.tell() / 1e6
    raise SystemExit(f"The files have fewer than {megabytes} MB of text.")


def child(stage: str, scratch: Path) -> dict[str, Any]:
    """Run a stage in a process of its own."""
    command = [sys.executable, __file__, str(scratch), "--stage", stage]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def median(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure of a stage."""
    return {name: statistics.median(found[name] for found in rounds) for name in rounds[0]}


def watch(stage: Callable[[Path], dict[str, Any]], scratch: Path) -> dict[str, Any]:
    watched, start = MemoryWatch(), time.perf_counter()
    found = stage(scratch)
    seconds, memory = time.perf_counter() - start, watched.stop()
    return {"seconds": seconds, "memory_mb": memory["this"], "worker_mb": memory["worker"], **found}


def encode(scratch: Path) -> dict[str, Any]:
    documents = formats.read([scratch / "text.txt"], DataConfig(), lambda _: None)
    store = prepare(documents, Tokenizer.gpt2(), scratch / "store")
    return {
        "disk_mb": size_of(store.folder),
        "documents": store.n_documents,
        "tokens": store.n_tokens,
    }


def first_batch(scratch: Path) -> dict[str, Any]:
    """Open the store as a run does, up to its first batch."""
    config, tokenizer = FinetuneConfig(), Tokenizer.gpt2()
    opened = open_training_data([scratch / "store"], config, tokenizer, lambda _: None)
    batch = BatchSchedule(opened.training, "windows", ROWS, LENGTH, 0).batch(0)
    return {"disk_mb": 0.0, "tokens": int(batch.tokens_BT.numel())}


def index(scratch: Path) -> dict[str, Any]:
    store = Store.open(scratch / "store")
    ranges = np.stack([store.offsets[:-1], store.offsets[1:]], axis=1)
    SuffixIndex.build(store, ranges, scratch / "index")
    return {"disk_mb": size_of(scratch / "index")}


STAGES = {"encode": encode, "open": first_batch, "index": index}


def size_of(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def extrapolate(one: dict[str, Any], two: dict[str, Any]) -> dict[str, Any]:
    """Return hours and gigabytes for 1 TB, on the line through two sizes."""

    def at(stage: str, name: str) -> float:
        rise = (two[stage][name] - one[stage][name]) / (two["megabytes"] - one["megabytes"])
        return float(two[stage][name] + max(rise, 0.0) * (TERABYTE - two["megabytes"]))

    return {
        "encode_hours": at("encode", "seconds") / 3600,
        "store_gb": at("encode", "disk_mb") / 1e3,
        "tokens_billion": at("encode", "tokens") / 1e9,
        "documents_million": at("encode", "documents") / 1e6,
        "open_hours": at("open", "seconds") / 3600,
        "open_memory_gb": at("open", "memory_mb") / 1e3,
        "index_hours": at("index", "seconds") / 3600,
        "index_gb": at("index", "disk_mb") / 1e3,
    }


if __name__ == "__main__":
    main()
