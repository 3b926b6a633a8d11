"""Verbs that measure, show and share a model: evaluate, copied, report, runs, export, push."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from cyclopts import Parameter

from penwright.cli.options import Json, Opened, warn
from penwright.config import (
    CompareConfig,
    CopiedConfig,
    EvaluateConfig,
    ExportConfig,
    MergeConfig,
    ScoreConfig,
)
from penwright.wording import count

if TYPE_CHECKING:
    from penwright.verbs.compare import Comparison
    from penwright.verbs.token_scores import ScoredDocument
    from penwright.verbs.votes import Choice


def evaluate(
    model: str,
    *data: str,
    options: Annotated[EvaluateConfig, Opened] = EvaluateConfig(),  # noqa: B008 - frozen
    json_: Json = False,
) -> None:
    """Measure how well a model predicts a text: perplexity and bits per byte.

    Parameters
    ----------
    model
        A run, a folder, a size (124M), a Hub name, or base.
    data
        Files, folders or globs; or none, with --held-out-of.
    """
    from penwright.verbs.evaluate import run_evaluate

    result = run_evaluate(model, data, options, warn)
    if json_:
        print(json.dumps(result.as_json()))
        return
    interval = ""
    if result.low is not None and result.high is not None:
        interval = f"  95 %: {result.low:,.3f} to {result.high:,.3f}"
    how = "all tokens" if result.average == "token" else "the mean of batch losses"
    print(f"perplexity     {result.perplexity:,.3f}  ({how}){interval}")
    print(f"loss           {result.loss:.4f} nats a token")
    if result.bits_per_byte is not None:
        print(f"bits per byte  {result.bits_per_byte:.4f}")
    print(
        f"measured on    {count(result.tokens, 'token')} of {count(result.documents, 'document')}"
    )
    if result.measured is not None:
        from penwright.metrics import side_by_side

        columns = {result.model if result.beside else "": result.measured, **result.beside}
        print(f"\n{side_by_side(columns)}")


def score(
    model: str,
    *data: str,
    options: Annotated[ScoreConfig, Opened] = ScoreConfig(),  # noqa: B008 - frozen
    json_: Json = False,
) -> None:
    """Score every token of a text: probability, rank, entropy; as JSON or as a coloured page.

    Parameters
    ----------
    model
        A run, a folder, a size (124M), a Hub name, or base.
    data
        Files, folders or globs; - is standard input.
    """
    from penwright.verbs.generate import load_exactly
    from penwright.verbs.token_scores import check, save_scores, score_texts

    check(data, options)
    writer = load_exactly(model, options.compute.device, warn, in_torch=True)
    total, documents = score_texts(writer, data, options, warn)
    show = show_scores if sys.stdout.isatty() and not json_ else lambda _: None
    for document in save_scores(writer, data, options, total, documents):
        if json_:
            print(json.dumps(document.as_json(), ensure_ascii=False), flush=True)
        show(document)
    for path in filter(None, (options.output, options.html)):
        warn(f"Scores in {path}")
    if not json_:
        found = total.score
        print(f"perplexity     {found.perplexity:,.3f}")
        print(f"loss           {found.loss:.4f} nats a token")
        print(f"bits per byte  {found.bits_per_byte:.4f}")
        tokens, documents_ = count(found.tokens, "token"), count(found.documents, "document")
        print(f"scored         {tokens} of {documents_}")
        print(
            f"first guess    {total.as_json()['first']:.1%}; {total.as_json()['first_ten']:.1%} "
            "among the first ten"
        )


def show_scores(document: ScoredDocument) -> None:
    """Print a document's text, coloured by surprise where the terminal has colours."""
    from rich.console import Console
    from rich.text import Text

    from penwright.report.scores import level

    text = Text()
    for token in document.tokens[1:]:
        style = "dim italic" if token.logprob is None else _STYLES[level(token.logprob)]
        text.append(token.text, style)
    Console(highlight=False).print(text, soft_wrap=True)


_STYLES = ("", "yellow", "dark_orange", "red", "bold underline red")
"""Styles by the level of surprise."""


def compare(
    *models: str,
    options: Annotated[CompareConfig, Opened] = CompareConfig(),  # noqa: B008 - frozen
    json_: Json = False,
    vote: Annotated[bool, Parameter(negative="")] = False,
    keep: Path | None = None,
) -> None:
    """Compare models on the same held-out text and prompts: figures, curves, texts, blind votes.

    Parameters
    ----------
    models
        Two or more: runs, folders, sizes (124M), Hub names, or base.
    vote
        Show two texts at a time without names, and ask which is better.
    keep
        With --vote: append texts that you keep to this file, which finetune takes. Default:
        kept.jsonl in the comparison's folder.
    """
    from penwright.verbs.compare import run_compare, save

    found = run_compare(models, options, warn)
    if vote:
        _vote(found, keep or found.folder / "kept.jsonl")
        save(found)
    print(json.dumps(found.as_json(), ensure_ascii=False) if json_ else found)
    warn(f"The page is {found.page}")


_CHOICES = {"1": "left", "2": "right", "t": "tie"}
_ASK = "Better: 1, 2 or t (a tie); k1, k2 keep a text; s skips, q stops: "


def _vote(found: Comparison, kept: Path) -> None:
    """Ask for a vote on each pair of texts until the user stops."""
    from penwright.verbs.compare import keep_text

    ballot = found.ballot()
    waiting = ballot.waiting()
    for number, pair in enumerate(waiting, 1):
        print(f"\n--- {number} of {len(waiting)} ---\n{pair.prompt.strip()}", file=sys.stderr)
        print(f"\n[1]{pair.left}\n\n[2]{pair.right}\n", file=sys.stderr)
        answer = ""
        while answer not in (*_CHOICES, "s"):
            print(_ASK, end="", file=sys.stderr, flush=True)
            answer = sys.stdin.readline().strip().lower() or ("" if sys.stdin.isatty() else "q")
            if answer in ("k1", "k2"):
                keep_text(kept, found, pair, left=answer == "k1")
                warn(f"Kept in {kept}")
            if answer == "q":
                return
        if answer != "s":
            ballot.vote(pair.key, cast("Choice", _CHOICES[answer]))


def copied(
    run: str,
    samples: Path | None = None,
    *,
    options: Annotated[CopiedConfig, Opened] = CopiedConfig(),  # noqa: B008 - frozen
    json_: Json = False,
    html: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Find what texts copied word for word from a run's training text.

    Parameters
    ----------
    run
        The run's name under runs/, or its folder.
    samples
        A file of texts: what generate wrote, or plain text. Without one the run's model writes
        some.
    html
        Write a page with the copied text beside its source, and print its path.
    """
    from penwright.verbs.copied import run_copied, write_page

    found = run_copied(run, samples, options, warn)
    if json_:
        print(json.dumps(found.as_json(), ensure_ascii=False))
    elif html:
        print(write_page(found))
    else:
        print(found)


def report(run: str) -> None:
    """Write a run's report again, as one HTML file.

    Parameters
    ----------
    run
        The run's name under runs/, or its folder.
    """
    from penwright.verbs.describe import write_report

    print(write_report(run))


def runs(*, json_: Json = False) -> None:
    """List the runs and their results."""
    from rich.console import Console
    from rich.table import Table

    from penwright.verbs.describe import summarise

    summaries, damaged = summarise()
    for sentence in damaged:
        warn(sentence)
    if json_:
        print(json.dumps([summary.as_json() for summary in summaries]))
        return
    if not summaries:
        print("There are no runs here yet. Start one with: penwright finetune FILE")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("run", "status", "model"):
        table.add_column(heading)
    for heading in ("steps", "before", "after"):
        table.add_column(heading, justify="right")
    table.add_column("started")
    for item in summaries:
        table.add_row(
            item.name,
            item.status,
            item.model,
            f"{item.step:,}/{item.steps:,}",
            _figure(item.perplexity_before),
            _figure(item.perplexity_after),
            item.created.replace("T", " ")[:16],
        )
    Console(highlight=False).print(table)
    for item in summaries:
        if item.resume:
            print(f"To continue {item.name}: {item.resume}")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"


def export(model: str, *, options: Annotated[ExportConfig, Opened], json_: Json = False) -> None:
    """Convert a model for another program: transformers, llama.cpp, CTranslate2, PEFT.

    Parameters
    ----------
    model
        A run, a folder, a size (124M), a Hub name, or base.
    """
    from dataclasses import asdict

    from penwright.verbs.model_folders import run_export

    made = run_export(
        model,
        options.to,
        options.output,
        dtype=options.dtype,
        shard_size=options.shard_size,
        check=options.check,
    )
    if json_:
        print(json.dumps(asdict(made) | {"path": str(made.path)}))
        return
    for note in made.notes:
        warn(note)
    print(f"{made.path}: {made.to}, {made.dtype}, {made.bytes / 1e6:,.1f} MB")
    if made.checked:
        print(made.checked)


def merge(model: str, adapter: str, *, options: Annotated[MergeConfig, Opened]) -> None:
    """Merge a LoRA adapter into its model, and write the result.

    Parameters
    ----------
    model
        The model that the adapter was made for.
    adapter
        A folder in PEFT's format.
    """
    from penwright.verbs.model_folders import merge as run_merge

    print(run_merge(model, adapter, options.output))


def push(
    model: str, repository: str, *, private: Annotated[bool, Parameter(negative="")] = False
) -> None:
    """Upload a model and its model card to the Hugging Face Hub.

    Parameters
    ----------
    model
        A run, or a model's folder.
    repository
        USER/NAME. You are identified by HF_TOKEN or a login of huggingface_hub.
    private
        Make the repository private.
    """
    from penwright.verbs.model_folders import push as run_push

    print(run_push(model, repository, private=private))
