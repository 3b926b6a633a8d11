"""An option given to a run that is resumed is taken or refused; it is never passed over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import penwright
from penwright.config import MAY_CHANGE, FinetuneConfig, flat_values
from penwright.errors import RunError
from penwright.runs import Run

QUICK = {"model": "base", "precision": "fp32", "max_length": 16, "sample_every": 0, "name": "r"}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    Path("t.txt").write_text("\n".join(f"Goose {n} asked for tea." for n in range(40)))


def begin(**options):
    penwright.finetune("t.txt", documents="line", batch_size=2, **QUICK | {"steps": 2} | options)


def resume(**options):
    penwright.finetune(resume=True, name="r", **options)
    return Run(Path("runs/r")).info


@pytest.mark.parametrize(
    ("name", "began", "default"),
    [("patience", 10, 5), ("keep", 7, 2), ("sample_tokens", 5, 80), ("sample_every", 1, None)],
)
def test_a_default_that_is_given_is_given(name, began, default):
    assert flat_values(FinetuneConfig())[name] == default
    begin(**{name: began})
    given = default if default is not None else 0
    info = resume(**{name: given})
    assert (info["plan"][name], info["config"][name]) == (given, given)


def test_what_is_not_given_stays():
    begin(patience=10, keep=7, weight_decay=0.0)
    info = resume(steps=3)
    assert (info["plan"]["patience"], info["plan"]["keep"], info["plan"]["steps"]) == (10, 7, 3)
    assert info["config"]["weight_decay"] == 0.0


@pytest.mark.parametrize(
    ("name", "began"), [("weight_decay", 0.0), ("optimizer", "sgd"), ("schedule", "linear")]
)
def test_a_default_is_refused_where_it_would_make_another_run(name, began):
    default = flat_values(FinetuneConfig())[name]
    assert began != default
    assert name not in MAY_CHANGE
    begin(**{name: began})
    flag = name.replace("_", "-")
    with pytest.raises(RunError, match=f"--{flag} cannot change .* it began with {began}"):
        resume(**{name: default})
    resume(**{name: began})


def test_none_leaves_an_option_as_it_is():
    begin(evaluate_every=1)
    assert resume(evaluate_every=None, sample_every=None)["config"]["evaluate_every"] == 1


def test_epochs_and_steps_take_each_others_place():
    begin(epochs=0.3, steps=None)
    steps = Run(Path("runs/r")).info["plan"]["steps"]
    assert resume(epochs=0.3)["plan"]["steps"] == steps, "the same command changes nothing"
    assert resume(steps=steps + 1)["plan"]["steps"] == steps + 1
    assert resume(epochs=0.3)["plan"]["steps"] == steps
    assert resume(steps=steps + 1)["plan"]["steps"] == steps + 1


def test_the_guide_lists_what_may_change():
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text("utf-8")
    (listed,) = re.findall(r"These may change:\n(.*?)\.\n", guide, re.S)
    flags = {f"--{name.replace('_', '-')}" for name in MAY_CHANGE}
    assert set(re.findall(r"`(--[a-z-]+)`", listed)) == flags
