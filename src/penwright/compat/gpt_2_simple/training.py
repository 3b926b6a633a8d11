"""Offer gpt-2-simple's `finetune`; each of its folders holds one Penwright run."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penwright.compat.gpt_2_simple import folders
from penwright.compat.gpt_2_simple.data import readable
from penwright.compat.gpt_2_simple.folders import (
    find_model,
    has_checkpoint,
    has_tensorflow,
    tensorflow_checkpoint,
)
from penwright.compat.gpt_2_simple.writing import Session, get_available_gpus
from penwright.config import MAY_CHANGE, DataConfig, FinetuneConfig, build, given_values
from penwright.errors import UsageError
from penwright.files import jsonable, write_text
from penwright.runs import Run, spell

if TYPE_CHECKING:
    from penwright.tokens.bpe import Tokenizer

ENDLESS = 10**9
"""The number of steps for a run without an end."""
_ALL = 10**6
_FIXED = {
    "schedule": "constant",
    "warmup": 0.0,
    "weight_decay": 0.0,
    "held_out": 0.0,
    "evaluate_every": 0,
    "patience": 0,
}
"""Options that gpt-2-simple does not have, set to its behaviour."""
_FADE = 0.99  # the weight of the old average in the new one


def finetune(
    sess: object,
    dataset: str | Path,
    steps: int = -1,
    model_name: str = "124M",
    model_dir: str | Path = "models",
    combine: int = 50000,  # noqa: ARG001 - texts are never joined
    batch_size: int = 1,
    learning_rate: float = 0.0001,
    accumulate_gradients: int = 5,
    restore_from: str | Path = "latest",
    run_name: str = "run1",
    checkpoint_dir: str | Path = "checkpoint",
    sample_every: int = 100,
    sample_length: int = 1023,
    sample_num: int = 1,
    multi_gpu: bool = False,
    save_every: int = 1000,
    print_every: int = 1,
    max_checkpoints: int = 1,
    use_memory_saving_gradients: bool = False,
    only_train_transformer_layers: bool = False,
    optimizer: str = "adam",
    overwrite: bool = False,
    reuse: bool = False,  # noqa: ARG001 - a session takes another model at any time
) -> None:
    """Train a model on a text, a one-column CSV, an .npz file, a folder or a glob.

    Trains `steps` more steps (below 1: until stopped) from the run's newest checkpoint (`latest`),
    the downloaded model (`fresh`) or another path, with batches of `batch_size` texts times
    `accumulate_gradients`. Ctrl-C saves and returns; a later call with the same arguments resumes
    exactly. A run that is not resumed is kept beside the new one, or replaced with `overwrite`.
    `sample_num` samples of `sample_length` tokens go to samples/`run_name` every `sample_every`
    steps. `use_memory_saving_gradients` recomputes activations in the backward pass. Logs to
    TensorBoard if it is installed. Raises PenwrightError.
    """
    options = _updates(batch_size, accumulate_gradients, learning_rate, optimizer) | {
        "train_only": "layers" if only_train_transformer_layers else "all",
        "recompute": use_memory_saving_gradients,
        "save_every": save_every,
        "keep": max_checkpoints or _ALL,
        "sample_every": sample_every if sample_num > 0 else 0,
        "sample_tokens": sample_length,
        "sample_prompts": ("",) * sample_num,
    }
    folder = Path(checkpoint_dir) / run_name
    folders.check_free(folder)
    if multi_gpu and len(get_available_gpus()) > 1:
        print("multi_gpu is accepted, but this run uses one GPU.")
    _Call(
        dataset=dataset,
        folder=folder,
        source=_source(restore_from, folder, model_name, model_dir),
        steps=int(steps) if steps is not None and int(steps) > 0 else ENDLESS,
        resumes=restore_from == "latest",
        options=options,
        overwrite=overwrite,
        printer=Printer(folder, Path("samples") / run_name, max(1, print_every), save_every),
    ).run()
    if isinstance(sess, Session):
        sess.forget(folder)


@dataclass(frozen=True)
class _Call:
    """One call of `finetune`."""

    dataset: str | Path
    folder: Path
    source: Path
    steps: int
    resumes: bool
    options: dict[str, Any]
    overwrite: bool
    printer: Printer

    def run(self) -> None:
        """Resume the run in the folder, or start one there."""
        from penwright.files import cache_folder

        print(f"Loading checkpoint {self.source}")
        print("Loading dataset...")
        tokenizer = _read_tokenizer(self.source)
        cache = cache_folder() / "gpt-2-simple"
        files = [str(p) for p in readable(self.dataset, tokenizer, cache, self.printer.on_message)]
        if self._goes_on(files, tokenizer):
            self._resume(files)
        else:
            self._start(files)

    def _goes_on(self, files: list[str], tokenizer: Tokenizer) -> bool:
        """Return whether the run in the folder has these options and data: it can be resumed."""
        from penwright.dataset.store_cache import fingerprint, hash_files

        if self.source != self.folder or not has_checkpoint(self.folder):
            return False
        info = Run(self.folder).info
        asked = given_values(build(FinetuneConfig, self.options), self.options)
        fixed = {name: value for name, value in asked.items() if name not in MAY_CHANGE}
        if any(info["config"].get(name) != value for name, value in jsonable(fixed).items()):
            return False
        same = fingerprint(hash_files(files), DataConfig(), tokenizer.hash)
        return bool(same == info["data"]["fingerprint"])

    def _resume(self, files: list[str]) -> None:
        run = Run(self.folder)
        before = int(run.info.get("steps_before", 0))
        wanted = {"steps": run.steps()[-1] + self.steps, "resume": True, "output_dir": self.folder}
        self._train(files, self.options | wanted, before)

    def _start(self, files: list[str]) -> None:
        old = has_checkpoint(self.folder)
        from_itself = old and _is_inside(self.source, self.folder)
        keep_old = old and (from_itself or not self.overwrite)
        done = folders.steps_done(self.folder) if self.resumes else 0  # before it is moved
        with folders.room_for_run(self.folder, keep_old=keep_old) as aside:
            source = self.source
            if aside is not None and from_itself:
                source = aside / source.relative_to(self.folder)
            wanted = {
                "model": spell(source),
                "output_dir": self.folder,
                "steps": self.steps,
                "overwrite": (self.folder / "run.json").exists(),
            }
            self._train(files, self.options | wanted, done)
        if aside is not None and self.overwrite:
            folders.discard(aside)
        elif aside is not None:
            print(f"The earlier run is in {aside}; overwrite=True would have replaced it.")

    def _train(self, files: list[str], options: dict[str, Any], before: int) -> None:
        """Train to the last step, or until Ctrl-C, and name the checkpoint."""
        from penwright.train import Interrupted
        from penwright.verbs import observers
        from penwright.verbs.finetune import run_finetune

        self.printer.before = before
        log = ("tensorboard",) if observers.is_installed("tensorboard") else ()
        command = f"penwright.compat.gpt_2_simple.finetune({str(self.dataset)!r})"
        try:
            run_finetune(files, options | {"log": log}, self.printer, command)
        except Interrupted:
            print("interrupted")
        self.printer.say_saved(Run(self.folder).pointed("latest"))


def _source(restore_from: str | Path, folder: Path, model_name: str, model_dir: str | Path) -> Path:
    """Return the model that training starts from; raises ModelError when it is not there."""
    if restore_from == "latest":
        if has_checkpoint(folder):
            return folder
        if has_tensorflow(folder):
            return tensorflow_checkpoint(folder)
    if restore_from in ("latest", "fresh"):
        return find_model(model_name, model_dir)
    return Path(restore_from)


def _updates(batch_size: int, accumulated: int, rate: float, optimizer: str) -> dict[str, Any]:
    """Return the options of batches and optimizer; raises UsageError for an unknown one."""
    if optimizer not in ("adam", "sgd"):
        raise UsageError(f"There is no optimizer '{optimizer}'.", fix="It is adam or sgd.")
    return _FIXED | {
        "batch_size": batch_size * max(1, accumulated),
        "micro_batch": batch_size,
        "learning_rate": float(rate),
        "optimizer": "sgd" if optimizer == "sgd" else "adamw",
    }


def _read_tokenizer(source: Path) -> Tokenizer:
    """Return the tokenizer of the model at `source`, if possible without reading its weights."""
    from penwright import weights
    from penwright.tokens.bpe import Tokenizer
    from penwright.weights.names import checkpoint_of, kind_of

    place = checkpoint_of(source) if kind_of(source) == "run" else source
    for folder in (place, place.parent):
        if any((folder / name).is_file() for name in ("tokenizer.json", "encoder.json")):
            return Tokenizer.from_folder(folder)
    return weights.open(spell(source)).tokenizer


def _is_inside(path: Path, folder: Path) -> bool:
    return path == folder or folder in path.parents


class Printer:
    """An observer that prints gpt-2-simple's lines and writes samples to samples/run1.

    `before` is the number of steps that were trained in the folder before this run's first.
    """

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
        """Print a checkpoint's path, once for each."""
        if checkpoint != self._saved:
            print(f"Saving {checkpoint}", flush=True)
            self._saved = checkpoint

    def on_evaluate(self, record: dict[str, Any]) -> None:
        """Do nothing: no documents are held out."""

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
