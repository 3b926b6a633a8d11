from __future__ import annotations

import math
import os
import signal
from types import SimpleNamespace

import pytest
import torch

from penwright.errors import DivergedError, OutOfRoomError
from penwright.tokens import split_micro
from penwright.train import Interrupted, Silent, newest_sound, replica
from penwright.train.replica import batch_loss
from tests.native.conftest import needs_library


class Listening(Silent):
    """Remembers what it was told; `at` is called after each step."""

    def __init__(self, at=lambda _: None):
        self.steps, self.evaluations, self.at = [], [], at

    def on_step(self, record):
        self.steps.append(record)
        self.at(record["step"])

    def on_evaluate(self, record):
        self.evaluations.append(record)


def weights_of(trainer):
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def continued(make_trainer, run, **options):
    trainer = make_trainer("unused", state_from=run, **options)
    folder = newest_sound(run, lambda _: None)
    trainer.go_back_to(folder)
    return trainer


def stop_at(step):
    def at(now):
        if now == step:
            os.kill(os.getpid(), signal.SIGINT)

    return Listening(at)


@pytest.mark.parametrize("shape", ["packed", "windows", "rows"])
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_run_stopped_and_resumed_is_the_run_that_never_stopped(make_trainer, shape, dropout):
    options = {
        "steps": 40,
        "shape": shape,
        "dropout": dropout,
        "batch_size": 3,
        "max_length": 24,
        "learning_rate": 1e-2,
        "evaluate_every": 7,
    }
    whole = make_trainer("whole", **options)
    whole.train()
    half = make_trainer("half", observer=stop_at(17), **options)
    with pytest.raises(Interrupted) as stop:
        half.train()
    assert stop.value.step == 17
    rest = continued(make_trainer, half.run, **options)
    assert rest.state.step == 17
    rest.train()
    assert same(weights_of(whole), weights_of(rest))
    kept = ("kind", "step", "loss", "lr", "grad_norm", "tokens_seen", "perplexity", "best")
    lines = [
        [{key: record.get(key) for key in kept} for record in trainer.run.metrics()]
        for trainer in (whole, rest)
    ]
    assert lines[0] == lines[1]
    assert [line["step"] for line in lines[0] if line["kind"] == "step"] == list(range(1, 41))


METHODS = {
    "full in bf16": {"precision": "bf16"},
    "full, recomputed": {"recompute": True},
    "full, eight bits": {"optimizer": "adamw8bit"},
    "full, adafactor": {"optimizer": "adafactor", "learning_rate": 3e-1},
    "full, muon": {"optimizer": "muon"},
    "full, muon in bf16": {"optimizer": "muon", "precision": "bf16"},
    "lean": {"method": "lean", "precision": "bf16"},
    "lora": {"method": "lora", "lora_dropout": 0.1, "lora_rank": 4},
    "lora in bf16": {"method": "lora", "precision": "bf16"},
    "lora on bytes": {"method": "lora", "precision": "bf16", "quantize": True},
}


SHORT_RUN = {
    "steps": 24,
    "batch_size": 4,
    "micro_batch": 2,
    "learning_rate": 1e-2,
    "evaluate_every": 6,
}


def step_losses(trainer):
    return [record["loss"] for record in trainer.run.metrics() if record["kind"] == "step"]


@needs_library
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_with_native_kernels_losses_are_those_of_torch(make_trainer, monkeypatch, precision):
    options = SHORT_RUN | {"steps": 10, "precision": precision, "shape": "packed"}
    torchs = make_trainer("torch", **options)
    torchs.train()
    monkeypatch.delenv("PENWRIGHT_NATIVE")
    native = make_trainer("native", **options)
    assert native.plan.kernels != "torch"
    native.train()
    near = 1e-5 if precision == "fp32" else 3e-3
    assert step_losses(native) == pytest.approx(step_losses(torchs), rel=near)


@needs_library
@pytest.mark.parametrize("method", ["full, recomputed", "full in bf16", "lean"])
def test_with_native_kernels_a_run_resumes_exactly(make_trainer, monkeypatch, method):
    monkeypatch.delenv("PENWRIGHT_NATIVE")
    check_resuming(make_trainer, SHORT_RUN | METHODS[method])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_and_resumes_exactly(make_trainer, method):
    check_resuming(make_trainer, SHORT_RUN | METHODS[method])


def check_resuming(make_trainer, options):
    whole = make_trainer("whole", **options)
    whole.train()
    losses = step_losses(whole)
    assert losses[-1] < losses[0] - 0.15
    half = make_trainer("half", observer=stop_at(11), **options)
    with pytest.raises(Interrupted):
        half.train()
    rest = continued(make_trainer, half.run, **options)
    rest.train()
    assert same(whole.method.tensors(), rest.method.tensors())
    assert losses == step_losses(rest)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_goes_back_after_poison(make_trainer, monkeypatch, method):
    trainer = make_trainer("run", steps=6, save_every=2, evaluate_every=0, **METHODS[method])
    Poison(trainer, monkeypatch, 4)
    assert trainer.train().step == 6
    assert "back to step 2" in trainer.run.info["events"][0]
    assert all(value.isfinite().all() for value in trainer.method.tensors().values())


def test_the_loss_falls_and_the_best_checkpoint_is_the_best_measurement(make_trainer):
    heard = Listening()
    trainer = make_trainer(
        "run", steps=60, learning_rate=3e-3, evaluate_every=5, observer=heard, batch_size=4
    )
    before = trainer.score_all(0).total
    state = trainer.train()
    best = min(heard.evaluations[1:], key=lambda record: record["loss"])
    assert best["loss"] < 0.7 * before.loss
    assert state.best_step == best["step"]
    assert trainer.run.pointed("best") == trainer.run.checkpoint(best["step"])


@pytest.mark.usefixtures("in_torch")  # kernels do not take float64
def test_micro_batches_change_the_gradient_by_rounding_only(make_trainer):
    trainer = make_trainer("run", steps=1, batch_size=7, shape="rows")
    batch = trainer.batches.batch(0)
    counts = {int((row != -100).sum()) for row in batch.targets_BT}
    assert len(counts) > 1, "rows with unequal numbers of learned tokens are what this is about"
    gradients = []
    for micro_batch in (7, 3, 1):
        trainer.model.double().zero_grad()
        for micro in split_micro(batch, micro_batch):
            loss = batch_loss(trainer.model, micro, trainer.device, "fp32")
            (loss / batch.n_learned).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters()]))
    for other in gradients[1:]:
        assert (other - gradients[0]).norm() / gradients[0].norm() < 1e-6


def test_training_stops_when_measurements_stop_getting_better(make_trainer):
    trainer = make_trainer(
        "run", steps=400, learning_rate=3e-2, evaluate_every=4, patience=3, warmup=0, batch_size=2
    )
    state = trainer.train()
    assert state.step < 400
    assert state.worse_in_a_row == 3
    assert state.best_step == state.step - 12
    assert trainer.finished


class Poison:
    """Makes the loss of one step not a number, however often it is computed."""

    def __init__(self, trainer, monkeypatch, *steps):
        real = replica.batch_loss

        def batch_loss(model, batch, device, precision):
            loss = real(model, batch, device, precision)
            return loss * math.nan if trainer.state.step + 1 in steps else loss

        monkeypatch.setattr(replica, "batch_loss", batch_loss)


def test_one_poisoned_batch_costs_half_the_rate_and_not_the_run(make_trainer, monkeypatch):
    trainer = make_trainer("run", steps=12, save_every=4, evaluate_every=0, schedule="constant")
    Poison(trainer, monkeypatch, 7)
    state = trainer.train()
    assert state.step == 12
    records = trainer.run.metrics()
    assert [record["step"] for record in records] == list(range(1, 13))
    rates = [record["lr"] / trainer.plan.schedule.learning_rate for record in records]
    assert rates[4:] == pytest.approx([0.5] * 8)
    assert records[6]["loss"] is None
    assert "back to step 4" in trainer.run.info["events"][0]


def test_poison_before_the_first_checkpoint_goes_back_to_the_beginning(make_trainer, monkeypatch):
    trainer = make_trainer("run", steps=6, evaluate_every=0)
    Poison(trainer, monkeypatch, 2)
    assert trainer.train().step == 6
    assert "back to step 0" in trainer.run.info["events"][0]


def test_a_second_poisoned_batch_stops_and_keeps_the_last_good_checkpoint(
    make_trainer, monkeypatch
):
    trainer = make_trainer("run", steps=12, save_every=2, evaluate_every=0)
    Poison(trainer, monkeypatch, 5, 8)
    with pytest.raises(DivergedError, match=r"step 8.*step-000006.*--learning-rate"):
        trainer.train()
    assert newest_sound(trainer.run, lambda _: None).name == "step-000006"


def test_a_full_disk_is_told_before_anything_is_written(make_trainer, monkeypatch):
    trainer = make_trainer("run", steps=6, save_every=2)
    free = iter([10**12, 1000])
    usage = lambda _: SimpleNamespace(free=next(free))  # noqa: E731
    monkeypatch.setattr("penwright.train.checkpoint.shutil.disk_usage", usage)
    with pytest.raises(OutOfRoomError, match="a checkpoint takes"):
        trainer.train()
    assert trainer.run.steps() == [2]
    assert newest_sound(trainer.run, lambda _: None).name == "step-000002"


def test_a_checkpoint_that_fails_halfway_leaves_the_one_before(make_trainer):
    trainer = make_trainer("run", steps=6, save_every=2, evaluate_every=0)
    write = trainer.saver.save_model

    def fail_later(folder, model):
        write(folder, model)
        if "step-000004" in folder.name:
            raise OSError(28, "No space left on device")

    trainer.saver.save_model = fail_later
    with pytest.raises(OutOfRoomError, match="no space left"):
        trainer.train()
    assert trainer.run.steps() == [2]
    assert trainer.run.pointed("latest").name == "step-000002"


def test_old_checkpoints_go_but_never_the_best_and_two_keep_the_optimizer(make_trainer):
    trainer = make_trainer("run", steps=20, save_every=2, keep=3, held_out=0, learning_rate=0.0001)
    trainer.state.best_step = 4
    trainer.train()
    assert trainer.run.steps() == [4, 16, 18, 20]
    with_optimizer = [
        step
        for step in trainer.run.steps()
        if (trainer.run.checkpoint(step) / "trainer.safetensors").exists()
    ]
    assert with_optimizer == [18, 20]


def test_a_damaged_checkpoint_is_passed_over(make_trainer):
    trainer = make_trainer("run", steps=6, save_every=2)
    trainer.train()
    file = trainer.run.checkpoint(6) / "trainer.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    heard = []
    assert newest_sound(trainer.run, heard.append).name == "step-000004"
    assert "trainer.safetensors is damaged" in heard[0]


@pytest.mark.parametrize("moment", ["sampling", "measuring"])
def test_a_stop_while_sampling_or_measuring_saves_too(make_trainer, monkeypatch, moment):
    trainer = make_trainer("run", steps=9, sample_every=3, evaluate_every=3)

    def stop(*_, **__):
        signal.raise_signal(signal.SIGINT)
        return []

    if moment == "sampling":
        trainer.write_samples = stop
    else:
        measure = replica.score_windows
        monkeypatch.setattr(replica, "score_windows", lambda *a, **b: (stop(), measure(*a, **b))[1])
    trainer.state.best_loss = -1.0  # so that no measurement is a reason to save
    with pytest.raises(Interrupted):
        trainer.train()
    assert trainer.run.steps() == [3]


@pytest.mark.usefixtures("in_torch")  # kernels are timed first, on random numbers
def test_training_leaves_the_caller_s_random_numbers_alone(make_trainer):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make_trainer("run", steps=3, dropout=0.1).train()
    assert torch.equal(torch.rand(3), expected)
