"""Fine-tune: data and a model in, a run folder out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from penwright import report
from penwright.config import FinetuneConfig, build
from penwright.errors import PenwrightError
from penwright.runs import RECIPE, Run
from penwright.sample import Sample
from penwright.score import Score
from penwright.train import Interrupted, Observer, Silent, Trainer
from penwright.verbs import assemble, observers
from penwright.verbs.writer import Writer, load
from penwright.wording import duration

_TRAINING_OVER_SCORING = 3.0  # how much longer a token takes to train on than to score


@dataclass(frozen=True)
class FinishedRun:
    """A run that came to its end. Perplexities are those of the full held-out part, if any."""

    folder: Path
    perplexity_before: float | None
    perplexity_after: float | None
    best_step: int
    steps: int
    seconds: float

    @property
    def report(self) -> Path:
        """The run's HTML report."""
        return self.folder / "report.html"

    @cached_property
    def writer(self) -> Writer:
        """The run's best model, loaded when it is first asked for."""
        return load(self.folder)

    def generate(
        self, prompt: str | Sequence[str] = "", n: int = 1, **options: Any
    ) -> list[Sample]:
        """Write with the run's best model; see `Writer.generate`."""
        return self.writer.generate(prompt, n, **options)


def finetune(
    *data: str | Path,
    observer: Observer | None = None,
    on_evaluate: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> FinishedRun:
    """Teach a model to write like the text in `data`: files, folders or globs.

    `options` are those of `penwright finetune` with underscores (model, name, steps, ...).
    `on_evaluate` is called with each measurement on held-out text, a dict with its step, loss,
    perplexity, and whether it is the best so far; an `observer` is told of all else as well.
    Raises a PenwrightError that says what to do, and Interrupted, after saving, when stopped.
    """
    given = [*(repr(str(path)) for path in data), *(f"{k}={v!r}" for k, v in options.items())]
    told = observer or Silent()
    if on_evaluate:
        told = observers.Several([told, observers.OnEvaluate(on_evaluate)])
    return run_finetune(data, options, told, f"penwright.finetune({', '.join(given)})")


def run_finetune(
    data: Sequence[str | Path], options: Mapping[str, Any], observer: Observer, command: str
) -> FinishedRun:
    """Start or resume the run that the user's `options` ask for, and bring it to its end."""
    config: FinetuneConfig = build(FinetuneConfig, options)
    observers.check(config.log)
    trainer = (
        assemble.resume(data, options, observer)
        if config.resume
        else assemble.start(data, config, observer, command)
    )
    run = trainer.run
    (run.folder / RECIPE).unlink(missing_ok=True)  # figures of the weights that it had before
    loggers = observers.Loggers()
    try:
        loggers = observers.open_loggers(run, trainer.state.step, observer.on_message)
        observer = trainer.observer = observers.Several([observer, loggers])
        observer.on_start(run.info)
        if trainer.state.step == 0:
            _measure_before(trainer)
        trainer.train()
        _measure_after(trainer)
    except Interrupted:
        run.update(status="interrupted")
        report.write(run.folder)
        raise
    except PenwrightError as error:
        run.update(status="failed", error={"message": error.message, "fix": error.fix})
        report.write(run.folder)
        raise
    finally:
        loggers.close()
        run.close()
    report.write(run.folder)
    return finished(run)


def finished(run: Run) -> FinishedRun:
    """The outcome of a finished run, from its folder."""
    result = run.info["result"]
    names = [field.name for field in dataclasses.fields(FinishedRun) if field.name != "folder"]
    return FinishedRun(run.folder, **{name: result[name] for name in names})


def _measure_before(trainer: Trainer) -> None:
    """Score and sample the model as it came, and say how long the run will take."""
    if len(trainer.held_out):
        start = time.perf_counter()
        score = trainer.score_all(0)
        seconds_a_token = (time.perf_counter() - start) / trainer.held_out.n_tokens
        plan = trainer.plan
        seconds = plan.steps * plan.tokens_a_step * seconds_a_token * _TRAINING_OVER_SCORING
        trainer.run.update(
            result={"perplexity_before": score.perplexity, "seconds_expected": seconds}
        )
        trainer.observer.on_message(f"About {duration(seconds)} to go.")
    if trainer.plan.sample_every:
        trainer.sample()


def _measure_after(trainer: Trainer) -> None:
    """Score the best weights on the full held-out part, and close the run's book."""
    run, state = trainer.run, trainer.state
    score: Score | None = None
    if len(trainer.held_out):
        best = run.pointed("best")
        if best is not None and state.best_step != state.step:
            trainer.restore(best, optimizer=False)
        score = trainer.score_all(state.best_step)
    before = run.info.get("result", {})
    run.update(
        status="finished",
        result=before
        | {
            "perplexity_after": score.perplexity if score else None,
            "perplexity_before": before.get("perplexity_before"),
            "bits_per_byte": score.bits_per_byte if score else None,
            "best_step": state.best_step if score else state.step,
            "steps": state.step,
            "stopped": "steps" if state.step >= trainer.plan.steps else "patience",
            "seconds": state.seconds,
        },
    )
