"""What a run's samples start from, and when they are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import penwright

pytestmark = pytest.mark.usefixtures("small_base")

QUICK = {"model": "base", "precision": "fp32", "sample_tokens": 3, "name": "r"}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))


def samples():
    """The samples of the run, by step."""
    files = sorted(Path("runs/r/samples").glob("*.json"))
    return {int(f.stem.removeprefix("step-")): json.loads(f.read_text()) for f in files}


def prompts():
    return [sample["prompt"] for sample in samples()[0]]


def test_a_text_of_one_token_is_a_text():
    Path("t.txt").write_text("x")
    penwright.finetune("t.txt", steps=1, **QUICK)
    assert set(samples()) == {0, 1}


def test_a_single_pair_has_a_single_prompt():
    pair = {"prompt": "Name the goose of the pond.", "completion": " It is Clementine."}
    Path("one.jsonl").write_text(json.dumps(pair))
    penwright.finetune("one.jsonl", steps=1, **QUICK)
    assert prompts() == [pair["prompt"]]


def test_a_single_text_has_prompts_from_several_places():
    text = "\n".join(f"The goose number {n} asked for tea." for n in range(90))
    Path("t.txt").write_text(text)
    penwright.finetune("t.txt", steps=1, max_length=32, held_out=0.0, **QUICK)
    first, *others = prompts()
    assert first == "The goose number 0 asked for tea."
    assert len(others) == 2
    assert all(text.index(prompt) > 0 for prompt in others)


def test_a_run_shorter_than_its_first_measurement_has_samples_at_its_end():
    Path("t.txt").write_text("\n".join(f"Goose {n} asked for tea." for n in range(40)))
    penwright.finetune("t.txt", documents="line", steps=3, max_length=16, **QUICK)
    assert set(samples()) == {0, 3}
