"""finetune: its files, its printed lines, and how it goes on or starts over."""

# ruff: noqa: ARG001 - fixtures that only set the place

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import penwright.compat.gpt_2_simple as gpt2
from penwright import weights
from penwright.compat.gpt_2_simple.training import Printer
from penwright.errors import DataError, ModelError, RunError, UsageError
from penwright.runs import Run
from penwright.verbs import observers

from .conftest import openai_layout, tensorflow_run

RUN = Path("checkpoint/run1")
LINE = re.compile(r"\[\d+ \| \d+\.\d\d\] loss=\d+\.\d\d avg=\d+\.\d\d")


def counted(printed: str) -> list[int]:
    return [int(line[1 : line.index(" ")]) for line in printed.splitlines() if LINE.fullmatch(line)]


def info(run=RUN):
    return json.loads((run / "run.json").read_text())


@pytest.mark.parity("gpt-2-simple: finetune print_every")
def test_prints_the_old_lines(train):
    lines = train(steps=4, print_every=2).splitlines()
    assert lines[:2] == ["Loading checkpoint models/124M", "Loading dataset..."]
    assert re.fullmatch(r"dataset has \d+ tokens", lines[2])
    assert lines[3] == "Training..."
    assert [bool(LINE.fullmatch(line)) for line in lines[4:6]] == [True, True]
    assert counted("\n".join(lines)) == [2, 4]
    assert lines[6:] == ["Saving checkpoint/run1/checkpoints/step-000004"]


def test_the_average_fades_as_it_did(home, capsys):
    printer = Printer(home, home / "samples", 1, 0)
    losses = [3.0, 2.0, 4.0]
    for step, loss in enumerate(losses, 1):
        printer.on_step({"step": step, "loss": loss})
    printer.on_step({"step": 4, "loss": None})
    averages = [float(line.split("avg=")[1]) for line in capsys.readouterr().out.splitlines()]
    second = (3 * 0.99 + 2) / 1.99
    third = (3 * 0.99**2 + 2 * 0.99 + 4) / (0.99**2 + 0.99 + 1)
    assert averages == [3.0, round(second, 2), round(third, 2)]


@pytest.mark.parity("gpt-2-simple: finetune")
def test_the_run_lands_in_checkpoint_run1_and_is_penwrights(train):
    train(steps=2)
    assert weights.open(RUN).path.name == "step-000002"
    assert info()["data"]["documents"] == 12
    assert info()["status"] == "finished"
    assert (RUN / "report.html").exists()


@pytest.mark.parity(
    "gpt-2-simple: finetune steps",
    "gpt-2-simple: finetune batch_size",
    "gpt-2-simple: finetune accumulate_gradients",
    "gpt-2-simple: finetune learning_rate",
)
def test_steps_batches_and_rate_mean_what_they_meant(train):
    train(steps=2, batch_size=2, accumulate_gradients=3, learning_rate=0.003)
    plan = info()["plan"]
    assert (plan["steps"], plan["batch_size"], plan["micro_batch"]) == (2, 6, 2)
    assert (plan["learning_rate"], plan["schedule"], plan["warmup_steps"]) == (0.003, "constant", 0)
    assert plan["weight_decay"] == 0
    assert info()["data"]["held_out"]["documents"] == 0


@pytest.mark.parity(
    "gpt-2-simple: finetune sample_every",
    "gpt-2-simple: finetune sample_num",
    "gpt-2-simple: finetune sample_length",
)
def test_samples_land_in_samples_run1(train):
    printed = train(steps=4, sample_every=2, sample_num=2)
    written = sorted(Path("samples/run1").iterdir())
    assert [path.name for path in written] == ["samples-3", "samples-5"]
    assert info()["plan"]["sample_tokens"] == 6  # as `train` asks
    text = written[0].read_text(encoding="utf-8")
    assert text.startswith("======== SAMPLE 1 ========\n")
    assert "\n======== SAMPLE 2 ========\n" in text
    assert text in printed


@pytest.mark.parity("gpt-2-simple: finetune save_every", "gpt-2-simple: finetune max_checkpoints")
def test_save_every_and_max_checkpoints(train):
    printed = train(steps=5, save_every=2, max_checkpoints=2)
    saved = re.findall(r"Saving checkpoint/run1/checkpoints/step-(\d+)", printed)
    assert [int(step) for step in saved] == [2, 4, 5]
    assert Run(RUN).steps() == [4, 5]


@pytest.mark.parity("gpt-2-simple: finetune dataset", "gpt-2-simple: finetune run_name")
def test_a_text_a_folder_a_glob_and_an_npz_can_be_learned(train, home):
    gpt2.encode_dataset("titles.csv", out_path="titles.npz")
    (home / "texts").mkdir()
    (home / "texts" / "a.txt").write_text("the goose asked for tea")
    for name, dataset in enumerate(["story.txt", "texts", "te*/*.txt", "titles.npz"]):
        train(dataset, steps=1, run_name=f"run{name}")
        assert info(Path(f"checkpoint/run{name}"))["status"] == "finished"


@pytest.mark.parity("gpt-2-simple: finetune restore_from latest")
def test_calling_again_counts_on_and_is_the_run_that_never_stopped(train):
    assert counted(train(steps=2)) == [1, 2]
    assert counted(train(steps=3)) == [3, 4, 5]
    train(steps=5, run_name="straight")
    ours, straight = weights.open(RUN).model, weights.open("checkpoint/straight").model
    assert all(
        (a == b).all() for a, b in zip(ours.parameters(), straight.parameters(), strict=True)
    )


@pytest.mark.parity("gpt-2-simple: finetune Ctrl-C saves")
def test_interrupting_saves_and_the_next_call_goes_on(train, monkeypatch):
    tell = Printer.on_step

    def stop(self, record):
        tell(self, record)
        if record["step"] == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Printer, "on_step", stop)
    lines = train(steps=-1).splitlines()
    assert lines[-2:] == ["interrupted", "Saving checkpoint/run1/checkpoints/step-000002"]
    assert info()["status"] == "interrupted"
    monkeypatch.setattr(Printer, "on_step", tell)
    assert counted(train(steps=2)) == [3, 4]


def test_other_samples_and_checkpoints_are_no_other_run(train):
    train(steps=2)
    printed = train(
        steps=2, sample_every=1, sample_length=3, sample_num=2, save_every=1, max_checkpoints=5
    )
    assert "earlier run" not in printed
    assert counted(printed) == [3, 4]
    assert printed.count("SAMPLE 2") == 2
    written = sorted(path.name for path in Path("samples/run1").iterdir())
    assert written == ["samples-4", "samples-5"]
    train(steps=4, run_name="straight")
    ours, straight = weights.open(RUN).model, weights.open("checkpoint/straight").model
    assert all(
        (a == b).all() for a, b in zip(ours.parameters(), straight.parameters(), strict=True)
    )


def test_other_settings_go_on_from_the_weights_and_keep_the_old_run(train):
    train(steps=2)
    before = weights.open(RUN).model.embed_tokens.weight.clone()
    printed = train(steps=1, learning_rate=1e-9)
    assert counted(printed) == [3]
    assert "The earlier run is in checkpoint/run1-old" in printed
    after = weights.open(RUN).model.embed_tokens.weight
    assert (after - before).abs().max() < 1e-6
    assert Run(Path("checkpoint/run1-old")).steps() == [2]
    assert counted(train(steps=1, learning_rate=1e-9)) == [4]


def test_other_data_goes_on_from_the_weights_too(train):
    train(steps=2)
    assert counted(train("story.txt", steps=1, overwrite=True)) == [3]
    assert [path.name for path in Path("checkpoint").iterdir()] == ["run1"]


@pytest.mark.parity("gpt-2-simple: finetune restore_from fresh")
def test_restore_from_fresh_starts_over_and_keeps_the_old_run(train):
    train(steps=2)
    notes = RUN / "notes.txt"
    notes.write_text("mine")
    printed = train(steps=1, restore_from="fresh")
    assert counted(printed) == [1]
    assert info()["model"]["name"] == "models/124M"
    assert Run(Path("checkpoint/run1-old")).steps() == [2]
    assert notes.read_text() == "mine"


@pytest.mark.parity("gpt-2-simple: finetune overwrite")
def test_overwrite_replaces_and_touches_nothing_else(train):
    train(steps=2)
    (RUN / "notes.txt").write_text("mine")
    assert counted(train(steps=1, restore_from="fresh", overwrite=True)) == [1]
    assert Run(RUN).steps() == [1]
    assert (RUN / "notes.txt").read_text() == "mine"
    assert [path.name for path in Path("checkpoint").iterdir()] == ["run1"]


@pytest.mark.parity("gpt-2-simple: finetune restore_from a path")
def test_restore_from_a_path(train):
    train(steps=2)
    printed = train(steps=1, run_name="run2", restore_from="checkpoint/run1")
    assert counted(printed) == [1]
    assert info(Path("checkpoint/run2"))["model"]["name"] == "checkpoint/run1"
    assert Run(RUN).steps() == [2]


@pytest.mark.parity("gpt-2-simple: finetune model_name")
def test_openais_layout_is_trained_from(train, home, small_vocabulary):
    openai_layout(home / "models" / "tiny", small_vocabulary)
    train(steps=1, model_name="tiny", learning_rate=1e-4)
    assert weights.open(RUN).model.config.vocab_size == 300


def test_a_run_that_tensorflow_left_is_continued_beside_its_files(train, home, small_vocabulary):
    folder = tensorflow_run(home / "checkpoint" / "run1", small_vocabulary)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert counted(train(steps=2, learning_rate=1e-4, overwrite=True)) == [501, 502]
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert counted(train(steps=1, learning_rate=1e-4, overwrite=True)) == [503]
    assert weights.open(RUN).path.name == "step-000003"


def test_a_failed_start_leaves_everything_as_it_was(train, home, small_vocabulary):
    folder = tensorflow_run(home / "checkpoint" / "tf", small_vocabulary)
    train(steps=1)
    (home / "empty.txt").write_text("  \n")
    listed = sorted(home.rglob("checkpoint/**/*"))
    for options in ({}, {"restore_from": "fresh"}, {"run_name": "tf"}, {"run_name": "new"}):
        with pytest.raises(DataError):
            train("empty.txt", **options)
    assert sorted(home.rglob("checkpoint/**/*")) == listed
    assert not (folder / "run.json").exists()


def test_what_cannot_be_is_told(train, home):
    with pytest.raises(UsageError, match="no optimizer 'adamax'"):
        train(optimizer="adamax")
    with pytest.raises(ModelError, match="download_gpt2"):
        train(model_name="355M")
    with pytest.raises(DataError, match=r"no file in 'nope\.txt'"):
        train("nope.txt")
    run = Run.create(RUN)
    run.update(status="running")
    with pytest.raises(RunError, match="Another process"):
        train()
    run.close()


@pytest.mark.parity("gpt-2-simple: finetune optimizer")
def test_optimizer_sgd_is_plain_gradient_descent(train):
    train(steps=2, optimizer="sgd", learning_rate=1e-3)
    assert info()["plan"]["optimizer"] == "sgd"
    assert counted(train(steps=1, optimizer="sgd", learning_rate=1e-3)) == [3]


@pytest.mark.parity("gpt-2-simple: finetune only_train_transformer_layers")
def test_only_train_transformer_layers_leaves_the_rest(train):
    train(steps=2, only_train_transformer_layers=True)
    before = weights.open("models/124M").model.state_dict()
    after = weights.open(RUN).model.state_dict()
    same = {name for name in before if (before[name] == after[name]).all()}
    assert {name for name in before if ".h." not in name} <= same
    assert "transformer.h.0.mlp.c_fc.weight" not in same


@pytest.mark.parity("gpt-2-simple: finetune use_memory_saving_gradients")
def test_memory_saving_gradients_compute_layers_twice(train):
    train(steps=2, use_memory_saving_gradients=True, combine=1, reuse=True)
    assert info()["plan"]["recompute"]
    train(steps=2, run_name="plain")
    assert not info(Path("checkpoint/plain"))["plan"]["recompute"]
    saving, plain = weights.open(RUN).model, weights.open("checkpoint/plain").model
    assert all(
        torch.allclose(a, b, atol=1e-6)
        for a, b in zip(saving.parameters(), plain.parameters(), strict=True)
    )


@pytest.mark.parity("gpt-2-simple: finetune multi_gpu")
@pytest.mark.parametrize(("cards", "told"), [(0, False), (1, False), (2, True)])
def test_multi_gpu_is_accepted_and_said_to_be_one_card(train, monkeypatch, cards, told):
    names = [f"/device:GPU:{number}" for number in range(cards)]
    monkeypatch.setattr("penwright.compat.gpt_2_simple.training.get_available_gpus", lambda: names)
    printed = train(steps=1, multi_gpu=True)
    assert ("multi_gpu is accepted, but this run uses one GPU.\n" in printed) == told
    assert info()["status"] == "finished"
    assert "multi_gpu" not in train(steps=1, run_name="run2")


@pytest.mark.parity("gpt-2-simple: finetune TensorBoard")
def test_tensorboard_is_told_without_tensorflow(home):
    """In a process of its own, where TensorFlow would be found, and ends whoever imports it."""
    name = "tensorboard.backend.event_processing.event_accumulator"
    events = pytest.importorskip(name, reason="needs tensorboard")
    (home / "other").mkdir()
    (home / "other" / "tensorflow.py").write_text("raise SystemExit('TensorFlow was imported')")
    code = (
        "import sys, penwright.compat.gpt_2_simple as gpt2;"
        "gpt2.finetune(None, 'titles.csv', steps=3, sample_every=2, sample_length=4);"
        "gpt2.finetune(None, 'titles.csv', steps=1, sample_every=2, sample_length=4);"
        "assert 'tensorboard.compat.notf' not in sys.modules"
    )
    paths = os.pathsep.join([str(home / "other"), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": paths}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert counted(done.stdout) == [1, 2, 3, 4]
    written = events.EventAccumulator(str(RUN / "tensorboard"))
    written.Reload()
    told = {event.step: event.value for event in written.Scalars("training/loss")}
    steps = [record for record in Run(RUN).metrics() if record["kind"] == "step"]
    assert told == pytest.approx({record["step"]: record["loss"] for record in steps})


def test_without_tensorboard_nothing_is_told_and_the_run_still_goes_on(train, monkeypatch):
    there = observers.is_installed
    monkeypatch.setattr(observers, "is_installed", lambda _: False)
    assert counted(train(steps=2)) == [1, 2]
    assert not (RUN / "tensorboard").exists()
    monkeypatch.setattr(observers, "is_installed", there)
    assert counted(train(steps=1)) == [3]
    assert Run(RUN).steps() == [3]
