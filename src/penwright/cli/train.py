"""Verbs that train: quickstart, finetune, cross-train, recipe."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from penwright.cli.options import ConfigFile, Given, Json, Opened
from penwright.config import CrossTrainConfig, FinetuneConfig, RecipeConfig

if TYPE_CHECKING:
    from penwright.verbs.evaluate import Evaluation
    from penwright.verbs.run_recipe import Measured, Outcome, Written

QUICKSTART_PROMPT = "Pip hears a song in the wood."
QUICKSTART_TRAINING: dict[str, Any] = {"model": "base", "epochs": 1.0, "learning_rate": 6e-4}
"""One pass over the stories: three take three times as long for a perplexity 5 % lower."""
QUICKSTART_WRITING: dict[str, Any] = {
    "temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.15,
}  # fmt: skip
"""Without a penalty a model this small repeats itself; hotter, its sentences do not cohere."""
_SEED = 7


def quickstart() -> None:
    """See everything work in three minutes: train the bundled model on the sample stories."""
    from importlib.resources import as_file, files

    from rich.console import Console

    from penwright.cli.inspect import show_inspection
    from penwright.cli.live import make_view
    from penwright.config import InspectConfig
    from penwright.runs import RUNS, new_name
    from penwright.sample import Sample
    from penwright.verbs.finetune import run_finetune
    from penwright.verbs.generate import load_exactly
    from penwright.verbs.inspect import run_inspect

    console = Console(highlight=False)

    def heading(text: str) -> None:
        console.print(f"\n[bold]{text}[/bold]\n")

    def show(sample: Sample) -> None:
        console.print(f"[dim]{QUICKSTART_PROMPT}[/dim]", soft_wrap=True)
        console.print(sample.text.strip() + "\n", markup=False)

    with as_file(files("penwright") / "assets" / "samples" / "hill.jsonl") as stories:
        heading("The text: short, plain stories that come with Penwright")
        show_inspection(run_inspect([stories], InspectConfig(model="base", windows=1)), console)

        heading("What the model writes before it has read them")
        before = load_exactly("base", "auto").generate(
            f"{QUICKSTART_PROMPT}\n\n", seed=_SEED, max_new_tokens=120, **QUICKSTART_WRITING
        )[0]
        show(before)

        heading("Teaching it")
        name = new_name(RUNS, "quickstart")
        with make_view() as view:
            run = run_finetune(
                [stories], QUICKSTART_TRAINING | {"name": name}, view, "penwright quickstart"
            )

    heading("The same beginning, after")
    writer = load_exactly(run.folder, "auto")
    first, *more = writer.generate(
        QUICKSTART_PROMPT, n=4, seed=_SEED, max_new_tokens=250, **QUICKSTART_WRITING
    )
    show(first)
    heading("Three more")
    for sample in more:
        show(sample)
    view.show_result(run)
    console.print("With a text of your own: penwright finetune FILE", markup=False)


def finetune(
    *data: str,
    config: ConfigFile = None,  # noqa: ARG001 - read before the flags, in cli.options
    options: Annotated[FinetuneConfig, Opened] = FinetuneConfig(),  # noqa: ARG001, B008
    given: Given,
) -> None:
    """Train a model on your text.

    Parameters
    ----------
    data
        Files, folders or globs: plain text, CSV, JSONL, documents, books, chats.
    """
    from penwright.cli.live import make_view, stopping
    from penwright.train.launch import is_rank, launch
    from penwright.verbs.finetune import run_finetune
    from penwright.verbs.run_info import count_devices

    devices = 1 if is_rank() else count_devices(given)
    if devices != 1:
        sys.exit(launch(sys.argv[1:], devices))
    with make_view() as view, stopping(view):
        run = run_finetune(data, given, view, _typed())
    view.show_result(run)


def cross_train(
    *data: str,
    config: ConfigFile = None,  # noqa: ARG001 - read before the flags, in cli.options
    options: Annotated[CrossTrainConfig, Opened] = CrossTrainConfig(),  # noqa: ARG001, B008
    given: Given,
) -> None:
    """Train on one data set after another, each at a lower learning rate.

    Each is a run of its own, NAME-1, NAME-2 and so on, which starts from the best weights of the
    run before. The same command with --resume continues after a stop.

    Parameters
    ----------
    data
        The data sets: files, folders or globs.
    """
    from penwright.cli.live import make_view, stopping
    from penwright.verbs.sequence import run_sequence

    sets = [[path] for path in data]
    with make_view() as view, stopping(view, "the same command with --resume"):
        runs = run_sequence(sets, given, view, _typed())
    view.show_result(runs[-1])


def recipe(
    which: str | None = None,
    /,
    *,
    own: Annotated[RecipeConfig, Opened] = RecipeConfig(),  # noqa: B008 - frozen
    options: Annotated[FinetuneConfig, Opened] = FinetuneConfig(),  # noqa: ARG001, B008
    json_: Json = False,
    given: Given,
) -> None:
    """Repeat a known way of fine-tuning: train, measure before and after, write.

    Parameters
    ----------
    which
        A recipe's name, or your own TOML file. Without it, the recipes are listed.
    """
    from penwright.verbs.recipe_file import list_recipes, read_recipe

    if which is None:
        listed = list_recipes()
        if json_:
            print(json.dumps([{"name": r.name, **asdict(r.about)} for r in listed]))
        else:
            print("\n".join(f"{r.name:<12} {r.about.about}" for r in listed))
        return
    from penwright.cli.live import make_view, stopping
    from penwright.verbs.run_recipe import run_recipe

    with make_view() as view, stopping(view):
        found = read_recipe(which).with_prompts(own.prompt)
        outcome = run_recipe(found, own.data, given, view, _typed())
    view.show_result(outcome.run)
    print(json.dumps(outcome.as_json(), ensure_ascii=False) if json_ else render(outcome))


def _typed() -> str:
    """Return the command as it was typed."""
    return "penwright " + shlex.join(sys.argv[1:])


def render(outcome: Outcome) -> str:
    """Return what was measured and written, as text for people."""
    parts = [_figures(one) for one in outcome.measured]
    title, prompt = None, ""
    for text in outcome.written:
        if text.title != title:
            title, prompt = text.title, ""
            parts.append(f"== {title} ==")
        parts.append(_text(text, prompt))
        prompt = text.prompt
    return "\n\n".join(parts)


def _figures(one: Measured) -> str:
    rows: list[tuple[str, ...]] = [("", "before", "after"), _perplexity(one.before, one.after)]
    for name in (
        [figure.name for figure in one.after.measured.figures] if one.after.measured else []
    ):
        both = (one.before.measured, one.after.measured)
        rows.append((name, *(str(m[name]) if m else "-" for m in both)))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    where = "what was held out" if one.on == "held out" else "what was learned"
    return "\n".join([f"Measured on {where}, with 95 % intervals:", *lines])


def _perplexity(before: Evaluation, after: Evaluation) -> tuple[str, ...]:
    name = "perplexity" if after.average == "token" else "mean of batches' losses, as perplexity"
    return (name, *(_with_interval(e.perplexity, e.low, e.high) for e in (before, after)))


def _with_interval(value: float, low: float | None, high: float | None) -> str:
    return (
        f"{value:,.2f}"
        if low is None or high is None
        else f"{value:,.2f} [{low:,.2f}, {high:,.2f}]"
    )


def _text(text: Written, before: str) -> str:
    """Return the texts of a prompt; a prompt that continues the one before is shortened."""
    new = text.prompt.removeprefix(before) if before else text.prompt
    lines = [new if new == text.prompt else f"... {new.strip()}"] if text.prompt else []
    if text.human is not None:
        lines.append(f"-- human: {text.human.strip()}")
    lines += _numbered("", text.texts) + _numbered("untrained ", text.untrained)
    return "\n".join(lines)


def _numbered(who: str, texts: Sequence[str]) -> list[str]:
    return [f"-- {who}{number}: {text.strip()}" for number, text in enumerate(texts, 1)]
