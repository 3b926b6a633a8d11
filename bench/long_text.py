"""Write one text of 20,000 tokens: is the speed, and the memory, the same from end to end?

    python bench/long_text.py base --max-new-tokens 20000 --pin "Ada is a goose."

Prints for each stretch of 2,000 tokens the tokens a second and the memory of the process, then what
it cost that the context moved.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import penwright
from penwright.config import SamplingConfig
from penwright.sample.batch import Batch, Row
from penwright.sample.window import Window, measure_seams

STRETCH = 2000


def memory_mb() -> float:
    """Return the resident memory of this process (Linux)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--max-new-tokens", type=int, default=20000)
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--pin", action="append", default=[])
    asked = parser.parse_args()
    writer = penwright.load(asked.model, weights=asked.weights)
    sampling = SamplingConfig(
        max_new_tokens=asked.max_new_tokens,
        min_new_tokens=asked.max_new_tokens,
        pin=tuple(asked.pin),
    )
    window = Window.of(writer.source.config.n_positions, writer.tokenizer, sampling)
    row = Row(0, writer.tokenizer.encode_prompt("The sea"), window, sampling)
    batch = Batch(writer.source, writer.tokenizer)
    batch.enter([row])
    since, before = time.perf_counter(), 0
    print(f"{writer.name}, {asked.weights} weights; {len(window.head)} tokens pinned")
    while batch.rows:
        batch.step()
        if row.written - before >= STRETCH or not batch.rows:
            now = time.perf_counter()
            speed = (row.written - before) / (now - since)
            print(f"{row.written:6,} tokens  {speed:7.1f} tokens/s  {memory_mb():7.1f} MB")
            since, before = now, row.written
    print(measure_seams(writer.source, window, row.ids, row.seams))


if __name__ == "__main__":
    main()
