"""`penwright recipe`"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from penwright.cli.options import Json, Opened
from penwright.config import FinetuneConfig

if TYPE_CHECKING:
    from penwright.verbs.evaluate import Evaluation
    from penwright.verbs.recipe import Measured, Outcome, Written


def recipe(
    which: str | None = None,
    /,
    *,
    data: tuple[str, ...] = (),
    prompt: tuple[str, ...] = (),
    options: Annotated[FinetuneConfig, Opened] = FinetuneConfig(),  # noqa: B008 - frozen
    json_: Annotated[Json, Parameter(name="--json")] = False,
) -> None:
    """Do what another system does: train, measure before and after, and write; or list the recipes.

    Parameters
    ----------
    which
        The recipe's name, or a TOML file of your own; without one all are listed.
    data
        The original data instead of the sample that comes along; may be given several times.
    prompt
        What it writes from at the end, instead of its own prompts; may be given several times.
    """
    from penwright.verbs.recipes import list_recipes, read_recipe

    if which is None:
        listed = list_recipes()
        if json_:
            print(json.dumps([{"name": r.name, **asdict(r.about)} for r in listed]))
        else:
            print("\n".join(f"{r.name:<12} {r.about.about}" for r in listed))
        return
    from penwright.cli.live import make_view, stopping
    from penwright.verbs.recipe import run_recipe

    command = "penwright " + shlex.join(sys.argv[1:])
    with make_view() as view, stopping(view):
        found = read_recipe(which).with_prompts(prompt)
        outcome = run_recipe(found, data, options, view, command)
    view.show_result(outcome.run)
    print(json.dumps(outcome.as_json(), ensure_ascii=False) if json_ else render(outcome))


def render(outcome: Outcome) -> str:
    """What was measured and written, for people."""
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
    """The texts to a prompt; of one that goes on from the prompt before, only what is new."""
    new = text.prompt.removeprefix(before) if before else text.prompt
    lines = [new if new == text.prompt else f"... {new.strip()}"] if text.prompt else []
    if text.human is not None:
        lines.append(f"-- human: {text.human.strip()}")
    lines += _numbered("", text.texts) + _numbered("untrained ", text.untrained)
    return "\n".join(lines)


def _numbered(who: str, texts: Sequence[str]) -> list[str]:
    return [f"-- {who}{number}: {text.strip()}" for number, text in enumerate(texts, 1)]
