"""The whole report: what it says, and that nothing can break it."""

from __future__ import annotations

import json
import math
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright import report
from penwright.report.read import RunData, SavedSample, Snapshot
from penwright.report.samples import list_prompts, pick
from tests.report.helpers import (
    SMALL_LINES,
    Page,
    eval_line,
    run_json,
    step_line,
    write_run,
)
from tests.report.test_page import HOSTILE, anything

GOLDEN = Path(__file__).parent / "golden.txt"


def check(page: str) -> Page:
    """A page that is whole, loads nothing and points at nothing that is not there."""
    found = Page(page)
    names = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(set(names)) == len(names)
    for _, attributes in found.elements:
        for key in ("href", "for", "aria-labelledby"):
            target = attributes.get(key)
            assert target is None or target.lstrip("#") in names or target == "data:,"
        assert "src" not in attributes
        assert not [key for key in attributes if key.startswith("on")]
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?\s*(?:https?:)?//|url\(|@import", page)
    assert "http:" not in page
    assert "https:" not in page
    types = [script.get("type") for script in found.named("script")]
    assert types.count(None) == 1
    assert set(types) <= {None, "application/json"}
    for block in found.blocks["script"][:-1]:
        json.loads(block, parse_constant=pytest.fail)
    assert not re.search(r"\b(nan|inf|None|undefined)\b", "".join(_drawn(found)))
    return found


def _drawn(found: Page) -> list[str]:
    """The places of everything that is drawn."""
    keys = ("d", "style")
    return [
        str(attributes[key])
        for _, attributes in found.elements
        for key in keys
        if key in attributes
    ]


def test_a_report_is_one_file_in_the_run(small: Path) -> None:
    path = report.write(small)
    assert path == small / "report.html"
    page = path.read_text(encoding="utf-8")
    assert page == report.render(report.read(small)).replace("\r\n", "\n")
    found = check(page)
    assert "Held-out perplexity fell from 81.2 to 31.4 in 2 min 05 s." in found.text.replace(
        "\u00a0", " "
    )


def test_what_the_report_of_a_small_run_says(small: Path) -> None:
    """After a change that is meant: delete golden.txt, run the tests, read it, commit it."""
    data = report.read(small)
    data = RunData(**{**vars(data), "written": "2025-11-21T04:00:00+00:00"})
    found = Page(report.render(data))
    words = "\n".join(" ".join(piece.split()) for piece in found.words) + "\n"
    if not GOLDEN.exists():
        GOLDEN.write_text(words, encoding="utf-8")
        pytest.fail("golden.txt was written; read it and run the tests again")
    assert words == GOLDEN.read_text(encoding="utf-8")


TOLD = "Held-out perplexity fell from 81.2 to 31.4 in 2 min 05 s."


@pytest.mark.parametrize(
    ("lines", "changes", "chapters", "says"),
    [
        (
            None,
            {"result": None, "status": "failed"},
            [],
            ["✕ failed", "The run failed before its first step was done.", "Steps0 of 4"],
        ),
        ([], {"result": {}}, [], ["✓ finished", "The run took no step."]),
        (
            [eval_line(0, 4.0)],
            {"status": "interrupted"},
            ["perplexity", "curves"],
            ["‖ interrupted", "before its first step", "penwright finetune --resume"],
        ),
        (
            [step_line(1, 4.0)],
            {},
            ["perplexity", "curves"],
            [TOLD, "after 1 of the 4 planned steps", "Nothing was measured on held-out text"],
        ),
        (
            [step_line(1, None)],
            {},
            ["perplexity", "curves"],
            [TOLD, "The training loss was not a number at 1 step, first at step 1."],
        ),
        (
            [step_line(s, 4.0) for s in (1, 2, 3)],
            {"result": {"seconds": 3}},
            ["curves"],
            ["3 steps in 3.0 s took the training loss from 4.00 to 4.00."],
        ),
        (
            [step_line(s, 4.0) for s in range(1, 200)],
            {},
            ["perplexity", "curves"],
            [TOLD, "Steps199 of 4", "Stretch the first steps"],
        ),
        (
            [step_line(s, None if s % 2 else 1e90) for s in range(1, 150)],
            {},
            ["perplexity", "curves"],
            ["not a number at 75 steps, first at step 1."],
        ),
        (
            [*SMALL_LINES, eval_line(2, 3.95, full=False), eval_line(4, 3.5, full=False)],
            {},
            ["perplexity", "curves"],
            [TOLD, "Held-out loss was lowest", "The 5 held-out measurements as a table"],
        ),
        (
            [{"kind": "eval", "step": 3, "loss": None, "full": True}],
            {"plan": None},
            ["perplexity", "curves"],
            ["The 1 held-out measurement as a table", "not a number"],
        ),
        (
            [step_line(1, -5.0), step_line(2, 0.0), step_line(10**7, 1e-12)],
            {"plan": {}},
            ["perplexity", "curves"],
            ["Steps10,000,000"],
        ),
        (
            SMALL_LINES,
            {"status": "unheard of", "command": None, "created": None, "data": None},
            ["perplexity", "curves"],
            ["· unheard of", "after 4 of 4 steps and 2 min 05 s", "had fallen from 81.2 to 31.4"],
        ),
    ],
)
def test_every_state_of_a_run_has_a_page(
    tmp_path: Path,
    lines: list[dict[str, Any]] | None,
    changes: dict[str, Any],
    chapters: list[str],
    says: list[str],
) -> None:
    found = check(report.render(report.read(write_run(tmp_path / "r", lines, **changes))))
    shown = [attributes["id"] for attributes in found.named("section")]
    rest = [*(["data"] if "data" not in changes else []), "settings", "machine", "next"]
    assert shown == [*chapters, *rest]
    words = " ".join(found.text.split())
    assert [part for part in says if part not in words] == []


def test_a_long_run_stays_small_and_keeps_its_extremes(tmp_path: Path) -> None:
    lines = [step_line(s, 3 + math.sin(s / 999), tokens_per_s=1000.0) for s in range(1, 30_001)]
    lines[17_000]["loss"] = 9.0
    lines[23_000]["tokens_per_s"] = 17.0
    page = report.render(report.read(write_run(tmp_path / "r", lines)))
    found = check(page)
    assert len(page) < 500_000
    blocks = [json.loads(block) for block in found.blocks["script"][:-1]]
    loss = next(line for line in blocks[0]["lines"] if line["name"] == "training, each step")
    assert len(loss["x"]) <= 1502
    assert loss["y"][loss["x"].index(17_001)] == max(loss["y"]) == 9.0
    speed = next(b for b in blocks if b["lines"][0]["name"] == "Tokens a second")["lines"][0]
    assert speed["y"][speed["x"].index(23_001)] == min(speed["y"]) == 17.0
    assert "the farthest 9.00 at step 17,001" in found.text


def test_hostile_text_stays_text_everywhere(tmp_path: Path) -> None:
    def spoil(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                f"{key}{HOSTILE}" if key == "cores" else key: spoil(v) for key, v in value.items()
            }
        return (
            [spoil(v) for v in value]
            if isinstance(value, list)
            else (HOSTILE if isinstance(value, str) else value)
        )

    info = spoil(run_json()) | {"error": {"message": HOSTILE, "fix": HOSTILE}}
    sample = {"prompt": HOSTILE, "text": HOSTILE, "finish_reason": HOSTILE}
    run = write_run(tmp_path / "<b onclick=x>", SMALL_LINES, {0: [sample], 4: [sample]}, **info)
    found = check(report.render(report.read(run)))
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"img", "b onclick", "object", "iframe", "form"}
    assert found.text.count("<script>alert(1)</script>") > 10


@settings(max_examples=40, deadline=None)
@given(anything, anything)
def test_samples_come_out_as_they_went_in(prompt: str, text: str) -> None:
    snapshot = Snapshot(3, (SavedSample(prompt, text, "end"),))
    data = RunData(
        name="r", handle="r", status="finished", written="", run={}, snapshots=(snapshot,)
    )
    found = check(report.render(data))
    shown = text.replace("\r\n", "\n")
    if shown.isprintable() and len(text) < 3000:
        assert shown in found.text


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
spoiled = st.fixed_dictionaries(
    {},
    optional={
        key: json_values
        if not isinstance(value, dict)
        else json_values | st.fixed_dictionaries({}, optional=dict.fromkeys(value, json_values))
        for key, value in (run_json() | {"error": {"message": "", "fix": ""}}).items()
    },
)


records = st.fixed_dictionaries(
    {"kind": st.sampled_from(["step", "eval", "else"]), "step": st.integers(-1, 6)},
    optional=dict.fromkeys(
        sorted({*step_line(1, 1.0), *eval_line(1, 1.0)} - {"kind", "step"}), json_values
    ),
)


@settings(max_examples=150, deadline=None)
@given(spoiled, st.lists(records | json_values, max_size=5))
def test_no_run_json_and_no_metrics_break_the_report(
    info: dict[str, Any], lines: list[Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "runs" / "r"
        run.mkdir(parents=True)
        (run / "run.json").write_text(json.dumps(info))
        (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
        check(report.write(run).read_text(encoding="utf-8"))


def snapshots(steps: range) -> list[Snapshot]:
    return [Snapshot(step, (SavedSample("a", "b", "end"),)) for step in steps]


@given(st.integers(1, 60), st.integers(0, 60))
def test_the_first_last_and_best_snapshots_are_shown(total: int, best: int) -> None:
    steps = [item.step for item in pick(snapshots(range(total)), best)]
    assert len(steps) == min(total, 8)
    assert steps == sorted(set(steps))
    assert {0, total - 1} <= set(steps)
    assert best >= total or best in steps


def test_equal_prompts_are_told_apart() -> None:
    twice = Snapshot(
        1,
        (SavedSample("a", "x", "end"), SavedSample("b", "y", "end"), SavedSample("a", "z", "end")),
    )
    assert list_prompts([twice]) == [("a", 0), ("b", 0), ("a", 1)]


def test_measurements_beyond_a_tableful_are_thinned_but_the_best_is_kept(tmp_path: Path) -> None:
    lines = [eval_line(s, 5 - s / 100 if s < 318 else 4.0) for s in range(500)]
    found = check(report.render(report.read(write_run(tmp_path / "r", lines, result=None))))
    assert "The 500 held-out measurements as a table, 61 of 500 shown" in found.text
    assert "1.8300" in found.text
