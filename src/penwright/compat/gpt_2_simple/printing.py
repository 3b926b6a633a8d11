"""Print a run as gpt-2-simple does, and write its samples to samples/run1."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from penwright.files import write_text
from penwright.runs import Run

_FADE = 0.99  # how much of the average each line keeps


class Printer:
    """Listens to a run. `before` is how many steps were taken before the run began to count."""

    def __init__(self, folder: Path, samples: Path, print_every: int, save_every: int) -> None:
        self.before = 0
        self._folder = folder
        self._samples = samples
        self._print_every = print_every
        self._save_every = save_every
        self._started = time.monotonic()
        self._sum = self._weight = 0.0
        self._saved: Path | None = None

    def on_start(self, info: dict[str, Any]) -> None:
        Run(self._folder).update(steps_before=self.before)
        print(f"dataset has {info['data']['tokens']} tokens")
        print("Training...", flush=True)
        self._started = time.monotonic()

    def on_step(self, record: dict[str, Any]) -> None:
        step = record["step"] + self.before
        if step % self._print_every == 0 and record["loss"] is not None:
            self._sum = self._sum * _FADE + record["loss"]
            self._weight = self._weight * _FADE + 1
            seconds = time.monotonic() - self._started
            average = self._sum / self._weight
            print(
                f"[{step} | {seconds:.2f}] loss={record['loss']:.2f} avg={average:.2f}", flush=True
            )
        if self._save_every and record["step"] % self._save_every == 0:
            self.say_saved(Run(self._folder).checkpoint(record["step"]))

    def say_saved(self, checkpoint: Path | None) -> None:
        """Name a checkpoint, once."""
        if checkpoint != self._saved:
            print(f"Saving {checkpoint}", flush=True)
            self._saved = checkpoint

    def on_evaluate(self, record: dict[str, Any]) -> None:
        """Nothing is held out, so nothing is measured."""

    def on_samples(self, step: int, samples: list[dict[str, Any]]) -> None:
        if step == 0:
            return
        texts = [
            f"======== SAMPLE {number} ========\n{sample['prompt']}{sample['text']}\n"
            for number, sample in enumerate(samples, 1)
        ]
        print("\n".join(texts))
        self._samples.mkdir(parents=True, exist_ok=True)
        path = self._samples / f"samples-{step + self.before + 1}"
        write_text(path, "\n".join(texts))

    def on_message(self, text: str) -> None:
        print(text, file=sys.stderr)
