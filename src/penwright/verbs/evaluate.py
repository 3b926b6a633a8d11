"""Measure a model on a text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penwright.config import EvaluateConfig, build
from penwright.score import batch_average, score_part
from penwright.tokens import split
from penwright.train.precision import autocast, choose_device, choose_precision
from penwright.verbs.data import open_data
from penwright.verbs.writer import load


@dataclass(frozen=True)
class Evaluation:
    """How well a model foresees a text. `loss` is in nats a token; `tokens` are those scored."""

    model: str
    perplexity: float
    loss: float
    bits_per_byte: float | None
    tokens: int
    documents: int
    average: str

    def as_json(self) -> dict[str, Any]:
        """The figures for a program."""
        return asdict(self)


def evaluate(
    model: str | Path | None,
    *data: str | Path,
    warn: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> Evaluation:
    """Perplexity and bits per byte of `model` on `data`.

    `options` are those of `penwright evaluate`. Raises ModelError and DataError.
    """
    return run_evaluate(model, data, build(EvaluateConfig, options), warn)


def run_evaluate(
    model: str | Path | None,
    data: tuple[str | Path, ...],
    config: EvaluateConfig,
    warn: Callable[[str], None],
) -> Evaluation:
    """Perplexity and bits per byte, as `config` asks."""
    writer = load(model, device=config.compute.device)
    store = open_data(data, config.data, writer.tokenizer, warn).store
    part, _ = split(store, 0.0, 0)
    device = choose_device(config.compute.device)
    wanted = "fp32" if config.compute.precision == "auto" else config.compute.precision
    arithmetic = autocast(device, choose_precision(wanted, device, writer.model.config.n_embd))
    if config.average == "batch":
        mean = batch_average(
            writer.model,
            part,
            eot_id=writer.tokenizer.eot_id,
            batch_size=config.batch_size,
            max_length=config.max_length or min(512, writer.model.config.n_positions),
            autocast=arithmetic,
        )
        return Evaluation(
            writer.name, mean.perplexity, mean.loss, None, mean.tokens, mean.documents, "batch"
        )
    score = score_part(writer.model, part, stride=config.stride, autocast=arithmetic)
    return Evaluation(
        writer.name,
        score.perplexity,
        score.loss,
        score.bits_per_byte,
        score.tokens,
        score.documents,
        "token",
    )
