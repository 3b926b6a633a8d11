"""Fine-tune a model: options -> model -> data set -> plan -> method -> loop.

`run_finetune` is the whole path, `start` and `resume` the steps before the loop of train/loop.py.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from penwright import native, report, sample, weights
from penwright.compute import calibration_file, choose_device
from penwright.config import MAY_CHANGE, FinetuneConfig, SamplingConfig, build, flat_values
from penwright.dataset.tasks import sample_prompts
from penwright.dataset.training import TrainingData, open_training_data
from penwright.dataset.training_text import TrainingText, open_training_text, training_text
from penwright.errors import PenwrightError, UsageError
from penwright.formats.catalog import find_inputs
from penwright.model import GPT2
from penwright.runs import COPIED, QUALITY, RECIPE, RUNS, Run, new_name
from penwright.sample import Sample
from penwright.score import Score
from penwright.train import (
    Interrupted,
    Observer,
    Trainer,
    TrainPlan,
    freeze,
    make_plan,
    parallel,
    ranks,
)
from penwright.train.calibrate import peak_flops
from penwright.train.replica import Replica
from penwright.verbs import observers, provenance, run_info
from penwright.verbs.copied import Copied, Passage, find_copies, record_copies
from penwright.verbs.differences import compare_with_previous, record_losses
from penwright.verbs.generate import Writer, load
from penwright.verbs.notebook import frame
from penwright.verbs.writing_quality import record_quality
from penwright.weights.opening import with_tokens
from penwright.wording import Warn


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


class Started(NamedTuple):
    """The loop of a run, ready for its next step, and the text that it trains on."""

    trainer: Trainer
    text: TrainingText


def start(
    paths: Sequence[str | Path],
    config: FinetuneConfig,
    observer: Observer,
    command: str,
    world: parallel.World | None = None,
) -> Started:
    """Start a new run: options -> model -> data set -> plan -> run folder -> trainer."""
    if not paths:
        raise UsageError("There is no data to learn from.", fix="Name a file or a folder.")
    tell = observer.on_message
    device = choose_device(config.compute.device)
    if config.name and Path(config.name).name != config.name:
        raise UsageError(
            f"A run cannot be named '{config.name}'.",
            fix=f"Its folder is given as --output-dir {shlex.quote(config.name)}.",
        )
    find_inputs(paths)  # a name that is wrong is refused before a model is downloaded
    opened = _open_model(weights.choose_model(config.model, tell), config, tell)
    dataset = open_training_data(paths, config, opened.tokenizer, tell)
    for note in dataset.notes():
        tell(note)
    if device.type == "cpu":
        native.load(tell)  # which may compile it
    plan = make_plan(
        config,
        opened.model,
        dataset.training,
        dataset.held_out,
        device,
        calibration_file(),
        world.size if world else 1,
    )
    for note in _plan_notes(plan, config, opened.model, dataset):
        tell(note)
    folder = config.output_dir or RUNS / (config.name or new_name(RUNS, run_info.name_for(paths)))
    run = Run.create(folder, overwrite=config.overwrite)
    about = run_info.describe_run(opened, dataset, paths, config, plan, device)
    run.update(command=command, **about)
    trainer = _make_trainer(opened, dataset, config, run, plan, device, observer, world)
    return Started(trainer, training_text(run, opened.tokenizer, dataset))


def resume(
    paths: Sequence[str | Path],
    options: Mapping[str, Any],
    observer: Observer,
    world: parallel.World | None = None,
) -> Started:
    """Open an old run at its newest sound checkpoint, or at its beginning.

    `options` are those that the user gave, and no others. Raises RunError for one that would make
    it another run, and for a model or data that is not what the run began with.
    """
    asked: FinetuneConfig = build(FinetuneConfig, options)
    run = Run.open(run_info.folder_to_resume(asked))
    run.claim()
    try:
        info, tell = run.info, observer.on_message
        stored = build(FinetuneConfig, info["config"])
        changes = run_info.find_changes(options, stored, run)
        config: FinetuneConfig = build(FinetuneConfig, flat_values(stored) | changes)
        device = choose_device(config.compute.device)
        checkpoint = run_info.choose_checkpoint(run, asked.checkpoint, observer)
        # The factors of LoRA stand beside the model that the run began with, not the merged one.
        kept = checkpoint if info["plan"].get("method") != "lora" else None
        opened = _open_model(kept or info["model"]["name"], config)
        run_info.check_model(run, opened, is_checkpoint=kept is not None)
        dataset = open_training_data(
            paths or info["data"]["paths"],
            config,
            opened.tokenizer,
            tell,
            info["data"]["held_out"]["share"],
        )
        run_info.check_data(run, dataset.data)
        plan = TrainPlan.from_json(info["plan"])
        plan = run_info.change_plan(plan, changes, world.size if world else 1)
        run.update(status="running", plan=plan.as_json(), config=flat_values(config))
        trainer = _make_trainer(opened, dataset, config, run, plan, device, observer, world)
        if checkpoint:
            trainer.go_back_to(checkpoint)
        else:
            run.forget_after(-1)
        tell(f"Continuing {run.name} after step {trainer.state.step:,} of {plan.steps:,}.")
        return Started(trainer, training_text(run, opened.tokenizer, dataset))
    except BaseException:
        run.close()
        raise


def _open_model(
    name: str | Path, config: FinetuneConfig, tell: Warn = lambda _: None
) -> weights.OpenedModel:
    opened = with_tokens(weights.open(name, dtype=torch.float32), config.add_token)
    for note in opened.notes:
        tell(note)
    return opened


def _plan_notes(
    plan: TrainPlan, config: FinetuneConfig, model: GPT2, dataset: TrainingData
) -> list[str]:
    """Return a sentence about the method, and one about a text shorter than a window, if needed."""
    notes = [plan.why] if plan.why else []
    window = config.max_length or model.config.n_positions
    if dataset.training.n_tokens <= min(window, plan.max_length + 1):
        notes.append(
            f"The text is shorter than one window of {window:,} tokens, so windows of "
            f"{plan.max_length:,} are taken. A model learns little from so little text."
        )
    return notes


def _make_trainer(
    opened: weights.OpenedModel,
    dataset: TrainingData,
    config: FinetuneConfig,
    run: Run,
    plan: TrainPlan,
    device: torch.device,
    observer: Observer,
    world: parallel.World | None,
) -> Trainer:
    """Return the loop with everything that it calls to save, load and sample the model."""
    model, tokenizer = opened.model, opened.tokenizer
    model.set_dropout(config.dropout)
    layers_only = config.train_only == "layers"
    freeze(model, layers_only=layers_only, first_layers=config.freeze_layers)
    to_continue = dataset.held_out if len(dataset.held_out) else dataset.training
    prompts = config.sample_prompts or sample_prompts(to_continue, tokenizer)
    sampling = SamplingConfig(max_new_tokens=plan.sample_tokens, seed=plan.seed)
    label = provenance.label(run.name, "float32", sampling)
    peak = peak_flops(plan.precision, device, calibration_file(), plan.kernels)
    if peak:
        run.update(machine=run.info["machine"] | {"peak_tflops": float(f"{peak / 1e12:.3g}")})

    def save_model(folder: Path, model: GPT2) -> None:
        form = run_info.describe_form(opened, dataset.data) | {"run": run.name}
        weights.save(folder, model, tokenizer, card=run_info.model_card(run), penwright=form)

    def load_model(folder: Path | None) -> GPT2:
        return _open_model(folder or run.info["model"]["name"], config).model

    def write_samples(model: GPT2) -> list[dict[str, Any]]:
        texts = sample.generate(model, tokenizer, prompts, 1, sampling)
        names = ("prompt", "text", "finish_reason")
        return [{name: getattr(text, name) for name in names} | label for text in texts]

    return Trainer(
        model=model,
        plan=plan,
        training=dataset.training,
        held_out=dataset.held_out,
        run=run,
        device=device,
        observer=observer,
        save_model=save_model,
        load_model=load_model,
        write_samples=write_samples,
        make_replica=partial(ranks.Leader, world) if world else Replica,
        peak_flops=peak,
    )


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
