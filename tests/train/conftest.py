"""A tiny model, tokenizer and store, so that a run takes a second."""

from __future__ import annotations

import random

import pytest
import torch

from penwright.config import FinetuneConfig, build
from penwright.document import Document, Source, Span
from penwright.model import GPT2, GPT2Config, init_weights
from penwright.runs import Run
from penwright.tokens import Tokenizer, prepare, split
from penwright.train import Silent, Trainer, TrainState, make_plan

CPU = torch.device("cpu")
WORDS = [
    "the",
    "goose",
    "sat",
    "in",
    "the",
    "council",
    "chamber",
    "and",
    "asked",
    "for",
    "tea",
    "with",
    "some",
    "biscuits",
]


def make_documents(n: int = 40, seed: int = 0) -> list[Document]:
    """Prompts that are not learned and answers that are, of unequal lengths."""
    chance = random.Random(seed)
    found = []
    for number in range(n):
        prompt = Span(" ".join(chance.choices(WORDS, k=3)), learn=False)
        answer = Span(" " + " ".join(chance.choices(WORDS, k=chance.randint(2, 12))))
        found.append(Document((prompt, answer), Source("made.jsonl", number + 1)))
    return found


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([" ".join(WORDS)] * 50, 300)


@pytest.fixture(scope="session")
def store(tokenizer, tmp_path_factory):
    return prepare(make_documents(), tokenizer, tmp_path_factory.mktemp("data") / "store")


@pytest.fixture
def make_model(tokenizer):
    def make(**changes) -> GPT2:
        config = GPT2Config(
            vocab_size=tokenizer.vocab_size,
            n_positions=32,
            n_embd=32,
            n_layer=2,
            n_head=2,
            **changes,
        )
        model = GPT2(config)
        init_weights(model, seed=1)
        return model

    return make


@pytest.fixture
def in_torch(monkeypatch) -> None:
    """Torch trains, whatever PENWRIGHT_NATIVE says: the test is about what torch can do alone."""
    monkeypatch.setenv("PENWRIGHT_NATIVE", "torch")


@pytest.fixture
def make_trainer(make_model, store, tmp_path):
    """`make_trainer(name, **options)`: a trainer over the tiny store, in a run folder of its own.

    `state_from` continues the newest checkpoint of a run.
    """

    claimed: list[Run] = []

    def make(
        name: str, *, observer=None, state_from: Run | None = None, device=CPU, **options
    ) -> Trainer:
        config = build(FinetuneConfig, {"precision": "fp32", "sample_every": 0, **options})

        def load_model(folder):
            loaded = make_model()
            if folder:
                loaded.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
            return loaded

        model = make_model()
        model.set_dropout(config.dropout)
        share = 0.2 if config.held_out is None else config.held_out
        training, held_out = split(store, share, config.seed)
        plan = make_plan(config, model, training, held_out, device)
        run = state_from or Run.create(tmp_path / name)
        claimed.append(run)
        run.update(status="running")
        return Trainer(
            model=model,
            plan=plan,
            training=training,
            held_out=held_out,
            run=run,
            device=device,
            observer=observer or Silent(),
            save_model=lambda folder, copy: torch.save(copy.state_dict(), folder / "model.pt"),
            load_model=load_model,
            write_samples=lambda _: [{"prompt": "a", "text": "b", "finish_reason": "end"}],
            state=TrainState(),
        )

    yield make
    for run in claimed:
        run.close()
