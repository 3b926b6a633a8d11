"""Everything before a run's first step: its model, data, plan and folder, new or resumed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from penwright import native, sample, weights
from penwright.compute import calibration_file, choose_device
from penwright.config import FinetuneConfig, SamplingConfig, build, flat_values
from penwright.dataset.tasks import sample_prompts
from penwright.dataset.training import TrainingData, open_training_data
from penwright.dataset.training_text import TrainingText, training_text
from penwright.errors import UsageError
from penwright.formats.catalog import find_inputs
from penwright.model import GPT2
from penwright.runs import RUNS, Run, new_name
from penwright.train import Observer, Trainer, TrainPlan, freeze, make_plan, parallel, ranks
from penwright.train.calibrate import peak_flops
from penwright.train.replica import Replica
from penwright.verbs import provenance, run_info
from penwright.weights.opening import with_tokens
from penwright.wording import Warn


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
