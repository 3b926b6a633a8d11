"""Run a recipe: fine-tune as its file says, measure before and after, and let it write."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from penwright import report
from penwright.config import (
    DataConfig,
    FinetuneConfig,
    GenerateConfig,
    KeywordsConfig,
    NewConfig,
    TokenizerConfig,
    build,
    override,
)
from penwright.dataset.store_cache import hash_files, open_data
from penwright.dataset.tasks import Task, find_tasks, with_prompts
from penwright.dataset.training import open_held_out
from penwright.errors import DataError, MissingExtraError
from penwright.files import cache_folder, jsonable, write_json
from penwright.formats.catalog import find_inputs
from penwright.metrics import measure
from penwright.runs import RECIPE, RUNS, new_name
from penwright.tokens import Split
from penwright.train import Observer
from penwright.train.parallel import need_one_process
from penwright.verbs.evaluate import Evaluation, evaluate_writer
from penwright.verbs.finetune import FinishedRun, run_finetune
from penwright.verbs.generate import Writer, load_exactly
from penwright.verbs.model_folders import run_new, run_train_tokenizer
from penwright.verbs.observers import Logged
from penwright.verbs.prepare import run_encode
from penwright.verbs.recipe_file import Measure, Recipe, Writing, read_recipe
from penwright.verbs.run_info import as_it_began
from penwright.wording import Warn, count


@dataclass(frozen=True)
class Measured:
    """The same measured of the model as it came and as it is now."""

    on: str
    before: Evaluation
    after: Evaluation


@dataclass(frozen=True)
class Written:
    """Texts written from one prompt; `human` is the data's own text, where there is one."""

    title: str
    prompt: str
    human: str | None
    texts: tuple[str, ...]
    untrained: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a recipe. `seconds` includes measuring and writing."""

    name: str
    system: int | None
    data: tuple[str, ...]
    model: str
    run: FinishedRun
    measured: tuple[Measured, ...]
    written: tuple[Written, ...]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for a program."""
        first = self.measured[0]
        found: dict[str, Any] = {
            "name": self.name,
            "system": self.system,
            "data": list(self.data),
            "model": self.model,
            "run": str(self.run.folder),
            "report": str(self.run.report),
            "steps": self.run.steps,
            "best_step": self.run.best_step,
            "perplexity_before": first.before.perplexity,
            "perplexity_after": first.after.perplexity,
            "measured": [
                {"on": one.on, "before": one.before.as_json(), "after": one.after.as_json()}
                for one in self.measured
            ],
            "writing": [asdict(one) for one in self.written],
            "seconds_training": self.run.seconds,
            "seconds": self.seconds,
        }
        return {key: jsonable(value) for key, value in found.items()}


def recipe(
    name: str | Path,
    /,
    *data: str | Path,
    prompt: Sequence[str] = (),
    observer: Observer | None = None,
    **options: Any,
) -> Outcome:
    """Run the recipe `name` (or its TOML file) on `data`, or on the sample that comes along.

    At the end it writes from `prompt`, where given, instead of the recipe's own prompts. `options`
    are those of `penwright finetune` (model, steps, ...); they win over the recipe's. Raises a
    PenwrightError that says what to do.
    """
    found = read_recipe(name).with_prompts([prompt] if isinstance(prompt, str) else prompt)
    own = found.finetune_options(
        with_data=bool(data), with_model="model" in options, resume=bool(options.get("resume"))
    )
    command = f"penwright.recipe({str(name)!r})"
    return run_recipe(found, data, override(own, options), observer or Logged(), command)


def run_recipe(
    recipe: Recipe,
    data: Sequence[str | Path],
    options: Mapping[str, Any],
    observer: Observer,
    command: str,
) -> Outcome:
    """Run a recipe with its options and the user's, of which `options` is the union."""
    need_one_process("A recipe")
    start = time.perf_counter()
    wanted = [_installed(one, observer.on_message) for one in recipe.measure]
    try:
        if options.get("resume"):
            began_with, config = as_it_began(options)
            options = {**options, "output_dir": config.output_dir}
            learned = data if data and recipe.keywords is None else began_with
            paths = data or began_with
        else:
            paths = data or recipe.sample_data()
            learned, options = _begin(recipe, paths, options, observer.on_message)
            config = build(FinetuneConfig, options)
        run = run_finetune(learned, options, observer, command)
    except DataError as error:
        raise recipe.refusal(error) from None
    observer.on_message("Measuring it beside what it was before ...")
    device = config.compute.device
    before = load_exactly(config.model, device)
    after = load_exactly(run.folder, device)
    held_out = run.perplexity_after is not None
    ending = Ending(
        before, after, run.folder, tuple(learned), config.data, held_out, observer.on_message
    )
    outcome = Outcome(
        recipe.name,
        recipe.about.system,
        tuple(map(str, paths)),
        before.name,
        run,
        tuple(map(ending.measure, wanted)),
        tuple(text for writing in recipe.write for text in ending.write(writing)),
        time.perf_counter() - start,
    )
    write_json(run.folder / RECIPE, outcome.as_json())
    report.write(run.folder)
    return outcome


def _begin(
    recipe: Recipe, paths: Sequence[str | Path], options: Mapping[str, Any], warn: Warn
) -> tuple[Sequence[str | Path], Mapping[str, Any]]:
    """Check the data; return the files that a new run learns from, and its options."""
    options = _fit_mix(recipe, paths, options, warn)
    config: FinetuneConfig = build(FinetuneConfig, options)
    recipe.check([*paths, *config.held_out_data], config)
    if config.name is None and config.output_dir is None:
        options = {**options, "name": new_name(RUNS, recipe.name)}
    if recipe.new is not None and config.model is None:
        options = {**options, "model": str(make_model(recipe.new, paths, config.data, warn))}
    if recipe.keywords is None:
        return paths, options
    return encode_table(recipe, paths, options, warn)


def _fit_mix(
    recipe: Recipe, paths: Sequence[str | Path], options: Mapping[str, Any], warn: Warn
) -> Mapping[str, Any]:
    """Return the options without the recipe's shares where there are not as many inputs."""
    shares = recipe.options.get("mix", ())
    if options.get("mix", ()) != shares or len(shares) in (0, len(paths)):
        return options
    warn(
        f"The recipe mixes {len(shares)} inputs; {count(len(paths), 'input', 'is')} "
        "given, and taken as they come. Choose shares with --mix."
    )
    return {name: options[name] for name in options if name not in ("mix", "mix_end")}


def make_model(
    wanted: Mapping[str, Any], paths: Sequence[str | Path], data: DataConfig, warn: Warn
) -> Path:
    """Train a tokenizer on the data and make an untrained model for it; return its folder.

    It is kept in the cache under a hash of the data and of the options, so that a run can go on.
    """
    files = [file for item in find_inputs(paths, data.files) for file in item.files]
    key = json.dumps([*hash_files(files), dict(wanted), asdict(data)], default=str, sort_keys=True)
    folder = cache_folder() / "new" / hashlib.sha256(key.encode()).hexdigest()[:16]
    tokenizer, model = folder / "tokenizer", folder / "model"
    shape = {name: wanted[name] for name in wanted if name != "vocab_size"}
    if not tokenizer.exists():
        warn("Training a tokenizer on the data ...")
        vocabulary = {name: wanted[name] for name in wanted if name == "vocab_size"}
        settings = TokenizerConfig(output=tokenizer, data=data, **vocabulary)
        run_train_tokenizer(paths, settings, warn)
    if not model.exists():
        run_new(build(NewConfig, shape | {"output": model, "tokenizer": tokenizer}))
    return model


@dataclass(frozen=True)
class Ending:
    """The models before and after training, and the prompts for both."""

    before: Writer
    after: Writer
    run: Path
    learned: tuple[str | Path, ...]
    data: DataConfig
    held_out: bool
    warn: Warn

    def measure(self, wanted: Measure) -> Measured:
        """Measure both models on the same; on the data itself where nothing was held out."""
        on = wanted.on if self.held_out else "data"
        evaluate = replace(wanted.evaluate, untrained=False)  # which is what `before` is
        config, data = replace(evaluate, data=self.data), self.learned
        if on == "held out":
            config, data = replace(evaluate, held_out_of=str(self.run)), ()
        silent: list[str] = []
        return Measured(
            on,
            evaluate_writer(self.before, data, config, silent.append),
            evaluate_writer(self.after, data, config, self.warn),
        )

    def write(self, writing: Writing) -> list[Written]:
        """Write from each prompt, beside the human text and the untrained model's."""
        tasks = self._tasks(writing) if writing.documents else []
        if tasks:
            prompts = tuple(task.prompt for task in tasks)
            config = replace(writing.generate, prompt=prompts, raw=True)
        else:
            config = replace(writing.generate, prompt=writing.generate.prompt or ("",))
        shown = [self.after.begin(prompt, config) for prompt in config.prompt]
        texts = _write(self.after, config)
        # The untrained model is asked in the same words, as it knows no form of its own.
        plain = replace(config, prompt=tuple(shown), raw=True, keywords=None, category=None)
        untrained = _write(self.before, plain) if writing.untrained else [()] * len(shown)
        return [
            Written(
                writing.title,
                prompt,
                tasks[number].references[0] if tasks else None,
                texts[number],
                untrained[number],
            )
            for number, prompt in enumerate(shown)
        ]

    def _tasks(self, writing: Writing) -> list[Task]:
        """Find the tasks of the first held-out documents, or of the first if none are held out."""
        tokenizer = self.after.tokenizer
        if self.held_out and writing.on == "held out":
            split = open_held_out(self.run, tokenizer, self.warn, with_prompts).held_out
        else:
            store = open_data(self.learned, with_prompts(self.data), tokenizer, self.warn).store
            split = Split.whole(store)
        return find_tasks(split, tokenizer, writing.documents)


def _write(writer: Writer, config: GenerateConfig) -> list[tuple[str, ...]]:
    samples = [sample.text for sample in writer.generate_with(config)]
    return [tuple(samples[i : i + config.n]) for i in range(0, len(samples), config.n)]


def _installed(wanted: Measure, warn: Warn) -> Measure:
    """Return the metrics whose packages are installed; warn about each other one."""
    able = []
    for name in wanted.evaluate.metrics:
        try:
            measure(["a"], ["a"], metrics=[name], wanted_keywords=[["a"]])
            able.append(name)
        except MissingExtraError as error:
            warn(f"{name} is left out: {error}")
    return replace(wanted, evaluate=replace(wanted.evaluate, metrics=tuple(able)))


def encode_table(
    recipe: Recipe, paths: Sequence[str | Path], options: Mapping[str, Any], warn: Warn
) -> tuple[list[str], Mapping[str, Any]]:
    """Encode a table as texts that begin with keywords; return their file and the run's options.

    The files are kept in the cache under a hash of what they came from, so that the run can go on
    with them.
    """
    config: FinetuneConfig = build(FinetuneConfig, options)
    encoding = dict(recipe.keywords or {}) | {"seed": config.seed}
    encoding |= recipe.keyword_columns(str(paths[0]), config)
    if config.held_out is not None:
        encoding["held_out"] = config.held_out
    files = [file for item in find_inputs(paths) for file in item.files]
    key = json.dumps([*hash_files(files), encoding], default=list)
    folder = cache_folder() / "keywords" / hashlib.sha256(key.encode()).hexdigest()[:16]
    output = folder / f"{recipe.name}.txt"
    wanted: KeywordsConfig = build(KeywordsConfig, encoding)
    done = run_encode(paths, output, wanted, warn)
    warn(f"{count(done.rows, 'row')}, {count(done.lines, 'line')} in {output}")
    if done.held_out is None:
        return [str(output)], options
    held_out = {"held_out_data": (str(done.held_out),), "held_out": None}
    return [str(output)], {**options, **held_out}
