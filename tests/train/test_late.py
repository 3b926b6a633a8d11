"""What a step came to is read one step late where a GPU works on its own, and nothing is lost."""

from __future__ import annotations

import contextlib
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from penwright.train.methods import make_method
from tests.train.test_loop import METHODS, Poison, same

TIMES = ("seconds", "tokens_per_s", "memory_mb", "cpu_percent")


def figures(run):
    return [
        {key: value for key, value in record.items() if key not in TIMES}
        for record in run.metrics()
    ]


@pytest.mark.parametrize("method", ["full in bf16", "lean", "lora"])
def test_a_run_read_late_is_the_run_read_at_once(make_trainer, method):
    options = {"steps": 12, "evaluate_every": 5, "save_every": 4, **METHODS[method]}
    runs = []
    for late in (0, 1):
        trainer = make_trainer(f"late-{late}", **options)
        trainer.late = late
        trainer.train()
        runs.append(trainer)
    once, later = runs
    assert same(once.method.tensors(), later.method.tensors())
    assert figures(once.run) == figures(later.run)
    assert once.state.tokens == later.state.tokens
    assert once.state.grad_norm == later.state.grad_norm


@pytest.mark.parametrize("late", [0, 1])
def test_the_next_batch_is_made_before_a_step_is_waited_for(make_trainer, monkeypatch, late):
    trainer = make_trainer("run", steps=4, evaluate_every=0, held_out=0)
    trainer.late = late
    order = []
    make, write = trainer.batches.batch, trainer.run.append_metrics
    monkeypatch.setattr(trainer.batches, "batch", lambda n: (order.append(f"make {n}"), make(n))[1])
    monkeypatch.setattr(
        trainer.run, "append_metrics", lambda r: (order.append(f"read {r['step'] - 1}"), write(r))
    )
    trainer.train()
    expected = {
        0: "make 0, read 0, make 1, read 1, make 2, read 2, make 3, read 3",
        1: "make 0, make 1, read 0, make 2, read 1, make 3, read 2, read 3",
    }
    assert ", ".join(order) == expected[late]


@pytest.mark.parametrize("moment", [4, 5, 6])
def test_a_poisoned_step_is_noticed_one_step_late(make_trainer, monkeypatch, moment):
    """Before a checkpoint or a measurement is made of it, and it is that batch that is left out."""
    trainer = make_trainer("run", steps=8, save_every=3, evaluate_every=0)
    trainer.late = 1
    Poison(trainer, monkeypatch, moment)
    assert trainer.train().step == 8
    records = trainer.run.metrics()
    assert [record["step"] for record in records] == list(range(1, 9))
    assert [record["step"] for record in records if record["loss"] is None] == [moment]
    assert f"step {moment}: back to step 3" in trainer.run.info["events"][0]
    assert all(value.isfinite().all() for value in trainer.method.tensors().values())


class Reads(TorchDispatchMode):
    """Counts numbers that the host takes out of float tensors, as `float(loss)` does."""

    def __init__(self, allowed):
        super().__init__()
        self.allowed, self.count = allowed, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._local_scalar_dense.default:
            own = any(args[0] is tensor for tensor in self.allowed())
            self.count += args[0].is_floating_point() and not own
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    "method", sorted(METHODS.keys() - {"full, adafactor"})
)  # torch's own reads some
@pytest.mark.usefixtures("in_torch")  # kernels read what lies in the same memory
def test_no_number_is_read_within_a_step(make_trainer, method):
    trainer = make_trainer("run", steps=9, batch_size=4, micro_batch=2, **METHODS[method])

    def counts():
        """The optimizer's own counts of steps, which it keeps on the host."""
        return [state.get("step") for state in trainer.method.optimizer.state.values()]

    with Reads(counts) as reads:
        for step in range(2):
            trainer.queued.append(trainer.step(trainer.batches.batch(step)))
    assert reads.count == 0
    with reads:
        loss, norm = trainer.queued[-1].read()
    assert math.isfinite(loss)
    assert math.isfinite(norm)
    assert reads.count == 2, "or the count would not see it"


@pytest.mark.usefixtures("in_torch")
@pytest.mark.parametrize("optimizer", ["sgd", "adamw8bit"])
@pytest.mark.parametrize("recompute", [False, True])
def test_a_step_runs_on_a_device_that_nothing_can_be_read_from(
    make_trainer, monkeypatch, optimizer, recompute
):
    """On the meta device tensors have no content, so any reading is an error."""
    trainer = make_trainer("run", steps=2, optimizer=optimizer, recompute=recompute, micro_batch=2)
    trainer.replica.device = torch.device("meta")
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: False)
    trainer.method.release()
    trainer.replica.method = make_method(trainer.model.to("meta"), trainer.plan)
    taken = trainer.step(trainer.batches.batch(0))
    assert taken.norm.is_meta
    with pytest.raises(RuntimeError, match="meta"):
        taken.read()
