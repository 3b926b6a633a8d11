"""Measure what a model writes: from prompts of a data set, beside people's text and baselines."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from penwright import metrics, runs
from penwright.config import EvaluateConfig, GenerateConfig, SamplingConfig
from penwright.dataset.store_cache import Data
from penwright.dataset.tasks import Task, check_tasks, find_openings, find_tasks
from penwright.dataset.training import TrainingData
from penwright.dataset.training_text import TrainingText, open_training_text
from penwright.errors import DataError, PenwrightError
from penwright.files import write_json
from penwright.formats.corpora import more_answers
from penwright.metrics import METRICS, Figure, Measurements, Resampling
from penwright.runs import Run
from penwright.tokens import Split, Tokenizer
from penwright.verbs.copied import Passage, count_copied
from penwright.verbs.generate import Writer, load_exactly
from penwright.wording import Warn

HUMAN = "human text"
LEAD, TARGET = "first 3 sentences", "a training text"
_SENTENCES = 3
_END_OF_SENTENCE = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+")
_RECORDED, _FIRST = 24, 4  # documents that a run writes for at its end, and to see how fast it is
_TARGETS = 500  # training documents that targets are drawn from


@dataclass(frozen=True)
class Texts:
    """Texts of one author in the order of the tasks, equally many for each."""

    texts: tuple[str, ...]
    ends: tuple[bool, ...] | None = None
    """Whether each ends by itself; None where that has no meaning."""


def find_prompts(
    split: Split, data: Data, tokenizer: Tokenizer, config: EvaluateConfig, warn: Warn
) -> list[Task]:
    """Return the tasks that `config.metrics` need, of `config.metric_documents` documents.

    Without prompts in the data, metrics without references take the first words of documents.
    Raises UsageError when there is nothing to write from or to compare with.
    """
    wanted = [METRICS[name] for name in config.metrics]
    tasks = find_tasks(split, tokenizer, config.metric_documents)
    if not tasks and all(metric.compares is None for metric in wanted):
        length = config.sampling.max_new_tokens
        tasks = find_openings(split, tokenizer, config.metric_documents, length, warn)
    check_tasks(tasks, config.metrics, keywords=any(m.compares == "keywords" for m in wanted))
    return _with_more_answers(tasks, data) if any(m.all_answers for m in wanted) else tasks


def _with_more_answers(tasks: Sequence[Task], data: Data) -> list[Task]:
    """Return the tasks with other people's answers, where the data has them."""
    wanted = {task.prompt for task in tasks}
    more = {
        prompt: answers
        for choice in data.reading.choices
        if choice.format == "coqa"
        for prompt, answers in more_answers(choice.path, choice.encoding)
        if prompt in wanted
    }
    return [
        replace(task, references=(*task.references, *more.get(task.prompt, ()))) for task in tasks
    ]


def write_tasks(writer: Writer, tasks: Sequence[Task], config: EvaluateConfig, warn: Warn) -> Texts:
    """Write `config.n` texts for each task. Where every reference is one line, so is every text.

    Raises DataError when all of them are empty.
    """
    prompts = tuple(task.prompt for task in tasks)
    asked = GenerateConfig(prompt=prompts, n=config.n, raw=True, sampling=config.sampling)
    samples = writer.generate_with(asked, warn=warn)
    lines = not any("\n" in text.strip() for task in tasks for text in task.references)
    texts = tuple(first_line(one.text) if lines else one.text for one in samples)
    if not any(text.strip() for text in texts):
        raise DataError(
            f"{writer.name} wrote only empty texts, so there is nothing to measure.",
            fix="Try a higher --temperature, or --min-new-tokens 1.",
        )
    return Texts(texts, tuple(one.finish_reason == "end" for one in samples))


def first_line(text: str) -> str:
    """Return the first line that has text in it."""
    return text.strip().partition("\n")[0].rstrip()


def human_texts(tasks: Sequence[Task], tokenizer: Tokenizer, config: EvaluateConfig) -> Texts:
    """Return the data's own texts, cut where a text of the model would be cut."""
    length = config.sampling.max_new_tokens
    ids = [tokenizer.encode(task.references[0]) for task in tasks]
    texts = tuple(
        task.references[0] if len(one) <= length else tokenizer.decode(one[:length])
        for task, one in zip(tasks, ids, strict=True)
    )
    ends = (task.ends and len(one) <= length for task, one in zip(tasks, ids, strict=True))
    return Texts(texts, tuple(ends))


@dataclass(frozen=True)
class Bench:
    """The tasks of a measurement and what their texts are looked up in."""

    tasks: Sequence[Task]
    config: EvaluateConfig
    training: TrainingText | None = None
    """The training text that copies are counted in."""

    def measure(self, texts: Texts, names: Sequence[str]) -> Measurements:
        """Score texts by the named metrics; `quality` also by endings and copies."""
        each = len(texts.texts) // len(self.tasks)
        every = [task for task in self.tasks for _ in range(each)]
        how = Resampling([task.document for task in every])
        found = metrics.measure(
            texts.texts,
            [task.references for task in every],
            metrics=names,
            wanted_keywords=[task.keywords for task in every],
            how=how,
        )
        if "quality" not in names:
            return found
        return replace(found, figures=(*found.figures, *self._whole(texts, every, how)))

    def _whole(self, texts: Texts, every: Sequence[Task], how: Resampling) -> list[Figure]:
        figures = []
        if texts.ends is not None:
            shares = metrics.mean_of([float(end) for end in texts.ends])
            figures.append(metrics.score_shares("end by themselves", shares, how))
        if self.training is not None:
            passages = [Passage(t.prompt, w) for t, w in zip(every, texts.texts, strict=True)]
            counts = count_copied(self.training, passages).astype(np.float64)
            figures.append(metrics.score_shares("copied", counts, how))
        return figures


def training_text_of(writer: Writer, warn: Warn) -> TrainingText | None:
    """Return the training text of a run's model; None, with a line, where it is not there."""
    run = runs.run_of(writer.path)
    if run is None:
        return None
    try:
        return open_training_text(run.folder, warn)
    except PenwrightError as error:
        warn(f"Copied text is not counted: {error.message}")
        return None


def measure_beside(
    bench: Bench, opened: TrainingData | None, tokenizer: Tokenizer
) -> dict[str, Measurements]:
    """Measure human text and trivial baselines by the metrics that say something about them.

    Human text by those without references; the first three sentences of a long prompt, and for
    each task the text of a training document drawn at random, by those with.
    """
    names = bench.config.metrics
    free = [name for name in names if METRICS[name].compares != "references"]
    compared = [name for name in names if METRICS[name].compares == "references"]
    columns: dict[str, Measurements] = {}
    if free:
        columns[HUMAN] = bench.measure(human_texts(bench.tasks, tokenizer, bench.config), free)
    overlap = [name for name in compared if METRICS[name].overlap]
    leads = tuple(lead(task.prompt) for task in bench.tasks)
    if overlap and all(len(one) < len(t.prompt) for one, t in zip(leads, bench.tasks, strict=True)):
        columns[LEAD] = bench.measure(Texts(leads), overlap)
    targets = _targets(opened, tokenizer, len(bench.tasks)) if opened and compared else []
    if targets:
        columns[TARGET] = bench.measure(Texts(tuple(targets)), compared)
    return columns


def lead(text: str) -> str:
    """Return the first three sentences of a text."""
    ends = [found.end() for found in _END_OF_SENTENCE.finditer(text.lstrip())][:_SENTENCES]
    return text.lstrip()[: ends[-1]].rstrip() if len(ends) == _SENTENCES else text


def _targets(opened: TrainingData, tokenizer: Tokenizer, number: int) -> list[str]:
    """Return texts that training documents have after their prompts, drawn at random."""
    generator = np.random.default_rng(0)
    every = opened.training.alternatives[0].ranges
    most = min(len(every), _TARGETS)
    ranges = every[np.sort(generator.choice(len(every), most, replace=False))]
    tasks = find_tasks(Split(opened.data.store, ranges), tokenizer)
    if not tasks:
        return []
    return [tasks[i].references[0] for i in generator.integers(len(tasks), size=number)]


def record_quality(text: TrainingText, length: int, seconds: float, warn: Warn) -> None:
    """Let a finished run write, and keep the figures as quality.json for its report.

    It continues held-out documents with `length` tokens each. What would take more than a
    twentieth of `seconds`, the time of the training, is left to `penwright evaluate`.
    """
    sampling = SamplingConfig(max_new_tokens=length)
    config = EvaluateConfig(
        metrics=("quality",), metric_documents=_RECORDED, sampling=sampling, untrained=False
    )
    try:
        split, tokenizer = text.held_out, text.tokenizer
        tasks = find_tasks(split, tokenizer, _RECORDED)[:_RECORDED] or find_openings(
            split, tokenizer, _RECORDED, length, lambda _: None
        )
        if not tasks:
            return
        writer = load_exactly(text.run.folder, "auto")
        begun = time.perf_counter()
        first = write_tasks(writer, tasks[:_FIRST], config, lambda _: None)
        if (time.perf_counter() - begun) * len(tasks) / len(first.texts) > seconds / 20:
            return
        bench = Bench(tasks, config, text)
        columns = {
            text.run.name: bench.measure(write_tasks(writer, tasks, config, warn), config.metrics),
            HUMAN: bench.measure(human_texts(tasks, tokenizer, config), config.metrics),
        }
        keep_quality(text.run, columns, sampling)
    except PenwrightError as error:
        warn(f"The quality of the writing was not measured: {error.message}")


def keep_quality(run: Run, columns: Mapping[str, Measurements], sampling: SamplingConfig) -> None:
    """Write the figures of a run's writing into its folder, for its report."""
    content = {"columns": columns_as_json(columns), "settings": asdict(sampling)}
    write_json(run.folder / runs.QUALITY, content)


def columns_as_json(columns: Mapping[str, Measurements]) -> dict[str, Any]:
    """Return the measurements of each author as plain values."""
    return {name: column.as_json() for name, column in columns.items()}
