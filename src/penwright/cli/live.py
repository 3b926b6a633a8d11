"""Show a run in a terminal: a live view, or plain lines if the output is not a terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from penwright.formats import FileReading
from penwright.wording import count, data_size, duration

if TYPE_CHECKING:
    from penwright.verbs.finetune import FinishedRun

MACHINE = {"mfu_percent": "MFU", "cpu_percent": "CPU", "gpu_percent": "GPU"}
"""Figures of the machine and their labels; MFU is the share of its peak arithmetic in use."""
_SECONDS_BETWEEN_LINES = 10.0


def make_view() -> PlainView:
    """Return a live view if standard error is a terminal, else a plain one; only rank 0 prints."""
    quiet = os.environ.get("RANK", "0") != "0"
    console = Console(stderr=True, highlight=False, quiet=quiet)
    return LiveView(console) if console.is_terminal and not quiet else PlainView(console)


@contextmanager
def stopping(view: PlainView, how: str = "") -> Iterator[None]:
    """Print how to continue a run that is interrupted in this block, and raise KeyboardInterrupt.

    `how` replaces the run's own command.
    """
    from penwright.train import Interrupted

    try:
        yield
    except Interrupted as stop:
        view.close()
        print(f"Stopped after step {stop.step:,}; everything is saved.", file=sys.stderr)
        print(f"To continue: {how or stop.how_to_resume}", file=sys.stderr)
        raise KeyboardInterrupt from None


class PlainView:
    """Prints a line of progress every ten seconds."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.steps = 0
        self.step: dict[str, Any] = {}
        self.evaluation: dict[str, Any] = {}
        self.machine: dict[str, float] = {}
        self._speeds: list[float] = []
        self._started = time.monotonic()
        self._first_step: int | None = None
        self._last_line = 0.0

    def __enter__(self) -> PlainView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Restore the terminal."""

    def on_start(self, info: dict[str, Any]) -> None:
        plan, data, model = info["plan"], info["data"], info["model"]
        self.steps = plan["steps"]
        # A sequence of runs has one view.
        self.step, self.evaluation, self.machine = {}, {}, {}
        self._speeds, self._first_step = [], None
        if data["reading"]:
            self.say(str(FileReading.from_json(data["reading"])))
        held_out = data["held_out"]["documents"]
        measured = f"{count(held_out, 'document')} held out" if held_out else "nothing held out"
        self.say(
            f"Teaching {model['name']} ({model['n_parameters'] / 1e6:,.1f}M parameters): "
            f"{count(data['training']['documents'], 'document')}, "
            f"{count(data['training']['tokens'], 'token')}; "
            f"{measured}."
        )
        self.say(
            f"{count(plan['steps'], 'step')} of {plan['batch_size']} x {plan['max_length']} tokens "
            f"({plan['shape']}), {_epochs(plan)}, "
            f"rate {plan['learning_rate']:g} ({plan['schedule']}), {plan['precision']} "
            f"on {info['machine']['device']}."
        )

    def on_step(self, record: dict[str, Any]) -> None:
        self.step = record
        self._speeds.append(record["tokens_per_s"])
        if self._first_step is None:
            self._first_step, self._started = record["step"], time.monotonic()
        self.draw()

    def on_evaluate(self, record: dict[str, Any]) -> None:
        self.evaluation = record
        if record["step"] == 0:
            self.say(f"Held-out perplexity before: {record['perplexity']:,.2f}")
        self.draw()

    def on_samples(self, step: int, samples: list[dict[str, Any]]) -> None:
        """Do nothing: samples are in the run's folder, and only the live view shows them."""

    def on_message(self, text: str) -> None:
        self.say(text)

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, markup=False, soft_wrap=True)

    def draw(self) -> None:
        """Print a line of progress, at most every ten seconds."""
        if time.monotonic() - self._last_line < _SECONDS_BETWEEN_LINES or not self.step:
            return
        self._last_line = time.monotonic()
        self.say("  ".join(f"{name} {value}" for name, value in self.figures()))

    def figures(self) -> list[tuple[str, str]]:
        """Return the figures to show with their names."""
        step = self.step
        loss = "left out" if step["loss"] is None else f"{step['loss']:.3f}"
        found = [("step", f"{step['step']:,}/{self.steps:,}"), ("loss", loss)]
        if self.evaluation:
            part = "" if self.evaluation["full"] else " (on a part)"
            found.append(("held-out perplexity", f"{self.evaluation['perplexity']:.2f}{part}"))
        found.append(("tokens/s", f"{step['tokens_per_s']:,.0f}"))
        if left := self.time_left():
            found.append(("left", left))
        found.append(("memory", data_size(step["memory_mb"] * 1e6)))
        self.machine |= {name: step[name] for name in MACHINE if name in step}
        found += [(MACHINE[name], f"{value:.0f} %") for name, value in self.machine.items()]
        return found

    def cost(self) -> str:
        """Return the median speed and the peak memory as text."""
        speed = median(self._speeds)
        found = [f"{speed:,.0f} tokens/s"]
        if "mfu_percent" in self.step:
            share = min(100, self.step["mfu_percent"] * speed / self.step["tokens_per_s"])
            found.append(f"{share:.0f} % of the machine's arithmetic (MFU)")
        return ", ".join([*found, f"{data_size(self.step['memory_mb'] * 1e6)} of memory at most"])

    def time_left(self) -> str:
        """Return the expected duration of the remaining steps as text; empty at the first step."""
        done = self.step["step"] - (self._first_step or 0)
        if not done:
            return ""
        pace = (time.monotonic() - self._started) / done
        return duration(pace * (self.steps - self.step["step"]))

    def show_result(self, run: FinishedRun) -> None:
        """Print the outcome and the command to type next."""
        self.close()
        if run.steps < self.steps:
            self.say(
                f"Stopped after step {run.steps:,} of {self.steps:,}: it no longer improved "
                "(--patience 0 goes on)."
            )
        if run.perplexity_before and run.perplexity_after:
            self.say(
                f"Held-out perplexity: {run.perplexity_before:,.2f} before, "
                f"{run.perplexity_after:,.2f} after (step {run.best_step:,} of {run.steps:,}), "
                "on all of the held-out text."
            )
        if self.step:
            self.say(f"{self.cost()}.")
        self.say(f"Took {duration(run.seconds)}. Report: {run.report}")
        name = run.folder.name if run.folder.parent.name == "runs" else str(run.folder)
        self.say(f"Now try: penwright write {name}")


class LiveView(PlainView):
    """Redraws a block in place: progress, figures and the newest sample."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.sample: dict[str, Any] = {}
        self.live = Live(console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> LiveView:
        self.live.start()
        return self

    def close(self) -> None:
        self.live.stop()

    def on_samples(self, step: int, samples: list[dict[str, Any]]) -> None:
        self.sample = samples[step // max(1, self.steps // 5) % len(samples)] if samples else {}
        self.draw()

    def draw(self) -> None:
        if self.step:
            self.live.update(self.render())

    def render(self) -> RenderableType:
        """Return the block."""
        table = Table.grid(padding=(0, 2))
        for name, value in self.figures():
            table.add_row(Text(name, style="dim"), Text(value, style="bold"))
        bar = ProgressBar(total=self.steps, completed=self.step["step"], width=40)
        parts: list[RenderableType] = [bar, table]
        if self.sample:
            words = Text(self.sample["prompt"], style="dim")
            words.append(self.sample["text"], style="italic")
            words.truncate(self.console.width * 6, overflow="ellipsis")
            parts.append(words)
        return Group(*parts)


def _epochs(plan: dict[str, Any]) -> str:
    share = f"{plan['steps'] / plan['steps_per_epoch']:.3g}"
    return f"{share} {'epoch' if share == '1' else 'epochs'}"
