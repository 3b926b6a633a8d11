"""`compare` tells models apart on the same documents, and says what cannot be compared."""

from __future__ import annotations

import io
import json
import sys
from importlib.resources import files

import numpy as np
import pytest

import penwright
from penwright.cli import run
from penwright.errors import RunError, UsageError
from penwright.metrics import Resampling, make_figure, mean
from penwright.weights.names import base_folder

pytestmark = pytest.mark.usefixtures("small_base")

FEW = {"model": "base", "precision": "fp32", "sample_every": 0, "batch_size": 4}
BASE = str(base_folder())
TEXTS = {"prompts": 3, "max_new_tokens": 6}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def story(tmp_path):
    path = tmp_path / "story.txt"
    texts = [f"Goose number {n} asked for tea and honked {n} times at the rain." for n in range(40)]
    path.write_text("\n<|endoftext|>\n".join(texts))
    return path


def test_a_run_is_told_from_its_beginning(story):
    penwright.finetune(story, name="geese", steps=6, held_out=0.3, **FEW)
    found = penwright.compare("base", "geese", **TEXTS)
    (apart,) = found.differences
    assert apart.better == "geese"
    assert 0 < apart.low < apart.percent < apart.high
    after = penwright.evaluate("geese", held_out_of="geese").perplexity
    before = penwright.evaluate("base", held_out_of="geese").perplexity
    assert [figure.value for figure in found.figures] == pytest.approx([before, after])
    assert apart.percent == pytest.approx(100 * (1 - after / before))
    assert found.documents == 12
    page = found.page.read_text()
    assert "The same prompts side by side" in page
    kept = json.loads((found.folder / "comparison.json").read_text())
    assert [len(item["texts"]) for item in kept["texts"]] == [2, 2, 2]
    assert list(found.quality) == ["base", "geese", "human text"]


def test_the_intervals_of_a_real_comparison_cover(story):
    """Over random signs of its documents' differences, 95 % intervals hold zero as often."""
    penwright.finetune(story, name="geese", steps=3, **FEW)
    titles = files("penwright") / "assets" / "samples" / "titles.csv"
    found = penwright.compare("base", "geese", on=(str(titles),), prompts=0)
    before, after = (figure.counts_ND for figure in found.figures)
    tokens, apart = before[:, 1], after[:, 0] - before[:, 0]
    assert len(apart) > 100
    assert np.std(apart) > 0
    generator = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        losses = apart * generator.choice([-1.0, 1.0], len(apart))
        counts_ND = np.stack([losses, tokens], axis=1)
        figure = make_figure("x", counts_ND, mean, Resampling(seed=trial))
        hits += figure.low <= 0 <= figure.high
    assert 180 <= hits <= 198


def test_a_model_beside_itself_is_not_told_apart(story, tiny_base):
    found = penwright.compare("base", tiny_base, on=(str(story),), prompts=0)
    assert found.differences[0].percent == 0
    assert found.differences[0].better is None
    assert "not told apart" in str(found)
    assert found.texts == ()


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize(
    ("models", "options", "says"),
    [
        (("base",), {}, "two models or more"),
        (("base", "base"), {}, "two models or more"),
        (("base", BASE), {}, "no text is held out"),
        (("base", BASE), {"on": ("story.txt",), "held_out_of": "x"}, "one of the two"),
        (("base", BASE), {"prompts": -1}, "at least 0"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_sentence(models, options, says):
    with pytest.raises(UsageError, match=says):
        penwright.compare(*models, **options)


def test_runs_on_other_data_or_other_documents(story, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(story.read_text().replace("Goose", "Duck"))
    penwright.finetune(story, name="geese", steps=1, held_out=0.5, **FEW)
    penwright.finetune(other, name="ducks", steps=1, held_out=0.5, **FEW)
    with pytest.raises(RunError, match="geese and ducks learned from other data"):
        penwright.compare("geese", "ducks", prompts=0)
    penwright.finetune(story, name="again", steps=1, held_out=0.5, seed=7, **FEW)
    told = []
    found = penwright.compare("geese", "again", prompts=0, warn=told.append)
    assert 0 < found.documents < 20
    assert f"{found.documents} documents that all of them held out" in " ".join(told)


def test_between_tokenizers_bits_per_byte_are_compared(story, tmp_path):
    penwright.train_tokenizer(story, output=tmp_path / "tok", vocab_size=300)
    penwright.new(tmp_path / "own", tokenizer=tmp_path / "tok", layers=1, width=16, heads=1)
    told = []
    found = penwright.compare(
        "base", tmp_path / "own", on=(str(story),), prompts=0, warn=told.append
    )
    assert found.unit == "bits per byte"
    assert "other tokenizers" in " ".join(told)
    assert [figure.value for figure in found.figures] == pytest.approx(found.bits_per_byte)
    for model, figure in zip(("base", tmp_path / "own"), found.figures, strict=True):
        assert figure.value == pytest.approx(penwright.evaluate(model, story).bits_per_byte)
    values = [figure.value for figure in found.figures]
    assert found.differences[0].better == found.models[values.index(min(values))]


def test_votes_and_kept_texts(story, monkeypatch, capsys, tmp_path):
    penwright.finetune(story, name="geese", steps=2, held_out=0.3, **FEW)
    monkeypatch.setattr(sys, "stdin", io.StringIO("what\nk2\n1\nt\nq\n"))
    words = ["compare", "base", "geese", "--prompts", "3", "--max-new-tokens", "5", "--vote"]
    assert run([*words, "--json", "--keep", "kept.jsonl"]) == 0
    said = capsys.readouterr()
    assert "geese" not in said.err.split("--- 1 of ")[1].split("Kept in")[0]
    (rate,) = json.loads(said.out)["votes"]
    assert (rate["wins"] + rate["losses"], rate["ties"]) == (1, 1)
    (record,) = map(json.loads, (tmp_path / "kept.jsonl").read_text().splitlines())
    assert record["machine_written"] is True
    assert run(["finetune", "kept.jsonl", "--model", "base", "--steps", "1", "--name", "kept"]) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("real_base")
def test_more_steps_are_told_apart_and_seeds_are_not(tmp_path):
    """Two runs of 10 and of 100 steps differ; two seeds of one recipe do not."""
    sample = files("penwright") / "assets" / "samples" / "hill.jsonl"
    lines = sample.read_text(encoding="utf-8").splitlines()
    (tmp_path / "train.jsonl").write_text("\n".join(lines[: len(lines) * 4 // 5]))
    (tmp_path / "test.jsonl").write_text("\n".join(lines[len(lines) * 4 // 5 :]))
    for name, steps, seed in (("ten", 10, 1), ("hundred", 100, 1), ("other", 100, 2)):
        options = FEW | {"steps": steps, "seed": seed, "held_out_data": ("test.jsonl",)}
        penwright.finetune("train.jsonl", name=name, max_length=64, **options)
    assert penwright.compare("ten", "hundred", prompts=0).differences[0].better == "hundred"
    assert penwright.compare("hundred", "other", prompts=0).differences[0].better is None
