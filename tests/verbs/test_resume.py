"""An option given to a run that is resumed is taken or refused; it is never passed over."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import penwright
from penwright.config import MAY_CHANGE, FinetuneConfig, flat_values
from penwright.errors import RunError
from penwright.runs import Run, write_manifest

pytestmark = pytest.mark.usefixtures("small_base")

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


def test_the_page_lists_what_may_change():
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
    (listed,) = re.findall(r"must be one of these: (.*?)\. Any other", page, re.S)
    flags = {f"--{name.replace('_', '-')}" for name in MAY_CHANGE}
    assert set(re.findall(r"`(--[a-z-]+)`", listed)) == flags


class StopAt:
    """An observer that ends the run, as a kill would, just after the n-th line of metrics."""

    def __init__(self, n):
        self.left = n

    def count(self, _record):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt

    def __getattr__(self, name):
        if name in ("on_step", "on_evaluate"):
            return self.count
        return lambda *_: None


def lines():
    """The metrics, but for what a clock or the memory says."""
    told = ("kind", "step", "loss", "lr", "grad_norm", "full", "best")
    return [{name: record.get(name) for name in told} for record in Run(Path("runs/r")).metrics()]


def pointers():
    return {name: Run(Path("runs/r")).pointed(name).name for name in ("latest", "best")}


def test_a_run_that_ends_after_any_line_of_metrics_is_the_run_left_alone():
    wanted = {"evaluate_every": 1, "save_every": 1, "steps": 2, "overwrite": True}
    begin(**wanted)
    whole, named = lines(), pointers()
    kinds = [(line["kind"], line["step"], line["full"]) for line in whole]
    assert kinds[0] == ("eval", 0, True)
    assert [kind for kind, _, _ in kinds[-2:]] == ["eval", "eval"], "the last two are measurements"
    for n in range(1, len(whole) + 1):
        with pytest.raises(KeyboardInterrupt):
            begin(**wanted, observer=StopAt(n))
        assert len(Run(Path("runs/r")).metrics()) == n
        assert resume()["status"] == "finished"
        assert (lines(), pointers()) == (whole, named), f"ended after line {n}"


def test_a_finished_run_that_goes_on_is_the_run_that_never_finished():
    wanted = {"evaluate_every": 1, "save_every": 1, "overwrite": True}
    wanted |= {"schedule": "constant", "warmup": 0.0}
    begin(**wanted, steps=3)
    whole = lines()
    begin(**wanted, steps=2)
    resume(steps=3)
    losses = [[line["loss"] for line in run if line["kind"] == "eval"] for run in (whole, lines())]
    assert losses[0] == losses[1]


def test_pointers_that_a_kill_left_behind_are_put_right():
    begin(evaluate_every=1, save_every=1, steps=2)
    named = pointers()
    for name in named:
        Run(Path("runs/r")).point(name, 1)
    (Path("runs/r/samples") / ".step-000001.json.123.tmp").write_text("[")
    resume()
    assert pointers() == named
    assert not list(Path("runs/r").rglob(".*"))


def test_a_checkpoint_of_an_older_version_does_not_count_its_metrics():
    begin(save_every=1, steps=2)
    before = lines()
    for state in Path("runs/r/checkpoints").glob("*/trainer.json"):
        older = json.loads(state.read_text())
        del older["records"]
        state.write_text(json.dumps(older))
        write_manifest(state.parent)
    resume(steps=3)
    assert [line for line in lines() if line["step"] <= 2][: len(before)] == before


def test_a_mix_that_changes_goes_on_where_it_stood():
    Path("u.txt").write_text("\n".join(f"The tide of day {n} was late." for n in range(9)))
    run = penwright.finetune(
        "t.txt",
        "u.txt",
        documents="line",
        mix=(0.9, 0.1),
        mix_end=(0.1, 0.9),
        schedule="wsd",
        batch_size=4,
        held_out=0,
        steps=6,
        save_every=3,
        keep=9,
        **QUICK,
    )
    weights = run.folder / "checkpoints" / "step-000006" / "model.safetensors"
    before = weights.read_bytes()
    resume(checkpoint="step-000003")
    assert weights.read_bytes() == before
