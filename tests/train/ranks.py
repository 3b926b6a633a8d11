"""Runs of several ranks: `torchrun ranks.py FOLDER PARALLEL` trains each case and prints losses."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import torch

from penwright.config import FinetuneConfig, build
from penwright.model import GPT2, GPT2Config, init_weights
from penwright.runs import Run
from penwright.tokens import Store, split
from penwright.train import Silent, Trainer, make_plan, newest_sound, parallel, ranks
from penwright.train.replica import Replica

CPU = torch.device("cpu")
COMMON = {"precision": "fp32", "sample_every": 0, "steps": 8, "learning_rate": 1e-2}
# Five rows are three and two: one rank takes them as the micro-batches that two ranks have.
UNEVEN = {"batch_size": 5, "micro_batch": 3, "evaluate_every": 4, "save_every": 4, "keep": 9}
CASES = {
    "full": UNEVEN,
    "full in bf16": UNEVEN | {"batch_size": 6, "precision": "bf16"},
    "several micro-batches": UNEVEN | {"batch_size": 8, "micro_batch": 2},
    "dropout": UNEVEN | {"batch_size": 6, "dropout": 0.2},
    # In bfloat16 a row that is only padding shifts the last bit of sums.
    "lean": UNEVEN | {"batch_size": 6, "method": "lean", "precision": "bf16"},
    "lora": UNEVEN | {"method": "lora", "lora_rank": 4},
    "frozen": UNEVEN | {"freeze_layers": 1},
}


def make_trainer(folder: Path, name: str, case: str, world=None, **changes) -> Trainer:
    """Return the trainer of a case; `world` leads other ranks. An existing run is continued."""
    config = build(FinetuneConfig, COMMON | CASES[case] | changes)
    store = Store.open(folder / "store")

    def load_model(checkpoint):
        shape = {"n_positions": 32, "n_embd": 32, "n_layer": 2, "n_head": 2}
        model = GPT2(GPT2Config(vocab_size=store.vocab_size, **shape))
        init_weights(model, seed=1)
        if checkpoint:
            model.load_state_dict(torch.load(checkpoint / "model.pt", weights_only=True))
        return model

    model = load_model(None)
    model.set_dropout(config.dropout)
    for block in model.blocks[: config.freeze_layers]:
        block.requires_grad_(False)
    training, held_out = split(store, 0.2, config.seed)
    size = world.size if world else 1
    plan = make_plan(config, model, training, held_out, CPU, None, size)
    place = folder / name
    run = Run.open(place) if place.exists() else Run.create(place)
    run.claim()
    run.update(status="running")
    trainer = Trainer(
        model=model,
        plan=plan,
        training=training,
        held_out=held_out,
        run=run,
        device=CPU,
        observer=Silent(),
        save_model=lambda to, copy: torch.save(copy.state_dict(), to / "model.pt"),
        load_model=load_model,
        write_samples=lambda _: [],
        make_replica=partial(ranks.Leader, world) if world else Replica,
    )
    if run.steps():
        trainer.go_back_to(newest_sound(run, print))
    return trainer


def train(folder: Path, name: str, case: str, world=None, **changes) -> None:
    trainer = make_trainer(folder, name, case, world, **changes)
    try:
        trainer.train()
    finally:
        trainer.run.close()


def main(folder: Path, jobs: list) -> None:
    world = parallel.join(CPU)
    for name, case, changes in jobs:
        if world.rank:
            ranks.follow(world)
            continue
        job = partial(train, folder, name, case, world, **changes)
        ranks.lead(world, lambda job=job: job() or "done")


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
