"""What checkpoints cost a run that saves every 100 steps: the share of its time, the longest wait.

    python bench/saving.py [--model base] [--steps 400] [--save-every 100] [--keep]

A step after which a checkpoint is begun lasts longer by the copy that the loop waits for, and the
steps beside which the checkpoint is written share the processor with it. Both are counted: of the
time from the end of such a step to the end of the writing, what exceeds as many median steps.
The last line is JSON; --keep writes it to bench/results/saving.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import keeping
from penwright.cli import ENVIRONMENT

os.environ.update(ENVIRONMENT | os.environ)


import penwright
from penwright.train import checkpoint, loop


class Clock:
    """When each step ended, how long the loop waited for each save, when each was on disk."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self.waits: list[float] = []
        self.saves: list[tuple[int, float]] = []
        step, save, write = loop.Trainer._step, loop.Trainer.save, checkpoint.Saver._write

        def timed_step(trainer: loop.Trainer, *arguments: Any) -> dict[str, Any]:
            record = step(trainer, *arguments)
            self.ends.append(time.perf_counter())
            return record

        def timed_save(trainer: loop.Trainer) -> None:
            begin = time.perf_counter()
            save(trainer)
            self.waits.append(time.perf_counter() - begin)

        def timed_write(saver: checkpoint.Saver, state: Any, *arguments: Any) -> None:
            write(saver, state, *arguments)
            self.saves.append((state.step, time.perf_counter()))

        loop.Trainer._step = timed_step  # type: ignore[method-assign]
        loop.Trainer.save = timed_save  # type: ignore[method-assign]
        checkpoint.Saver._write = timed_write  # type: ignore[method-assign]

    def result(self) -> dict[str, float]:
        """Shares of the whole time, and seconds."""
        took = [after - before for before, after in zip(self.ends, self.ends[1:], strict=False)]
        median = statistics.median(took)
        extra = 0.0
        for step, written in self.saves:
            beside = [
                seconds
                for seconds, end in zip(took[step - 1 :], self.ends[step - 1 :], strict=False)
                if end <= written
            ]
            extra += sum(beside) - median * len(beside)
        return {
            "step_s": median,
            "longest_wait_s": max(self.waits[:-1]),
            "longest_wait_in_steps": max(self.waits[:-1]) / median,
            "checkpoints": len(self.saves),
            "seconds": self.ends[-1] - self.ends[0],
            "share": extra / (self.ends[-1] - self.ends[0]),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="base")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--max-length", type=int, default=256)
    keeping.add_options(parser)
    options = parser.parse_args()
    head = keeping.describe(
        f"{options.model}, {options.batch_size} x {options.max_length} tokens, "
        f"a checkpoint every {options.save_every} steps"
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PENWRIGHT_CACHE"] = str(Path(folder, "cache"))
        text = Path(penwright.__file__).parent / "assets" / "samples" / "screenplay.txt"
        penwright.finetune(
            text,
            model=options.model,
            output_dir=Path(folder, "run"),
            steps=options.steps,
            batch_size=options.batch_size,
            max_length=options.max_length,
            save_every=str(options.save_every),
            evaluate_every=0,
            sample_every=0,
            patience=0,
        )
    result = {
        **head,
        **clock.result(),
    }
    if options.keep:
        keeping.keep("saving", result)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
