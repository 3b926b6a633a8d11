"""Several data sets in sequence: rates that fall, and going on after any moment."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import penwright
from penwright import weights
from penwright.cli import run as command
from penwright.errors import RunError, UsageError
from penwright.model import GPT2, GPT2Config, init_weights
from penwright.runs import Run
from penwright.tokens import Tokenizer
from penwright.train import Silent

pytestmark = pytest.mark.usefixtures("small_base")

SETS = ["geese.txt", ["cups.txt", "more.txt"], "tea.txt"]
QUICK = {
    "model": "./tiny", "name": "x", "steps": 3, "documents": "line", "batch_size": 2,
    "evaluate_every": 2, "save_every": 1, "sample_every": 0, "precision": "fp32",
    "learning_rate": 1e-2, "held_out": 0.2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    for name, words in (
        ("geese", "The goose"),
        ("cups", "A cup"),
        ("more", "More"),
        ("tea", "Tea"),
    ):
        text = "\n".join(f"{words} number {n} was asked for" for n in range(12))
        (tmp_path / f"{name}.txt").write_text(text)
    tokenizer = Tokenizer.train(
        ["The goose A cup More Tea number was asked for 0123456789"] * 9, 290
    )
    shape = {"n_positions": 32, "n_embd": 16, "n_layer": 1, "n_head": 2}
    model = GPT2(GPT2Config(vocab_size=tokenizer.vocab_size, **shape))
    init_weights(model, seed=1)
    weights.save(tmp_path / "tiny", model, tokenizer, card="", penwright={})
    return tmp_path


def final_weights(stage=3):
    return weights.open(f"runs/x-{stage}").model.state_dict()


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_each_run_goes_on_from_the_one_before_at_a_lower_rate():
    done = penwright.cross_train(SETS, falling=0.1, **QUICK)
    assert [run.folder for run in done] == [Path(f"runs/x-{n}") for n in (1, 2, 3)]
    infos = [Run(run.folder).info for run in done]
    assert [info["plan"]["learning_rate"] for info in infos] == pytest.approx([1e-2, 1e-3, 1e-4])
    assert [info["model"]["name"] for info in infos] == ["./tiny", "runs/x-1", "runs/x-2"]
    assert [info["data"]["documents"] for info in infos] == [12, 24, 12]
    best = weights.open("runs/x-1")
    penwright.finetune("cups.txt", "more.txt", **QUICK | {
        "model": str(best.path), "learning_rate": 1e-3, "name": "alone"})  # fmt: skip
    ours, alone = (weights.open(f"runs/{name}").model.state_dict() for name in ("x-2", "alone"))
    assert same(ours, alone)


def test_without_a_rate_the_first_runs_choice_falls():
    options = {name: value for name, value in QUICK.items() if name != "learning_rate"}
    done = penwright.cross_train(SETS[::2], **options | {"steps": 1})
    first, second = (Run(run.folder).info["plan"]["learning_rate"] for run in done)
    assert second == pytest.approx(first / 2)


class Killed(BaseException):
    pass


class KillAt(Silent):
    """Dies at the event with this number; counts them otherwise."""

    def __init__(self, number=-1):
        self.number, self.count = number, 0

    def _event(self, *_):
        self.count += 1
        if self.count == self.number:
            raise Killed

    on_start = on_step = on_evaluate = on_message = _event


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_as_if_it_had_been_left_alone(place):
    counted, options = KillAt(), QUICK | {"steps": 2}
    penwright.cross_train(SETS[:2], observer=counted, **options)
    expected = final_weights(2)
    assert counted.count > 12
    for number in range(1, counted.count + 1):
        (place / "runs").rename(place / f"runs-{number}")
        with pytest.raises(Killed):
            penwright.cross_train(SETS[:2], observer=KillAt(number), **options)
        done = penwright.cross_train(SETS[:2], **options, resume=True)
        assert [run.steps for run in done] == [2, 2]
        assert same(final_weights(2), expected), f"killed at event {number}"


def test_a_start_that_was_killed_before_run_json_is_begun_again(place):
    penwright.cross_train(SETS[:1], **QUICK)
    for name in ("checkpoints", "samples"):
        (place / "runs" / "x-2" / name).mkdir(parents=True)
    (place / "runs" / "x-2" / "lock").touch()
    assert len(penwright.cross_train(SETS, **QUICK, resume=True)) == 3


def test_a_sequence_that_is_there_is_not_touched_unless_asked():
    penwright.cross_train(SETS, **QUICK)
    before = final_weights()
    with pytest.raises(RunError, match="--resume to go on with the sequence"):
        penwright.cross_train(SETS, **QUICK)
    assert len(penwright.cross_train(SETS, **QUICK, resume=True)) == 3
    assert same(final_weights(), before)
    penwright.cross_train(SETS, **QUICK | {"seed": 7}, overwrite=True)
    assert not same(final_weights(), before)


def test_what_is_left_of_an_older_sequence_is_not_taken_for_this_one():
    penwright.cross_train(SETS, **QUICK)
    with pytest.raises(Killed):
        penwright.cross_train(SETS, **QUICK | {"seed": 7}, overwrite=True, observer=KillAt(9))
    with pytest.raises(RunError, match=r"x-2 is of another sequence.*--overwrite"):
        penwright.cross_train(SETS, **QUICK | {"seed": 7}, resume=True)
    resumed = QUICK | {"seed": 7, "resume": True, "overwrite": True}
    penwright.cross_train(SETS, **resumed)
    after = final_weights()
    penwright.cross_train(SETS, **QUICK | {"seed": 7}, overwrite=True)
    assert same(final_weights(), after)


def test_other_data_is_another_sequence():
    penwright.cross_train(SETS, **QUICK)
    with pytest.raises(RunError, match=r"x-2 is of another sequence"):
        penwright.cross_train([SETS[0], "tea.txt"], **QUICK, resume=True)


def test_on_the_command_line(place, capsys):
    (place / "run.toml").write_text("steps = 2\nheld-out = 0\nsample-every = 0\n")
    words = ["cross-train", "geese.txt", "tea.txt", "--model", "./tiny", "--config", "run.toml"]
    assert command([*words, "--falling", "0.1", "--learning-rate", "0.01"]) == 0
    said = capsys.readouterr().err
    assert "Data set 2 of 2: tea.txt" in said
    assert "Now try: penwright write geese-2" in said
    assert Run(place / "runs" / "geese-2").info["plan"]["learning_rate"] == pytest.approx(1e-3)
    assert command([*words]) == 1
    assert command([*words, "--resume"]) == 0


def test_what_cannot_be_is_told():
    for sets, options in (([], {}), (SETS, {"falling": 0}), (SETS, {"checkpoint": "step-000001"})):
        with pytest.raises(UsageError):
            penwright.cross_train(sets, **options)


def test_a_sequence_and_a_recipe_refuse_several_processes(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="A sequence trains on one device"):
        penwright.cross_train(SETS, **QUICK)
    with pytest.raises(UsageError, match="A recipe trains on one device"):
        penwright.recipe("stories")
