"""Measure a model on a text: its perplexity, and metrics of what it writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from penwright import metrics, report
from penwright.compute import autocast, choose_device, choose_precision
from penwright.config import DataConfig, EvaluateConfig, build
from penwright.dataset.store_cache import Data, open_data
from penwright.dataset.tasks import with_prompts
from penwright.dataset.training import TrainingData, open_held_out
from penwright.errors import UsageError
from penwright.metrics import Figure, Measurements, Resampling, exp_mean, make_figure, mean_of
from penwright.runs import find_run, run_of
from penwright.score import batch_average, score_windows
from penwright.tokens import Split
from penwright.verbs.generate import Writer, load_exactly
from penwright.verbs.writing_quality import (
    Bench,
    columns_as_json,
    find_prompts,
    keep_quality,
    measure_beside,
    training_text_of,
    write_tasks,
)
from penwright.wording import Warn, log


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
    beside: Mapping[str, Measurements] = field(default_factory=dict)
    """The same of human text, and of baselines, by their names."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a program."""
        shown = [item.name for item in fields(self) if item.name not in ("measured", "beside")]
        record = {name: getattr(self, name) for name in shown}
        if self.measured:
            record |= {"metrics": self.measured.as_json()}
        return record | ({"beside": columns_as_json(self.beside)} if self.beside else {})


def evaluate(
    model: str | Path | None,
    *data: str | Path,
    warn: Warn = log,
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
    writer = load_exactly(model, config.compute.device, warn, in_torch=not config.metrics)
    return evaluate_writer(writer, data, config, warn)


def evaluate_writer(
    writer: Writer, data: Sequence[str | Path], config: EvaluateConfig, warn: Warn
) -> Evaluation:
    """Measure a loaded model as `config` asks."""
    _check(data, config)
    split, _, _ = _open_split(writer, data, config, warn)
    evaluation = _perplexity(writer, split, config)
    if not config.metrics:
        return evaluation
    # The same files as before, so their notes have been told.
    split, read, opened = _open_split(writer, data, config, lambda _: None, with_prompts)
    tasks = find_prompts(split, read, writer.tokenizer, config, warn)
    text = training_text_of(writer, warn) if "quality" in config.metrics else None
    bench = Bench(tasks, config, text)
    measured = bench.measure(write_tasks(writer, tasks, config, warn), config.metrics)
    beside = measure_beside(bench, opened, writer.tokenizer)
    run = run_of(writer.path)
    if config.untrained and run is not None:
        began_with = load_exactly(run.info["model"]["name"], config.compute.device)
        texts = write_tasks(began_with, tasks, config, lambda _: None)
        beside[f"{began_with.name}, untrained"] = bench.measure(texts, config.metrics)
    if run is not None and config.held_out_of and find_run(config.held_out_of).folder == run.folder:
        keep_quality(run, {run.name: measured, **beside}, config.sampling)
        report.write(run.folder)
    return replace(evaluation, measured=measured, beside=beside)


def _check(data: Sequence[str | Path], config: EvaluateConfig) -> None:
    """Raise UsageError for invalid options, before anything is loaded."""
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
) -> tuple[Split, Data, TrainingData | None]:
    """Return the split to measure on, its data, and the whole data of a run that held it out."""
    if config.held_out_of:
        learn = config.data.learn

        def as_asked(data: DataConfig) -> DataConfig:
            return read(replace(data, learn=learn) if learn else data)

        opened = open_held_out(config.held_out_of, writer.tokenizer, warn, as_asked)
        return opened.held_out, opened.data, opened
    found = open_data(data, read(config.data), writer.tokenizer, warn)
    return Split.whole(found.store), found, None


def _perplexity(writer: Writer, split: Split, config: EvaluateConfig) -> Evaluation:
    """Measure the perplexity, by the average that is asked for, with its interval."""
    device = choose_device(config.compute.device)
    wanted = "fp32" if config.compute.precision == "auto" else config.compute.precision
    arithmetic = autocast(device, choose_precision(wanted, device, writer.model.config.n_embd))
    if config.average == "batch":
        return _average_batches(writer, split, config, arithmetic)
    losses = score_windows(writer.model, split, stride=config.stride, autocast=arithmetic)
    score = losses.total
    spread = make_figure("perplexity", losses.counts_W2, exp_mean, Resampling(losses.units()))
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
