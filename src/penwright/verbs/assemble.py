"""Put a run together: a new one from its options, an old one from its folder."""

from __future__ import annotations

import dataclasses
import math
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import penwright
from penwright import files, runs, sample, weights
from penwright.compute import calibration_file, choose_device
from penwright.config import (
    ABOUT_THE_CALL,
    MAY_CHANGE,
    FinetuneConfig,
    SamplingConfig,
    build,
    flat_values,
    given_values,
)
from penwright.dataset.schema import find_template
from penwright.dataset.store_cache import Data
from penwright.dataset.training import open_training_data
from penwright.errors import RunError, UsageError
from penwright.formats.inputs import find_inputs
from penwright.model import GPT2
from penwright.runs import RUNS, Run, list_runs, new_name, now
from penwright.tokens import Part, Tokenizer
from penwright.train import (
    Observer,
    Trainer,
    TrainPlan,
    freeze,
    make_plan,
    newest_sound,
)
from penwright.train.calibrate import peak_flops
from penwright.train.plan import parse_every
from penwright.verbs import record
from penwright.weights.opening import with_tokens

_SAMPLES = 3
_LOOK_AHEAD = 96


def start(
    paths: Sequence[str | Path], config: FinetuneConfig, observer: Observer, command: str
) -> Trainer:
    """A new run, its folder made and its plan written down."""
    if not paths:
        raise UsageError("There is no data to learn from.", fix="Name a file or a folder.")
    find_inputs(paths)  # a name that is wrong is refused before a model is downloaded
    name = str(weights.choose_model(config.model, observer.on_message))
    opened = _open(name, config.add_token)
    for note in opened.notes:
        observer.on_message(note)
    device = choose_device(config.compute.device)
    dataset = open_training_data(paths, config, opened.tokenizer, observer.on_message)
    for note in dataset.notes():
        observer.on_message(note)
    training, held_out = dataset.training, dataset.held_out
    plan = make_plan(config, opened.model, training, held_out, device, calibration_file())
    if plan.why:
        observer.on_message(plan.why)
    window = config.max_length or opened.model.config.n_positions
    if training.n_tokens <= min(window, plan.max_length + 1):
        observer.on_message(
            f"The text is shorter than one window of {window:,} tokens, so windows of "
            f"{plan.max_length:,} are taken. A model learns little from so little text."
        )
    folder = config.output_dir or RUNS / (config.name or new_name(RUNS, record.name_for(paths)))
    run = Run.create(folder, overwrite=config.overwrite)
    run.update(
        version=penwright.__version__,
        command=command,
        created=now(),
        status="running",
        model={
            "name": opened.name,
            "n_parameters": opened.model.n_parameters,
            "config": opened.model.config.to_dict(),
            "tokenizer": opened.tokenizer.hash,
            "digest": weights.digest(opened.model),
        },
        config=flat_values(config),
        data=record.describe_data(dataset, paths),
        machine=record.describe_machine(device),
        versions={"python": platform.python_version(), "torch": torch.__version__},
        plan=asdict(plan),
    )
    return _Assembly(opened, dataset.data, training, held_out, config, run).trainer(
        plan, device, observer
    )


def resume(paths: Sequence[str | Path], options: Mapping[str, Any], observer: Observer) -> Trainer:
    """Open an old run at its newest sound checkpoint, or at its beginning.

    `options` are those that the user gave, and no others. Raises RunError for one that would make
    it another run, and for a model or data that is not what the run began with.
    """
    run = Run.open(_folder_to_resume(build(FinetuneConfig, options)))
    run.claim()
    try:
        return _continue(run, paths, options, observer)
    except BaseException:
        run.close()
        raise


def as_it_began(options: Mapping[str, Any]) -> tuple[list[str], FinetuneConfig]:
    """Return the data and the options of the run that `options` resume, with their changes."""
    run = Run.open(_folder_to_resume(build(FinetuneConfig, options)))
    stored = build(FinetuneConfig, _with_tuples(run.info["config"]))
    changed = flat_values(stored) | _changes(options, stored, run)
    changed |= {"output_dir": run.folder, "model": run.info["model"]["name"]}
    return run.info["data"]["paths"], build(FinetuneConfig, changed)


def _continue(
    run: Run, paths: Sequence[str | Path], options: Mapping[str, Any], observer: Observer
) -> Trainer:
    info = run.info
    began_with = info["model"]["name"]
    stored = build(FinetuneConfig, _with_tuples(info["config"]))
    asked: FinetuneConfig = build(FinetuneConfig, options)
    if asked.model not in (None, stored.model, began_with):
        raise RunError(
            f"--model cannot change while {run.name} is resumed: it began with {began_with}.",
            fix="Leave it out, or start a new run with another --name.",
        )
    changes = _changes(options, stored, run)
    config = build(FinetuneConfig, flat_values(stored) | changes)
    checkpoint = _checkpoint_to_resume(run, asked.checkpoint, observer)
    # The factors of LoRA stand beside the model that the run began with, not the merged one.
    kept = checkpoint if info["plan"].get("method") != "lora" else None
    opened = _open(kept or began_with, config.add_token)
    if not kept and weights.digest(opened.model) != info["model"].get("digest"):
        raise RunError(
            f"{began_with} has other weights than when {run.name} began with it.",
            fix="Put the old ones back, or start anew with --overwrite.",
        )
    if opened.tokenizer.hash != info["model"]["tokenizer"]:
        raise RunError(f"{opened.path} has not the tokenizer that {run.name} began with.")
    paths = paths or info["data"]["paths"]
    share = info["data"]["held_out"]["share"]
    dataset = open_training_data(paths, config, opened.tokenizer, observer.on_message, share)
    if dataset.data.fingerprint != info["data"]["fingerprint"]:
        raise RunError(
            f"The data is not what {run.name} began with.",
            fix=f"Put the old files back, or start a new run from it with --model {run.name}.",
        )
    training, held_out = dataset.training, dataset.held_out
    plan = _changed_plan(TrainPlan(**_with_tuples(info["plan"])), changes)
    run.update(status="running", plan=asdict(plan), config=flat_values(config))
    trainer = _Assembly(opened, dataset.data, training, held_out, config, run).trainer(
        plan, choose_device(config.compute.device), observer
    )
    if checkpoint:
        trainer.go_back_to(checkpoint)
    else:
        run.forget_after(-1)
    step = trainer.state.step
    observer.on_message(f"Continuing {run.name} after step {step:,} of {plan.steps:,}.")
    return trainer


def _open(name: str | Path, tokens: Sequence[str]) -> weights.OpenedModel:
    return with_tokens(weights.open(name, dtype=torch.float32), tokens)


@dataclasses.dataclass(frozen=True)
class _Assembly:
    """The parts of a run that both a new one and an old one have."""

    opened: weights.OpenedModel
    data: Data
    training: Part
    held_out: Part
    config: FinetuneConfig
    run: Run

    def trainer(self, plan: TrainPlan, device: torch.device, observer: Observer) -> Trainer:
        self.opened.model.set_dropout(self.config.dropout)
        freeze(
            self.opened.model,
            layers_only=self.config.train_only == "layers",
            first_layers=self.config.freeze_layers,
        )
        prompts = self.config.sample_prompts or sample_prompts(
            self.held_out if len(self.held_out) else self.training, self.opened.tokenizer
        )
        sampling = SamplingConfig(max_new_tokens=plan.sample_tokens, seed=plan.seed)
        peak = peak_flops(plan.precision, device, calibration_file())
        if peak:
            machine = self.run.info["machine"] | {"peak_tflops": float(f"{peak / 1e12:.3g}")}
            self.run.update(machine=machine)
        return Trainer(
            model=self.opened.model,
            plan=plan,
            training=self.training,
            held_out=self.held_out,
            run=self.run,
            device=device,
            observer=observer,
            save_model=self._save_model,
            load_model=self._load_model,
            write_samples=lambda: self._write(prompts, sampling),
            peak_flops=peak,
        )

    def _load_model(self, folder: Path | None) -> GPT2:
        return _open(folder or self.run.info["model"]["name"], self.config.add_token).model

    def _save_model(self, folder: Path, model: GPT2) -> None:
        weights.save(
            folder,
            model,
            self.opened.tokenizer,
            card=record.model_card(self.run),
            penwright=self.data.reading.form | self._more_form | {"run": self.run.name},
        )

    @property
    def _more_form(self) -> dict[str, Any]:
        markers = self.opened.format.get("markers", ())
        template = find_template(self.data.reading.choices)
        found: dict[str, Any] = {"markers": list(markers)} if markers else {}
        return found | ({"template": template} if template else {})

    def _write(self, prompts: Sequence[str], sampling: SamplingConfig) -> list[dict[str, Any]]:
        self.opened.model.eval()
        written = sample.generate(self.opened.model, self.opened.tokenizer, prompts, 1, sampling)
        return [
            {"prompt": text.prompt, "text": text.text, "finish_reason": text.finish_reason}
            for text in written
        ]


def sample_prompts(part: Part, tokenizer: Tokenizer) -> list[str]:
    """A few beginnings to write from: what is not learned of documents, or their first words.

    Of one long document without a prompt, lines from several places in it.
    """
    prompts: list[str] = []
    places = part.ranges[: 10 * _SAMPLES].tolist()
    if len(part) == 1 and not _context(part, *places[0]):
        (start_, end), size = places[0], part.n_tokens
        places += [[start_ + size * third // 3, end] for third in (1, 2)]
    for start_, end in places:
        context = _context(part, start_, end)
        ids = part.store.tokens(start_ + 1, min(end, start_ + 1 + (context or _LOOK_AHEAD)))
        text = tokenizer.decode(token for token in ids.tolist() if token != tokenizer.eot_id)
        whole = context or int(part.store.tokens(start_, start_ + 1)[0]) == tokenizer.eot_id
        prompt = text if context else _first_words(text, begins=bool(whole))
        if prompt.strip() and prompt not in prompts:
            prompts.append(prompt)
        if len(prompts) == _SAMPLES:
            break
    return prompts or [""]


def _context(part: Part, start: int, end: int) -> int:
    """How many tokens after its first a document has before the first that is learned."""
    learn = part.store.learn(start + 1, end)
    return int(learn.argmax()) if len(learn) else 0


def _first_words(text: str, *, begins: bool) -> str:
    """Up to half of a text's words, eight at most; from its first new line on within a document."""
    if not begins:
        line = re.search(r"\n(?=[^\n]*\S[^\n]*\n)", text)
        text = text[line.end() :] if line else text.partition(" ")[2]
    most = max(1, min(8, len(text.split()) // 2))
    words = re.match(rf"\s*(?:\S+[ \t]*){{1,{most}}}", text)
    return words[0].rstrip() if words else ""


def _folder_to_resume(config: FinetuneConfig) -> Path:
    if config.output_dir:
        return config.output_dir
    if config.name:
        return RUNS / config.name
    waiting = [run for run in list_runs() if run.status in ("interrupted", "failed")]
    if not waiting:
        raise RunError("There is no interrupted run to resume.", fix="Name one with --name.")
    return waiting[-1].folder


def _checkpoint_to_resume(run: Run, wanted: str | None, observer: Observer) -> Path | None:
    """The checkpoint that was named, or the newest sound one; None before the first."""
    if wanted is None:
        return newest_sound(run, observer.on_message) if run.steps() else None
    folder = run.checkpoints / wanted
    if not (folder / "trainer.json").exists():
        can = [run.checkpoint(step).name for step in run.steps()]
        can = [name for name in can if (run.checkpoints / name / "trainer.json").exists()]
        raise RunError(
            f"{run.name} cannot be continued from '{wanted}'.",
            fix=f"It can from: {', '.join(can)}.",
        )
    if damage := runs.find_damage(folder):
        raise RunError(f"{damage}.", fix="Leave --checkpoint out to continue from a sound one.")
    for step in run.steps():
        if run.checkpoint(step).name > folder.name:
            observer.on_message(f"Leaving {run.checkpoint(step).name}, which comes later, behind.")
            files.remove_folder(run.checkpoint(step))
    run.point("latest", int(folder.name.removeprefix("step-")))
    return folder


def _changes(options: Mapping[str, Any], stored: FinetuneConfig, run: Run) -> dict[str, Any]:
    """Return the given options that differ from those that the run has.

    Raises RunError for one that may not change. Steps take the place of epochs, and epochs of
    steps.
    """
    old = flat_values(stored)
    given = given_values(build(FinetuneConfig, options), options)
    changes = {
        name: value
        for name, value in given.items()
        if name not in ABOUT_THE_CALL and value != old[name]
    }
    for name in changes:
        if name not in MAY_CHANGE:
            flag = "--" + name.replace("_", "-")
            raise RunError(
                f"{flag} cannot change while {run.name} is resumed: it began with {old[name]}.",
                fix=f"Leave it out, or start a new run from it with --model {run.name}.",
            )
    if "steps" in changes:
        changes["epochs"] = given.get("epochs")
    elif "epochs" in changes:
        changes["steps"] = None
    return changes


def _changed_plan(plan: TrainPlan, changes: Mapping[str, Any]) -> TrainPlan:
    """Return the stored plan with what a resumed run may change."""
    direct = {
        name: changes[name]
        for name in ("micro_batch", "keep", "patience", "sample_every", "sample_tokens")
        if name in changes
    }
    if changes.get("compile", "auto") != "auto":
        direct["compile"] = changes["compile"] == "on"
    if changes.get("steps") is not None:
        direct["steps"] = changes["steps"]
    elif changes.get("epochs") is not None:
        direct["steps"] = math.ceil(changes["epochs"] * plan.steps_per_epoch)
    if "save_every" in changes:
        direct["save_every"], direct["save_seconds"] = parse_every(changes["save_every"])
    return dataclasses.replace(plan, **direct)


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that they were."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
