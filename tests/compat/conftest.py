"""A folder of the user's own, with a tiny model in `models/124M`."""

# ruff: noqa: ARG001 - fixtures that only set the place

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import penwright.compat.gpt_2_simple as gpt2
from penwright import weights
from penwright.model import GPT2, GPT2Config, init_weights
from penwright.tokens import Tokenizer

GOLDENS = Path(__file__).parents[1] / "weights" / "goldens"
ROWS = [f"the goose number {i} asked for tea, and got {i + 1} cups" for i in range(12)]


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([*ROWS, "<|startoftext|><|endoftext|>"] * 9, 320)


@pytest.fixture(scope="session")
def tiny_model(tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    model = GPT2(
        GPT2Config(vocab_size=tokenizer.vocab_size, n_positions=64, n_embd=32, n_layer=2, n_head=2)
    )
    init_weights(model, seed=1)
    weights.save(folder, model, tokenizer, card="", penwright={})
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch, known_speed) -> Path:
    """An empty folder to be in, offline."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / ".cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / ".hub"))
    return tmp_path


@pytest.fixture
def home(place, tiny_model) -> Path:
    """The folder of an old script: a model, a CSV of titles, a text."""
    shutil.copytree(tiny_model, place / "models" / "124M")
    (place / "titles.csv").write_text("title\n" + "".join(f'"{row}"\n' for row in ROWS))
    (place / "story.txt").write_text(" ".join(ROWS))
    return place


@pytest.fixture
def train(home, capsys):
    """`train(steps=2, ...)` fine-tunes and returns what was printed."""

    def call(dataset="titles.csv", sess=None, **options) -> str:
        settings = {"steps": 2, "sample_length": 6, "learning_rate": 1e-2, "sample_every": 0}
        gpt2.finetune(sess, dataset, **settings | options)
        return capsys.readouterr().out

    return call


def openai_layout(folder: Path, tokenizer: Tokenizer) -> Path:
    """A checkpoint that TensorFlow wrote, with the files and names of OpenAI's models."""
    folder.mkdir(parents=True)
    old = GOLDENS / "run1"
    for file in old.glob("model-500.*"):
        shutil.copy(file, folder / file.name.replace("model-500", "model.ckpt"))
    shutil.copy(old / "hparams.json", folder)
    (folder / "checkpoint").write_text('model_checkpoint_path: "model.ckpt"\n')
    (folder / "model.ckpt.meta").write_bytes(b"")
    add_vocabulary(folder, tokenizer)
    return folder


def tensorflow_run(folder: Path, tokenizer: Tokenizer) -> Path:
    """A run that gpt-2-simple left."""
    shutil.copytree(GOLDENS / "run1", folder)
    (folder / "counter").write_text("500\n")
    add_vocabulary(folder, tokenizer)
    return folder


def add_vocabulary(folder: Path, tokenizer: Tokenizer) -> None:
    tokenizer.save(folder / "new")
    (folder / "new" / "vocab.json").rename(folder / "encoder.json")
    (folder / "new" / "merges.txt").rename(folder / "vocab.bpe")
    shutil.rmtree(folder / "new")


@pytest.fixture(scope="session")
def small_vocabulary() -> Tokenizer:
    """Of the 300 tokens that the golden checkpoints have."""
    return Tokenizer.train(ROWS * 9, 300)
