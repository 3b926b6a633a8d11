"""The end of a recipe, on its run's page."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import report
from tests.report.helpers import Page, write_run
from tests.report.test_page import HOSTILE, anything
from tests.report.test_report import check


def side(perplexity: float, **more: Any) -> dict[str, Any]:
    return {"average": "token", "perplexity": perplexity, "low": 4.0, "high": 6.5, **more}


def figures(value: float) -> dict[str, Any]:
    f1 = {"name": "F1", "value": value, "low": None, "high": None}
    return {"metrics": {"figures": {"F1": f1}}}


def turn(prompt: str, human: str) -> dict[str, Any]:
    return {
        "title": "Turn by turn", "prompt": prompt, "human": human, "texts": ["one", "two"],
        "untrained": ["three"],
    }  # fmt: skip


ENDING = {
    "measured": [
        {"on": "held out", "before": side(9, **figures(0)), "after": side(5, **figures(31.25))},
        {"on": "data", "before": side(9) | {"average": "batch"}, "after": side(5, average="batch")},
    ],
    "writing": [
        turn("Once.\nQ: Who?\nA:", " A goose"),
        turn("Once.\nQ: Who?\nA: A goose\nQ: Where?\nA:", ""),
    ],
}


def page_of(folder: Path, ending: Any) -> Page:
    write_run(folder)
    (folder / "recipe.json").write_text(json.dumps(ending), encoding="utf-8")
    return Page(report.write(folder).read_text(encoding="utf-8"))


def bare(text: str) -> str:
    """Without white space, which the elements of a page have or have not between them."""
    return re.sub(r"\s+", "", text)


def test_figures_and_texts_are_on_the_page(tmp_path: Path) -> None:
    text = bare(page_of(tmp_path / "run", ENDING).text)
    for words in (
        "How the recipe ended",
        "perplexity, on what was held out 9.00 [4.00, 6.50] 5.00 [4.00, 6.50]",
        "F1, on what was held out 0 31.2",
        "mean of batches' losses, as perplexity, on what was learned",
        "Turn by turn",
        "Once. Q: Who? A: human A goose trained 1 one trained 2 two untrained three",
        "… A goose Q: Where? A:",
    ):
        assert bare(words) in text, words
    assert text.count("Once.") == 1, "a dialogue's passage stands there once"


def test_a_run_that_was_no_recipe_s_has_no_such_chapter(tmp_path: Path) -> None:
    page = report.write(write_run(tmp_path / "run")).read_text(encoding="utf-8")
    assert "recipe ended" not in page


@pytest.mark.parametrize("damaged", [[], {}, 3, {"measured": 1}, {"measured": [{}], "writing": []}])
def test_a_damaged_ending_is_left_out_and_named(tmp_path: Path, damaged: Any) -> None:
    text = page_of(tmp_path / "run", damaged).text
    assert "Could not be read, and left out: recipe.json" in text
    assert "recipe ended" not in text


@given(anything, anything, st.floats())
def test_nothing_in_it_breaks_the_page(title: str, text: str, value: float) -> None:
    one = turn(text, HOSTILE) | {"title": title, "texts": [text]}
    content = {"measured": [{"on": "data", "before": side(value), "after": side(1)}]}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        page_of(run, content | {"writing": [one, one]})
        page = check((run / "report.html").read_text(encoding="utf-8"))
    assert "How the recipe ended" in page.text
    assert not page.named("img")
