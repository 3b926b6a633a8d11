"""The index of a run's training text, opened in the background for the guesses of a writer."""

from __future__ import annotations

import pytest

import penwright
from penwright.dataset import training_text
from penwright.dataset.training_text import KeptIndex, open_training_text
from tests.serve.conftest import wait_until


@pytest.fixture
def run(tmp_path, monkeypatch, small_base):  # noqa: ARG001
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "book.txt").write_text("The goose walked to the river.\n" * 200, encoding="utf-8")
    return penwright.finetune(
        "book.txt", model="base", steps=1, batch_size=1, max_length=64, name="book",
        sample_every=0, held_out=0.2, precision="fp32",
    )  # fmt: skip


def test_of_a_short_text_it_is_built(run):
    kept = KeptIndex(run.folder)
    wait_until(lambda: kept.index is not None)
    goose = open_training_text(run.folder).tokenizer.encode(" goose")
    assert kept.index.find(goose).count == 160


def test_of_a_long_text_it_is_built_by_copied_alone(run, monkeypatch):
    monkeypatch.setattr(training_text, "SHORT_TEXT", 10)
    kept = KeptIndex(run.folder)
    assert kept.index is None
    wait_until(lambda: "penwright copied book" in kept.says)
    assert kept.index is None
    assert open_training_text(run.folder).index.n_tokens
    again = KeptIndex(run.folder)
    wait_until(lambda: again.index is not None)


def test_a_model_without_a_run_has_none(tmp_path):
    kept = KeptIndex(tmp_path)
    assert (kept.index, kept.says) == (None, "")
