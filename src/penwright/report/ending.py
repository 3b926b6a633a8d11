"""What a recipe measured and wrote at its end, from the recipe.json of its run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from penwright.report.page import Html, fold, html, table
from penwright.wording import amount

_ON = {"held out": "on what was held out", "data": "on what was learned"}
_NAMES = {"token": "perplexity", "batch": "mean of batches' losses, as perplexity"}
_LONGEST_TEXT = 3000


@dataclass(frozen=True)
class Compared:
    """A figure before and after the training, in words, with its interval."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Written:
    """A text, and whose it is: the data's own, or a model's."""

    title: str
    prompt: str
    who: str
    text: str


@dataclass(frozen=True)
class Ending:
    """All of it."""

    figures: tuple[Compared, ...]
    texts: tuple[Written, ...]


def read_ending(path: Path) -> Ending | None:
    """The end of a recipe, or None; raises ValueError, TypeError, KeyError or AttributeError for a
    damaged file, and OSError for one that cannot be read."""
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    figures = (row for one in content["measured"] for row in _compare(one))
    texts = (text for one in content["writing"] for text in _texts(one))
    return Ending(tuple(dict.fromkeys(figures)), tuple(texts))


def _compare(one: Mapping[str, Any]) -> Iterator[Compared]:
    before, after = (dict(_figures(one[side])) for side in ("before", "after"))
    for name, words in after.items():
        yield Compared(f"{name}, {_ON[one['on']]}", before.get(name, "-"), words)


def _figures(side: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield _NAMES[side["average"]], _words(side["perplexity"], side["low"], side["high"])
    for name, figure in side.get("metrics", {"figures": {}})["figures"].items():
        yield str(name), _words(figure["value"], figure["low"], figure["high"])


def _words(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "-"
    return amount(value) + (
        "" if low is None or high is None else f" [{amount(low)}, {amount(high)}]"
    )


def _texts(one: Mapping[str, Any]) -> Iterator[Written]:
    human = [] if one["human"] is None else [one["human"]]
    for who, texts in (
        ("human", human),
        ("trained", one["texts"]),
        ("untrained", one["untrained"]),
    ):
        for number, text in enumerate(texts, 1):
            name = who if len(texts) == 1 else f"{who} {number}"
            yield Written(str(one["title"]), str(one["prompt"]), name, str(text))


def ending(found: Ending) -> Html:
    """A table of the figures, and the texts by their prompts."""
    rows = [(row.name, row.before, row.after) for row in found.figures]
    folds = [
        fold(title or "What it wrote", [*_by_prompt([*texts])], is_open=number == 0)
        for number, (title, texts) in enumerate(groupby(found.texts, lambda text: text.title))
    ]
    return html(
        '{figures}<p class="note">In brackets: 95 % intervals over documents.</p>\n{folds}',
        figures=table("Before and after the training", ("", "before", "after"), rows),
        folds=folds,
    )


def _by_prompt(texts: list[Written]) -> Iterator[Html]:
    """The texts to each prompt; of one that goes on from the prompt before, what is new."""
    before = ""
    for prompt, group in groupby(texts, lambda text: text.prompt):
        new = prompt.removeprefix(before) if before else prompt
        yield html(
            '<p class="text" dir="auto"><span class="given">{prompt}</span></p>\n{texts}',
            prompt=new if new == prompt else f"… {new.strip()}",
            texts=[
                html(
                    '<p class="about">{who}</p><p class="text" dir="auto">{text}</p>\n',
                    who=one.who,
                    text=one.text.strip()[:_LONGEST_TEXT],
                )
                for one in group
            ],
        )
        before = prompt
