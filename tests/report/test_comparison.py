from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penwright import report
from penwright.report.chart import as_svg
from penwright.report.comparison import comparison_page, make_chart

from .helpers import SMALL_LINES, SMALL_SAMPLES, Page, write_run

HOSTILE = "<script>alert(1)</script>"


def figure(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "value": value, "low": value - 1, "high": value + 1, "documents": 9}


def column(value: float) -> dict[str, Any]:
    names = ("distinct-1", "repetition", "copied")
    return {"texts": 9, "figures": {name: figure(name, value) for name in names}}


def make_comparison(**changes: Any) -> dict[str, Any]:
    """What `compare --json` prints of two models."""
    vote = {"first": "old", "second": "new", "wins": 3, "losses": 9, "ties": 2, "rate": 0.25,
            "interval": [0.09, 0.53], "votes_to_settle": 4}  # fmt: skip
    texts = [
        {"prompt": f"Once {n}", "human": " upon a time.", "texts": [" the the", f" {HOSTILE}"]}
        for n in range(3)
    ]
    return {
        "models": ["old", "new"],
        "on": "what old held out",
        "documents": 12,
        "unit": "perplexity",
        "figures": [figure("perplexity", 31.4), figure("perplexity", 22.7)],
        "bits_per_byte": [1.21, 1.07],
        "differences": [{"says": "new predicts better than old."}],
        "quality": {"old": column(50.0), "new": column(60.0), "human text": column(55.0)},
        "quality_differences": {"new": {"distinct-1": figure("distinct-1", 10.0)}},
        "texts": texts,
        "votes": [vote],
    } | changes


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Any]:
    folders = [write_run(tmp_path / name, SMALL_LINES, SMALL_SAMPLES) for name in ("old", "new")]
    return {folder.name: report.read(folder) for folder in folders}


def test_what_the_page_says(runs: dict[str, Any]) -> None:
    found = Page(comparison_page(make_comparison(), runs))
    sections = [attributes["id"] for attributes in found.named("section")]
    assert sections == ["figures", "curves", "votes", "quality", "texts"]
    for words in (
        "new predicts better than old.",
        "31.4 [30.4, 32.4]",
        "25% [9%, 53%]",
        "about 4 more",
        "new writes beyond doubt unlike old in: distinct-1.",
        "Held-out loss",
        HOSTILE,
    ):
        assert words in found.text
    assert [len(one.get("class") or "") for one in found.named("li") if one.get("class")]


def test_without_texts_votes_and_runs(runs: dict[str, Any]) -> None:
    changes = {"quality": {}, "quality_differences": {}, "texts": [], "unit": "bits per byte"}
    vote = make_comparison()["votes"][0] | {"rate": None}
    found = Page(comparison_page(make_comparison(**changes, votes=[vote]), {}))
    assert [one["id"] for one in found.named("section")] == ["figures", "votes"]
    assert "penwright compare old new --vote" in found.text
    assert found.text.count("bits per byte") == 1
    assert runs


def test_a_report_has_quality_and_the_run_before(tmp_path: Path) -> None:
    write_run(tmp_path / "old", SMALL_LINES)
    previous = {
        "name": "old",
        "difference": {"says": "small predicts better than old."},
        "changed": {"learning_rate": [None, 0.001]},
    }
    folder = write_run(tmp_path / "small", SMALL_LINES, SMALL_SAMPLES, previous=previous)
    columns = {"small": column(50.0), "human text": column(55.0)}
    content = {"columns": columns, "settings": {"max_new_tokens": 60}}
    (folder / "quality.json").write_text(json.dumps(content))
    found = Page(report.render(report.read(folder)))
    sections = [attributes["id"] for attributes in found.named("section")]
    assert {"previous", "quality"} <= set(sections)
    assert "small predicts better than old." in found.text
    assert "9 texts of 60 tokens at most" in found.text
    (folder / "quality.json").write_text("{")
    (tmp_path / "old" / "run.json").unlink()
    found = Page(report.render(report.read(folder)))
    assert "Could not be read, and left out: quality.json." in found.text
    assert "small predicts better than old." in found.text


def test_a_chart_as_a_file_of_its_own() -> None:
    svg = as_svg(make_chart({"a<b": [(0.0, 3.0), (9.0, 2.0)], "c": [(0.0, 3.0)]}, "s"), "Loss")
    found = Page(svg)
    assert found.text.count("a<b") == 1
    assert len([one for one in found.named("path") if "L" in str(one["d"])]) == 1
