"""Fine-tune a model: start or resume a run, train, and measure before and after."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from penwright import report
from penwright.compute import choose_device
from penwright.config import MAY_CHANGE, FinetuneConfig, build
from penwright.dataset.training_text import TrainingText, open_training_text
from penwright.errors import PenwrightError, UsageError
from penwright.runs import COPIED, QUALITY, RECIPE, RUNS, Run
from penwright.sample import Sample
from penwright.score import Score
from penwright.train import (
    Interrupted,
    Observer,
    Trainer,
    parallel,
    ranks,
)
from penwright.verbs import observers, run_info
from penwright.verbs.copied import Copied, Passage, find_copies, record_copies
from penwright.verbs.differences import compare_with_previous, record_losses
from penwright.verbs.generate import Writer, load
from penwright.verbs.notebook import frame
from penwright.verbs.starting import Started, resume, start
from penwright.verbs.writing_quality import record_quality


@dataclass(frozen=True)
class FinishedRun:
    """A run that came to its end. Perplexities are those of the full held-out split, if any."""

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

    def _repr_html_(self) -> str | None:
        """Return the report, which a notebook shows in place."""
        if not self.report.exists():
            return None
        return frame(self.report.read_text(encoding="utf-8"), 720)

    @cached_property
    def writer(self) -> Writer:
        """The run's best model, loaded when it is first asked for."""
        return load(self.folder)

    def generate(
        self, prompt: str | Sequence[str] = "", n: int = 1, **options: Any
    ) -> list[Sample]:
        """Write with the run's best model; see `Writer.generate`."""
        return self.writer.generate(prompt, n, **options)

    def copied(self, texts: Sequence[str | Sample], min_tokens: int = 20) -> Copied:
        """Find the spans of `texts` that stand in the run's training text; see `copied`."""
        passages = [
            Passage("", text) if isinstance(text, str) else Passage(text.prompt, text.text)
            for text in texts
        ]
        return find_copies(open_training_text(self.folder), passages, min_tokens)


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
    told = observer or observers.Logged()
    if on_evaluate:
        told = observers.Several([told, observers.OnEvaluate(on_evaluate)])
    return run_finetune(data, options, told, f"penwright.finetune({', '.join(given)})")


def run_finetune(
    data: Sequence[str | Path], options: Mapping[str, Any], observer: Observer, command: str
) -> FinishedRun:
    """Start or resume the run that the user's `options` ask for, and bring it to its end."""
    config: FinetuneConfig = build(FinetuneConfig, options)
    if config.steps is not None and config.epochs is not None:
        raise UsageError("--steps and --epochs contradict each other.", fix="Give one of them.")
    observers.check(config.log)
    if parallel.count_ranks(config.devices) == 1:
        trained = _start_or_resume(data, options, observer, command)
        return _train(*trained, observer)
    world = parallel.join(choose_device(config.compute.device))
    if world.rank:
        ended: FinishedRun = ranks.follow(world)
        return ended

    def lead() -> FinishedRun:
        return _train(*_start_or_resume(data, options, observer, command, world), observer)

    return ranks.lead(world, lead)


def _start_or_resume(
    data: Sequence[str | Path],
    options: Mapping[str, Any],
    observer: Observer,
    command: str,
    world: parallel.World | None = None,
) -> Started:
    config: FinetuneConfig = build(FinetuneConfig, options)
    runs_folder = config.output_dir.parent if config.output_dir else RUNS
    begun = run_info.find_begun(runs_folder, command) if world and world.restarts else None
    if begun is not None:  # torchrun started this very command again
        asked = {name: options[name] for name in options if name in MAY_CHANGE}
        return resume((), asked | {"output_dir": begun}, observer, world)
    if config.resume:
        return resume(data, options, observer, world)
    return start(data, config, observer, command, world)


def _train(trainer: Trainer, text: TrainingText, observer: Observer) -> FinishedRun:
    """Bring a run to its end, with its measurements and its report."""
    run = trainer.run
    for name in (RECIPE, COPIED, QUALITY):  # of the weights that it had before
        (run.folder / name).unlink(missing_ok=True)
    loggers = observers.Loggers()
    try:
        loggers = observers.open_loggers(run, trainer.state.step, observer.on_message)
        observer = trainer.observer = observers.Several([observer, loggers])
        observer.on_start(run.info)
        if trainer.state.step == 0:
            _measure_before(trainer)
        trainer.train()
        record_copies(text, observer.on_message)
        _measure_after(trainer)
        if trainer.plan.sample_every and len(text.held_out):
            seconds = trainer.state.seconds
            record_quality(text, trainer.plan.sample_tokens, seconds, observer.on_message)
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
    """Return the outcome of a finished run, from its folder."""
    result = run.info["result"]
    names = [field.name for field in dataclasses.fields(FinishedRun) if field.name != "folder"]
    return FinishedRun(run.folder, **{name: result[name] for name in names})


def _measure_before(trainer: Trainer) -> None:
    """Score and sample the model as it came."""
    if len(trainer.held_out):
        score = trainer.score_all(0).total
        trainer.run.update(result={"perplexity_before": score.perplexity})
    if trainer.plan.sample_every:
        trainer.sample()


def _measure_after(trainer: Trainer) -> None:
    """Score the best weights on the full held-out split, and record the result of the run."""
    run, state = trainer.run, trainer.state
    score: Score | None = None
    step = state.step
    if len(trainer.held_out):
        best = run.pointed("best")
        if best is not None:
            step = state.best_step
            if step != state.step:
                trainer.restore(best, optimizer=False)
        losses = trainer.score_all(step)
        score = losses.total
        record_losses(run, trainer.held_out, losses)
    before = run.info.get("result", {})
    run.update(
        status="finished",
        result=before
        | {
            "perplexity_after": score.perplexity if score else None,
            "perplexity_before": before.get("perplexity_before"),
            "bits_per_byte": score.bits_per_byte if score else None,
            "best_step": step,
            "steps": state.step,
            "stopped": "steps" if state.step >= trainer.plan.steps else "patience",
            "seconds": state.seconds,
        },
        previous=compare_with_previous(run),
    )
