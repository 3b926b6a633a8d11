"""A run folder is read whatever state it is in."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from penwright.errors import RunError
from penwright.report.read import number, read, read_metrics
from tests.report.helpers import SMALL_LINES, eval_line, step_line, write_run


def metrics(*records: object) -> list[str]:
    return [json.dumps(record) + "\n" for record in records]


def test_a_whole_run(small: Path) -> None:
    data = read(small)
    assert (data.name, data.handle, data.status, data.unreadable) == (
        "small",
        "small",
        "finished",
        (),
    )
    assert data.curves["loss"].points() == [(1, 4.25), (2, 4.0), (3, 3.75), (4, 3.5)]
    assert [(item.step, item.full, item.best) for item in data.evaluations] == [
        (0, True, False),
        (2, True, True),
        (4, True, True),
    ]
    assert [snapshot.step for snapshot in data.snapshots] == [0, 4]
    assert data.snapshots[1].samples[0].text == " upon a time."


def test_a_cut_off_last_line_is_no_damage_but_one_before_it_is() -> None:
    lines = metrics(step_line(1, 4.0), step_line(2, 3.0))
    curves, _, damaged = read_metrics([*lines, '{"kind":"step","st'])
    assert (len(curves["loss"].steps), damaged) == (2, 0)
    for broken in ('{"kind":"step","st\n', "[]\n", "7\n", '{"kind":"step"}\n', "nonsense\n"):
        curves, _, damaged = read_metrics([lines[0], broken, lines[1]])
        assert (curves["loss"].values.tolist(), damaged) == ([4.0, 3.0], 1)
    assert read_metrics([lines[0], "\n"])[2] == 0


def test_values_that_are_no_numbers_are_gaps_and_missing_ones_are_absent() -> None:
    records = [step_line(1, 4.0), step_line(2, None), step_line(3, math.nan), step_line(4, 3.0)]
    del records[0]["memory_mb"]
    curves, _, _ = read_metrics(metrics(*records))
    assert [math.isnan(value) for value in curves["loss"].values] == [False, True, True, False]
    assert curves["memory_mb"].steps.tolist() == [2, 3, 4]


def test_steps_taken_again_after_a_crash_count_once() -> None:
    lines = metrics(
        *(step_line(step, 5.0) for step in range(1, 8)),
        eval_line(6, 4.0),
        *(step_line(step, 4.0) for step in range(5, 7)),
        eval_line(6, 3.5),
    )
    curves, evaluations, _ = read_metrics(lines)
    assert curves["loss"].points() == [*((s, 5.0) for s in range(1, 5)), (5, 4.0), (6, 4.0)]
    assert [(item.step, item.loss) for item in evaluations] == [(6, 3.5)]


def test_the_last_score_of_an_earlier_best_step_forgets_nothing() -> None:
    records = [
        *(step_line(s, 4.0) for s in (1, 2, 3)),
        eval_line(1, 3.0, full=False),
        eval_line(1, 3.2),
    ]
    curves, evaluations, _ = read_metrics(metrics(*records))
    assert len(curves["loss"].steps) == 3
    assert [(item.full, item.loss) for item in evaluations] == [(False, 3.0), (True, 3.2)]


def test_a_missing_perplexity_comes_from_the_loss() -> None:
    records = [
        eval_line(1, 2.0, perplexity=None),
        eval_line(2, 2.0) | {"perplexity": None, "loss": None},
    ]
    _, evaluations, _ = read_metrics(metrics(*records))
    assert evaluations[0].perplexity == pytest.approx(math.exp(2))
    assert evaluations[1].perplexity is None


def test_damaged_samples_are_named_and_the_others_kept(tmp_path: Path) -> None:
    good = [{"prompt": "a", "text": "b", "finish_reason": "end"}]
    run = write_run(tmp_path / "r", SMALL_LINES, {2: good})
    for name, text in (
        ("step-000003", '[{"prompt": "a'),
        ("step-000004", '[{"text": "b"}]'),
        ("step-000005", "3"),
    ):
        (run / "samples" / f"{name}.json").write_text(text)
    data = read(run)
    assert [snapshot.step for snapshot in data.snapshots] == [2]
    assert data.unreadable == tuple(f"samples/step-00000{n}.json" for n in (3, 4, 5))


def test_a_run_outside_runs_is_named_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "elsewhere", None)
    assert read(folder).handle == folder.as_posix()
    monkeypatch.chdir(tmp_path)
    assert read(Path("elsewhere")).handle == "./elsewhere"


def test_a_run_that_no_process_writes_any_more_is_interrupted(tmp_path: Path) -> None:
    assert read(write_run(tmp_path / "r", None, status="running")).status == "interrupted"


def test_no_run_at_all_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run in"):
        read(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        read(tmp_path)


@pytest.mark.parametrize("value", [None, True, "3", math.nan, math.inf, 10**400, -1e200, [1]])
def test_what_is_no_number(value: object) -> None:
    assert number(value) is None
    assert number(3) == 3.0
