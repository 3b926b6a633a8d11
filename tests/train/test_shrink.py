from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from penwright.errors import OutOfRoomError
from penwright.train import Silent, replica
from penwright.train.memory import is_out_of_memory

NO_ROOM = "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"


class Scarce:
    """Memory that runs out in the first step until the trainer has shrunk so many times."""

    def __init__(self, trainer, monkeypatch, refusals, step=0):
        real, left = replica.batch_loss, [refusals]

        def batch_loss(model, batch, device, precision):
            if trainer.state.step == step and left[0] > 0:
                left[0] -= 1
                raise RuntimeError(NO_ROOM)
            return real(model, batch, device, precision)

        monkeypatch.setattr(replica, "batch_loss", batch_loss)


class Told(Silent):
    def __init__(self):
        self.texts = []

    def on_message(self, text):
        self.texts.append(text)


OPTIONS = {"steps": 6, "batch_size": 4, "evaluate_every": 0, "learning_rate": 1e-2}


def test_a_step_that_does_not_fit_is_taken_with_half_the_micro_batch(make_trainer, monkeypatch):
    small = make_trainer("small", micro_batch=2, **OPTIONS)
    small.train()
    told = Told()
    trainer = make_trainer("large", micro_batch=4, observer=told, **OPTIONS)
    Scarce(trainer, monkeypatch, 1)
    trainer.train()
    for name, tensor in small.method.tensors().items():
        assert torch.equal(tensor, trainer.method.tensors()[name]), name
    assert "2 sequences at once" in told.texts[0]
    assert trainer.run.info["plan"]["micro_batch"] == 2
    assert trainer.run.info["events"] == told.texts


def test_then_layers_are_computed_twice_and_then_lean_takes_over(make_trainer, monkeypatch):
    told = Told()
    trainer = make_trainer("run", micro_batch=1, observer=told, **OPTIONS)
    Scarce(trainer, monkeypatch, 2, step=3)
    trainer.train()
    assert ["twice" in told.texts[0], "lean" in told.texts[1]] == [True, True]
    assert trainer.run.info["plan"]["method"] == "lean"
    assert trainer.model.embed_tokens.weight.dtype == torch.bfloat16
    losses = [record["loss"] for record in trainer.run.metrics()]
    plain = make_trainer("plain", micro_batch=1, **OPTIONS)
    plain.train()
    for ours, theirs in zip(losses, plain.run.metrics(), strict=True):
        assert ours == pytest.approx(theirs["loss"], rel=0.02)


def test_when_nothing_smaller_is_left_it_says_what_to_do(make_trainer, monkeypatch):
    trainer = make_trainer("run", method="lean", precision="bf16", micro_batch=1, **OPTIONS)
    Scarce(trainer, monkeypatch, 9)
    with pytest.raises(OutOfRoomError, match=r"step 1.*--method lora"):
        trainer.train()


def test_other_errors_are_not_taken_for_scarce_memory():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError(NO_ROOM))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


CHILD = """
import json, resource, sys
import torch
from pathlib import Path
from penwright.config import FinetuneConfig, build
from penwright.document import Document, Source, Span
from penwright.model import GPT2, GPT2Config, init_weights
from penwright.runs import Run
from penwright.tokens import Tokenizer, prepare, split
from penwright.train import Silent, Trainer, make_plan
torch.set_num_threads(1)
folder, micro_batch, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
words = ["the", "goose", "sat", "in", "council", "and", "asked", "for", "tea"]
tokenizer = Tokenizer.train([" ".join(words)] * 50, 300)
text = " ".join(words[(i * i) % 9] for i in range(6000))
store = prepare([Document((Span(text),), Source("made", 1))], tokenizer, folder / "store")
model = GPT2(GPT2Config(vocab_size=tokenizer.vocab_size, n_positions=256, n_embd=256, n_layer=4,
                        n_head=4))
init_weights(model, seed=1)
model.set_dropout(0.0)
config = build(FinetuneConfig, {"precision": "fp32", "steps": 2, "batch_size": 8,
               "micro_batch": micro_batch, "max_length": 256, "shape": "windows", "held_out": 0})
training, held_out = split(store, 0.0, 1)
plan = make_plan(config, model, training, held_out, torch.device("cpu"))
run = Run.create(folder / "run")
run.update(status="running")
told = []
class Observer(Silent):
    def on_message(self, text): told.append(text)
trainer = Trainer(model=model, plan=plan, training=training, held_out=held_out, run=run,
    device=torch.device("cpu"), observer=Observer(),
    save_model=lambda folder, copy: torch.save(copy.state_dict(), folder / "model.pt"),
    load_model=lambda folder: model, write_samples=lambda _: [])
if limit:
    with open("/proc/self/status") as file:
        held = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + limit,) * 2)
trainer.train()
import hashlib
digest = hashlib.sha256()
for name, tensor in sorted(trainer.method.tensors().items()):
    digest.update(tensor.numpy().tobytes())
print(json.dumps({"weights": digest.hexdigest(), "told": told,
                  "micro_batch": trainer.plan.micro_batch}))
"""


def run_child(folder, micro_batch, limit):
    folder.mkdir()
    arguments = [str(folder), str(micro_batch), str(limit)]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, timeout=200
    )
    assert child.returncode == 0, child.stderr[-2000:]
    return json.loads(child.stdout.splitlines()[-1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's limits")
@pytest.mark.slow
def test_memory_that_really_runs_out_is_survived(tmp_path):
    squeezed = run_child(tmp_path / "squeezed", 8, 130 << 20)
    assert squeezed["micro_batch"] < 8
    assert "Memory ran out" in squeezed["told"][0]
    free = run_child(tmp_path / "free", squeezed["micro_batch"], 0)
    assert free["told"] == []
    assert free["weights"] == squeezed["weights"]
