"""Compare models on the same held-out documents and prompts, with intervals of the differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penwright import metrics, runs
from penwright.compute import autocast, choose_device, choose_precision
from penwright.config import CompareConfig, EvaluateConfig, build
from penwright.dataset.store_cache import Data, open_data
from penwright.dataset.training import open_held_out
from penwright.errors import RunError, UsageError
from penwright.files import disk_errors, write_json, write_text
from penwright.metrics import (
    Figure,
    Measurements,
    Resampling,
    difference,
    make_figure,
    side_by_side,
)
from penwright.report import read
from penwright.report.comparison import comparison_page
from penwright.runs import Run
from penwright.score import Losses, score_windows
from penwright.tokens import Split
from penwright.verbs.differences import Difference, differ
from penwright.verbs.generate import Writer, load_exactly
from penwright.verbs.provenance import json_line
from penwright.verbs.votes import Ballot, Pair
from penwright.verbs.writing_quality import (
    Bench,
    columns_as_json,
    find_prompts,
    human_texts,
    training_text_of,
    write_tasks,
)
from penwright.wording import Warn, count, log

FOLDER = Path("comparisons")


@dataclass(frozen=True)
class Comparison:
    """Models on the same documents: figures, differences from the first model, and texts."""

    models: tuple[str, ...]
    on: str
    documents: int
    unit: str
    """perplexity, or bits per byte between tokenizers."""
    figures: tuple[Figure, ...]
    bits_per_byte: tuple[float, ...]
    differences: tuple[Difference, ...]
    quality: dict[str, Measurements]
    quality_differences: dict[str, tuple[Figure, ...]]
    """Each later model's figures minus the first model's, on the same prompts."""
    texts: tuple[dict[str, Any], ...]
    """For each prompt: prompt, human, and the texts of the models in their order."""
    folder: Path
    runs: tuple[Path | None, ...] = ()

    @property
    def page(self) -> Path:
        """The HTML page."""
        return self.folder / "comparison.html"

    def ballot(self) -> Ballot:
        """Return the pairs of texts to vote on, with the votes so far."""
        return Ballot(self.folder / "votes.jsonl", self.models, self.texts)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "models": list(self.models),
            "on": self.on,
            "documents": self.documents,
            "unit": self.unit,
            "figures": [figure.as_json() for figure in self.figures],
            "bits_per_byte": list(self.bits_per_byte),
            "differences": [one.as_json() for one in self.differences],
            "quality": columns_as_json(self.quality),
            "quality_differences": {
                name: {figure.name: figure.as_json() for figure in figures}
                for name, figures in self.quality_differences.items()
            },
            "texts": list(self.texts),
            "votes": [rate.as_json() for rate in self.ballot().tally()],
            "page": str(self.page),
        }

    def __str__(self) -> str:
        width = max(map(len, self.models))
        lines = [
            f"On {self.on}, {count(self.documents, 'document')}; {self.unit}, lower is better:"
        ]
        lines += [
            f"  {name:<{width}}  {figure}"
            for name, figure in zip(self.models, self.figures, strict=True)
        ]
        lines += ["", *map(str, self.differences)]
        if self.quality:
            lines += ["", side_by_side(self.quality)]
            lines += ["", *_told_apart(self)]
        for rate in self.ballot().tally():
            if rate.rate is not None:
                lines += ["", str(rate)]
        return "\n".join(lines)


def _told_apart(found: Comparison) -> list[str]:
    """Return a line on the quality figures that differ beyond doubt."""
    lines = []
    for name, figures in found.quality_differences.items():
        apart = [
            figure.name
            for figure in figures
            if figure.low is not None and figure.high is not None and figure.low * figure.high > 0
        ]
        what = ", ".join(apart) or "nothing"
        lines.append(
            f"What {name} writes differs from {found.models[0]}'s beyond doubt in: {what}."
        )
    return lines


def compare(*models: str | Path, warn: Warn = log, **options: Any) -> Comparison:
    """Compare models on what their runs held out, or on the files `on`.

    `options` are those of `penwright compare`. The page and the texts are written to the
    comparison's folder. Raises UsageError, RunError, DataError and ModelError.
    """
    return run_compare(models, build(CompareConfig, options), warn)


def run_compare(models: Sequence[str | Path], config: CompareConfig, warn: Warn) -> Comparison:
    """Compare models as `config` asks, and write the page."""
    names = list(dict.fromkeys(map(str, models)))
    if len(names) < 2:
        raise UsageError("Comparing takes two models or more.", fix="penwright compare A B")
    if config.on and config.held_out_of:
        raise UsageError("Files are compared on, or what a run held out: give one of the two.")
    if config.prompts < 0:
        raise UsageError(f"--prompts must be at least 0, not {config.prompts}.")
    writers = [load_exactly(name, config.compute.device, warn) for name in names]
    shown = tuple(_short_names(names))
    opened = [_open(writer, writers, config, warn) for writer in writers]
    same_tokens = len({writer.tokenizer.hash for writer in writers}) == 1
    if not same_tokens:
        warn("The models have other tokenizers, so bits per byte are compared, not perplexity.")
    splits = _same_documents([split for split, _ in opened], same_tokens, warn)
    losses = [_score(writer, split, config) for writer, split in zip(writers, splits, strict=True)]
    figures = _figures(losses, splits, same_tokens)
    folder = config.output or FOLDER / "--".join(name.replace("/", "_") for name in shown)
    quality, apart, texts = _write(writers, shown, opened[0][1], splits[0], config, warn)
    found = Comparison(
        models=shown,
        on=_what(writers, config),
        documents=losses[0].documents,
        unit="perplexity" if same_tokens else "bits per byte",
        figures=tuple(figures),
        bits_per_byte=tuple(one.total.bits_per_byte for one in losses),
        differences=tuple(
            differ(shown[0], name, figures[0], figure, same_tokens)
            for name, figure in zip(shown[1:], figures[1:], strict=True)
        ),
        quality=quality,
        quality_differences=apart,
        texts=texts,
        folder=folder,
        runs=tuple(run.folder if run else None for run in map(_run_of, writers)),
    )
    save(found)
    return found


def save(found: Comparison) -> None:
    """Write the comparison and its page into its folder."""
    drawn = {
        name: read(folder)
        for name, folder in zip(found.models, found.runs, strict=True)
        if folder is not None
    }
    write_json(found.folder / "comparison.json", found.as_json())
    write_text(found.page, comparison_page(found.as_json(), drawn))


def _short_names(names: Sequence[str]) -> list[str]:
    """Return the last parts of paths, where these tell the models apart."""
    short = [Path(name).name or name for name in names]
    return short if len(set(short)) == len(short) else list(names)


def _run_of(writer: Writer) -> Run | None:
    return runs.run_of(writer.path)


def _what(writers: Sequence[Writer], config: CompareConfig) -> str:
    if config.on:
        return ", ".join(Path(name).name for name in config.on)
    named = config.held_out_of or next(run.name for w in writers if (run := _run_of(w)))
    return f"what {named} held out"


def _open(
    writer: Writer, writers: Sequence[Writer], config: CompareConfig, warn: Warn
) -> tuple[Split, Data]:
    """Return the documents to compare on, in the tokens of `writer`."""
    if config.on:
        data = open_data(config.on, config.data, writer.tokenizer, warn)
        return Split.whole(data.store), data
    held_by: list[Run] = [run for one in writers if (run := _run_of(one)) is not None]
    if config.held_out_of:
        held_by = [runs.find_run(config.held_out_of)]
    if not held_by:
        raise UsageError(
            "None of these is a run, so no text is held out for them.",
            fix="Name text that they have not seen: --on FILE",
        )
    _check_same_data(held_by)
    own = _run_of(writer)
    run = own if own is not None and not config.held_out_of else held_by[0]
    found = open_held_out(run.folder, writer.tokenizer, lambda _: None)
    return found.held_out, found.data


def _check_same_data(held_by: Sequence[Run]) -> None:
    first = held_by[0]
    for run in held_by[1:]:
        if run.info["data"]["fingerprint"] != first.info["data"]["fingerprint"]:
            raise RunError(
                f"{first.name} and {run.name} learned from other data, so what one held out the "
                "other may have read.",
                fix="Name text that neither has read with --on FILE; --held-out-of RUN compares "
                "on one run's text all the same.",
            )


def _same_documents(splits: Sequence[Split], same_tokens: bool, warn: Warn) -> list[Split]:
    """Return the documents that every run held out; seeds and shares may differ."""
    if not same_tokens:
        sizes = {len(split) for split in splits}
        if len(sizes) > 1:
            raise RunError(
                "The runs held out other documents, and have other tokenizers.",
                fix="Name text that none has read with --on FILE.",
            )
        return list(splits)
    kept = set.intersection(*({(a, b) for a, b in split.ranges.tolist()} for split in splits))
    if not kept:
        raise RunError(
            "No document was held out by all of these runs.",
            fix="Name text that none has read with --on FILE, or train with --held-out-data FILE.",
        )
    if any(len(split) > len(kept) for split in splits):
        warn(f"Compared on the {count(len(kept), 'document')} that all of them held out.")
    ranges = np.array(sorted(kept), dtype=np.int64)
    return [Split(split.store, ranges) for split in splits]


def _score(writer: Writer, split: Split, config: CompareConfig) -> Losses:
    device = choose_device(config.compute.device)
    wanted = "fp32" if config.compute.precision == "auto" else config.compute.precision
    precision = choose_precision(wanted, device, writer.model.config.n_embd)
    return score_windows(writer.model, split, autocast=autocast(device, precision))


def _figures(losses: Sequence[Losses], splits: Sequence[Split], same_tokens: bool) -> list[Figure]:
    """Return the figure of each model, over units that all of them share."""
    first = losses[0]
    alike = all(np.array_equal(one.tokens_W, first.tokens_W) for one in losses)
    if same_tokens and alike:
        how, counts = Resampling(first.units()), [one.counts_W2 for one in losses]
    else:
        how, counts = Resampling(), [one.by_document() for one in losses]
    if same_tokens:
        return [make_figure("perplexity", one, metrics.exp_mean, how) for one in counts]
    for one, split in zip(counts, splits, strict=True):
        one[:, 0] /= math.log(2)
        one[:, 1] = split.byte_counts
    return [make_figure("bits per byte", one, metrics.mean, how) for one in counts]


def _write(
    writers: Sequence[Writer],
    names: Sequence[str],
    data: Data,
    split: Split,
    config: CompareConfig,
    warn: Warn,
) -> tuple[dict[str, Measurements], dict[str, tuple[Figure, ...]], tuple[dict[str, Any], ...]]:
    """Let every model write from the same prompts; return figures, differences and texts."""
    if not config.prompts:
        return {}, {}, ()
    asked = EvaluateConfig(
        metrics=("quality",), metric_documents=config.prompts, sampling=config.sampling
    )
    tasks = find_prompts(split, data, writers[0].tokenizer, asked, warn)[: config.prompts]
    written = [write_tasks(writer, tasks, asked, warn) for writer in writers]
    human = human_texts(tasks, writers[0].tokenizer, asked)
    training = next((t for w in writers if (t := training_text_of(w, lambda _: None))), None)
    bench = Bench(tasks, asked, training)
    columns = {
        name: bench.measure(texts, asked.metrics)
        for name, texts in zip(names, written, strict=True)
    }
    apart = {
        name: tuple(
            difference(after, before)
            for after, before in zip(columns[name].figures, columns[names[0]].figures, strict=True)
        )
        for name in names[1:]
    }
    texts = tuple(
        {
            "prompt": task.prompt,
            "plain_prompt": out_of_form(task.prompt, writers[0]),
            "human": human.texts[number],
            "texts": [one.texts[number] for one in written],
        }
        for number, task in enumerate(tasks)
    )
    return columns | {"human text": bench.measure(human, asked.metrics)}, apart, texts


def out_of_form(prompt: str, writer: Writer) -> str | None:
    """Return the prompt as a user types it, where the model's data had a form for prompts."""
    if not writer.prompt_format or "{prompt}" not in writer.prompt_format:
        return None
    before, _, after = writer.prompt_format.partition("{prompt}")
    return prompt.removeprefix(before).removesuffix(after)


def keep_text(file: Path, found: Comparison, pair: Pair, *, left: bool) -> None:
    """Append one text of a pair to a JSONL file that `finetune` takes; raises OutOfRoomError.

    Prompt and completion where the data has prompts, else one text.
    """
    text, model = (pair.left, pair.left_model) if left else (pair.right, pair.right_model)
    item = next(item for item in found.texts if item["prompt"] == pair.prompt)
    plain = item["plain_prompt"]
    record = (
        {"text": pair.prompt + text}
        if plain is None
        else {"prompt": plain, "completion": text.strip()}
    )
    with disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8", newline="\n") as lines:
            lines.write(json_line(record | {"machine_written": True, "model": model}) + "\n")
