"""Measure a model on a text: its perplexity, and metrics of what it writes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from penwright import metrics, sample
from penwright.compute import autocast, choose_device, choose_precision
from penwright.config import DataConfig, EvaluateConfig, build
from penwright.dataset.store_cache import Data, open_data
from penwright.dataset.tasks import Task, check_tasks, find_tasks, with_prompts
from penwright.dataset.training import open_held_out
from penwright.errors import UsageError
from penwright.formats.corpora import more_answers
from penwright.metrics import Figure, Measurements, Resampling, exp_mean, make_figure, mean_of
from penwright.score import Score, batch_average, score_documents
from penwright.tokens import Split
from penwright.verbs.generate import Writer, load
from penwright.wording import Warn


@dataclass(frozen=True)
class Evaluation:
    """The perplexity of a model on a text. `loss` is in nats a token; `tokens` are those scored."""

    model: str
    perplexity: float
    loss: float
    bits_per_byte: float | None
    tokens: int
    documents: int
    average: str
    low: float | None = None
    """With `high`, the perplexity's 95 % interval, over documents or batches."""
    high: float | None = None
    measured: Measurements | None = None
    """Metrics of texts that the model wrote."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a program."""
        record = asdict(replace(self, measured=None))
        del record["measured"]
        return record | ({"metrics": self.measured.as_json()} if self.measured else {})


def evaluate(
    model: str | Path | None,
    *data: str | Path,
    warn: Warn = lambda _: None,
    **options: Any,
) -> Evaluation:
    """Measure perplexity and bits per byte of `model` on `data`, and the metrics asked for.

    `options` are those of `penwright evaluate`. Raises ModelError and DataError.
    """
    return run_evaluate(model, data, build(EvaluateConfig, options), warn)


def run_evaluate(
    model: str | Path | None,
    data: Sequence[str | Path],
    config: EvaluateConfig,
    warn: Warn,
) -> Evaluation:
    """Load the model and measure it as `config` asks."""
    _check(data, config)
    writer = load(model, device=config.compute.device, warn=warn)
    return evaluate_writer(writer, data, config, warn)


def evaluate_writer(
    writer: Writer, data: Sequence[str | Path], config: EvaluateConfig, warn: Warn
) -> Evaluation:
    """Measure a loaded model as `config` asks."""
    _check(data, config)
    evaluation = _perplexity(writer, _open_split(writer, data, config, warn)[0], config)
    if not config.metrics:
        return evaluation
    split, opened = _open_split(writer, data, config, warn, with_prompts)
    tasks = find_tasks(split, writer.tokenizer, config.metric_documents)
    by_keywords = any(metrics.METRICS[name].compares == "keywords" for name in config.metrics)
    check_tasks(tasks, config.metrics, keywords=by_keywords)
    if any(metrics.METRICS[name].all_answers for name in config.metrics):
        tasks = _with_more_answers(tasks, opened)
    return replace(evaluation, measured=measure_writing(writer, tasks, config, warn))


def measure_writing(
    writer: Writer, tasks: Sequence[Task], config: EvaluateConfig, warn: Warn
) -> Measurements:
    """Measure the texts that the model writes from the prompts of `tasks`."""
    texts = write_tasks(writer, tasks, config, warn)
    every = [task for task in tasks for _ in range(config.n)]
    return metrics.measure(
        texts,
        [task.references for task in every],
        metrics=config.metrics,
        wanted_keywords=[task.keywords for task in every],
        how=Resampling([task.document for task in every]),
    )


def write_tasks(
    writer: Writer, tasks: Sequence[Task], config: EvaluateConfig, warn: Warn
) -> list[str]:
    """Write `config.n` texts for each task. Where every reference is one line, so is every text."""
    written = sample.generate(
        writer.model,
        writer.tokenizer,
        [task.prompt for task in tasks],
        config.n,
        config.sampling,
        warn=warn,
    )
    lines = not any("\n" in text.strip() for task in tasks for text in task.references)
    return [first_line(one.text) if lines else one.text for one in written]


def first_line(text: str) -> str:
    """Return the first line that has text in it."""
    return text.strip().partition("\n")[0].rstrip()


def _check(data: Sequence[str | Path], config: EvaluateConfig) -> None:
    """Raises UsageError for what cannot be asked, before anything is loaded."""
    if data and config.held_out_of:
        raise UsageError("Data is measured on, or what a run held out: give one of the two.")
    for name in config.metrics:
        metrics.find_metric(name)
    if config.metric_documents < 1 or config.n < 1:
        raise UsageError("Metrics take one document and one text at least.")


def _open_split(
    writer: Writer,
    data: Sequence[str | Path],
    config: EvaluateConfig,
    warn: Warn,
    read: Callable[[DataConfig], DataConfig] = lambda data: data,
) -> tuple[Split, Data]:
    if config.held_out_of:
        learn = config.data.learn

        def as_asked(data: DataConfig) -> DataConfig:
            return read(replace(data, learn=learn) if learn else data)

        return open_held_out(config.held_out_of, writer.tokenizer, warn, as_asked)
    opened = open_data(data, read(config.data), writer.tokenizer, warn)
    return Split.whole(opened.store), opened


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


def _perplexity(writer: Writer, split: Split, config: EvaluateConfig) -> Evaluation:
    """Measure the perplexity, by the average that is asked for, with its interval."""
    device = choose_device(config.compute.device)
    wanted = "fp32" if config.compute.precision == "auto" else config.compute.precision
    arithmetic = autocast(device, choose_precision(wanted, device, writer.model.config.n_embd))
    if config.average == "batch":
        return _average_batches(writer, split, config, arithmetic)
    losses_D, counts_D = score_documents(
        writer.model, split, stride=config.stride, autocast=arithmetic
    )
    score = Score(
        loss_sum=math.fsum(losses_D),
        tokens=int(counts_D.sum()),
        documents=len(losses_D),
        bytes=split.n_bytes,
    )
    spread = _interval(np.stack([losses_D, counts_D], axis=1))
    return Evaluation(
        writer.name,
        score.perplexity,
        score.loss,
        score.bits_per_byte,
        score.tokens,
        score.documents,
        "token",
        spread.low,
        spread.high,
    )


def _average_batches(
    writer: Writer,
    split: Split,
    config: EvaluateConfig,
    arithmetic: AbstractContextManager[object] | None,
) -> Evaluation:
    mean = batch_average(
        writer.model,
        split,
        eot_id=writer.tokenizer.eot_id,
        batch_size=config.batch_size,
        max_length=config.max_length or min(512, writer.model.config.n_positions),
        autocast=arithmetic,
    )
    spread = _interval(mean_of(mean.losses))
    return Evaluation(
        writer.name,
        mean.perplexity,
        mean.loss,
        None,
        mean.tokens,
        mean.documents,
        "batch",
        spread.low,
        spread.high,
    )


def _interval(counts_ND: Any) -> Figure:
    return make_figure("perplexity", counts_ND, exp_mean, Resampling())
