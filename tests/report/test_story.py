"""Figures and sentences as a person writes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import config
from penwright.report.chapters import command_line, moment, plain, quoted, resume_line
from penwright.report.options_table import help_lines, list_settings
from penwright.report.read import read
from penwright.report.story import RunFacts, find_facts, headline, remarks
from tests.report.helpers import SMALL_LINES, eval_line, step_line, write_run

FACTS = RunFacts(
    status="finished",
    steps=300,
    planned=300,
    seconds=125.0,
    before=81.2,
    after=31.4,
    best=None,
    first_loss=4.4,
    last_loss=3.2,
)


def test_moments_and_values() -> None:
    assert moment("2025-11-21T03:57:12+01:00") == "21 November 2025, 03:57"
    assert (moment("yesterday"), moment(7)) == ("yesterday", "")
    assert plain({"a": [1, 2.5, True], "b": None}) == "a: 1, 2.5, yes, b: not set"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Held-out perplexity fell from 81.2 to 31.4 in 2 min 05 s."),
        ({"after": 99.0}, "Held-out perplexity rose from 81.2 to 99.0 in 2 min 05 s."),
        ({"after": 81.3}, "Held-out perplexity stayed at 81.3 in 2 min 05 s."),
        ({"seconds": None}, "Held-out perplexity fell from 81.2 to 31.4."),
        ({"before": None}, "Held-out perplexity is 31.4 after 300 steps."),
        (
            {"before": None, "after": None},
            "300 steps in 2 min 05 s took the training loss from 4.40 to 3.20.",
        ),
        (
            {"before": None, "after": None, "first_loss": None, "steps": 0},
            "The run took no step.",
        ),
        (
            {"status": "running", "steps": 140},
            "140 of 300 steps so far in 2 min 05 s; held-out perplexity has fallen from 81.2 to "
            "31.4.",
        ),
        (
            {"status": "interrupted", "steps": 140},
            "The run was interrupted after 140 of 300 steps and 2 min 05 s; by then held-out "
            "perplexity had fallen from 81.2 to 31.4.",
        ),
        (
            {"status": "failed", "steps": 1, "planned": None, "after": None},
            "The run failed after 1 step and 2 min 05 s.",
        ),
        ({"status": "failed", "steps": 0}, "The run failed before its first step was done."),
    ],
)
def test_the_headline(changes: dict[str, Any], sentence: str) -> None:
    assert headline(replace(FACTS, **changes)).replace("\u00a0", " ") == sentence


def said(tmp_path: Path, lines: list[dict[str, Any]], **changes: Any) -> str:
    data = read(write_run(tmp_path / "r", lines, **changes))
    return " ".join(remarks(data, find_facts(data)))


def test_a_good_run_needs_no_remark(tmp_path: Path) -> None:
    assert said(tmp_path, SMALL_LINES) == ""


def test_learning_by_heart_is_told(tmp_path: Path) -> None:
    losses = {0: 4.4, 2: 3.4, 3: 3.5, 4: 3.6}
    lines = [eval_line(step, loss) for step, loss in losses.items()]
    words = said(tmp_path, lines, result={"best_step": 2})
    assert "best after step 2" in words
    assert "memorise" in words


def test_early_endings_errors_and_gaps_are_told(tmp_path: Path) -> None:
    words = said(
        tmp_path,
        [step_line(1, 4.0), step_line(2, None)],
        plan={"steps": 9},
        result={"stopped": "patience"},
        error={"message": "The loss is nan.", "fix": "Try --precision fp32."},
    )
    assert "after 2 of the 9 planned steps, since the held-out" in words
    assert "The loss is nan. Try --precision fp32." in words
    assert "not a number at 1 step, first at step 2" in words
    assert "Nothing was measured on held-out text" in words


def test_facts_come_from_the_curves_where_there_is_no_result(tmp_path: Path) -> None:
    lines = [
        eval_line(0, 4.5, full=True),
        eval_line(0, 4.4, full=False),
        step_line(1, 4.0),
        eval_line(1, 3.0, full=False),
        step_line(2, 3.9),
    ]
    data = read(write_run(tmp_path / "r", lines, result=None, status="interrupted"))
    facts = find_facts(data)
    assert facts.before == pytest.approx(81.45, abs=0.01)  # on the same part of the text
    assert facts.after == pytest.approx(20.09, abs=0.01)
    assert (facts.steps, facts.planned, facts.seconds) == (2, 4, 5.0)


@given(st.text(min_size=1))
def test_a_quoted_word_is_one_word_for_a_shell(word: str) -> None:
    import shlex

    assert shlex.split(quoted(word)) == [word]


def test_the_command_continues_its_own_run(tmp_path: Path) -> None:
    words = ["penwright", "finetune", "my stories.txt"]
    assert command_line(words) == 'penwright finetune "my stories.txt"'
    inside = read(write_run(tmp_path / "runs" / "a b", None))
    assert resume_line(inside) == 'penwright finetune --resume --name "a b"'
    outside = read(write_run(tmp_path / "b", None))
    assert resume_line(outside) == f"penwright finetune --resume --output-dir {outside.handle}"


def test_settings_that_differ_come_apart_from_the_others() -> None:
    given_, rest = list_settings(
        {"steps": 4, "seed": 42, "data": {"format": "csv", "learn": []}, "unheard_of": 1}
    )
    assert [item.name for item in given_] == ["steps", "format", "unheard_of"]
    assert [item.name for item in rest] == ["seed", "learn"]
    assert given_[1].default == "auto"
    assert "checkpoint" in help_lines()["keep"].lower()
    assert "data" in help_lines()["seed"]  # not the seed of sampling
    assert set(help_lines()) == set(config.flat_fields(config.FinetuneConfig))
