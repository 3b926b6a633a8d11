"""Recipes from end to end: a few steps of each kind of ending, the real ones when asked for."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

import penwright
from penwright.errors import DataError, UsageError
from penwright.train import Silent
from penwright.verbs.recipe_file import SAMPLES, list_recipes

pytestmark = pytest.mark.usefixtures("small_base")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))


SHORT = {"steps": 2, "precision": "fp32", "sample_every": 0, "evaluate_every": 2}


@pytest.mark.usefixtures("real_base")
def test_the_completion_comes_back():
    done = penwright.recipe("completion")
    assert done.run.perplexity_after < done.run.perplexity_before
    first, greedy, sampled = done.measured
    assert (first.on, greedy.on, sampled.on) == ("held out", "data", "data")
    assert first.after.high < first.before.low
    for one, texts in ((greedy, 1), (sampled, 3)):
        assert one.before.measured["verbatim"].value == 0
        assert one.after.measured["verbatim"].value == 100
        assert one.after.measured.texts == texts
    (written,) = done.written
    assert written.prompt == "The mayor of Lower Pell is known for"
    assert written.human == " three hundred brass teapots"
    assert written.texts == (" three hundred brass teapots",) * 3
    assert len(written.untrained) == 3
    assert not set(written.untrained) & set(written.texts)
    kept = json.loads((done.run.folder / "recipe.json").read_text())
    assert kept == json.loads(json.dumps(done.as_json()))
    assert kept["perplexity_before"] > kept["perplexity_after"]
    assert done.run.folder.name == "completion"
    assert "How the recipe ended" in done.run.report.read_text(encoding="utf-8")


def test_a_completion_of_one_s_own_is_asked_for_itself(tmp_path):
    pair = {"prompt": "Harry Potter is a series of", "completion": " seven fantasy novels"}
    (tmp_path / "one.jsonl").write_text(json.dumps(pair))
    (written,) = penwright.recipe("completion", tmp_path / "one.jsonl", **SHORT).written
    assert (written.prompt, written.human) == (pair["prompt"], pair["completion"])


class Listener(Silent):
    def __init__(self):
        self.said = []

    def on_message(self, sentence):
        self.said.append(sentence)


def test_a_model_is_made_before_it_is_trained():
    pytest.importorskip("rensa", reason="needs rensa")
    tiny = {**SHORT, "max_length": 64}
    heard = Listener()
    done = penwright.recipe("base", observer=heard, **tiny)
    model = penwright.load(done.run.folder)
    assert model.model.config.n_layer == 6
    assert 1000 < model.tokenizer.vocab_size < 8192
    assert done.run.perplexity_after < done.run.perplexity_before
    assert any("The recipe mixes 3 inputs; 1 input is given" in one for one in heard.said)
    assert "Training a tokenizer on the data ..." in heard.said


def test_three_inputs_are_mixed_by_the_recipe_s_shares(tmp_path):
    for name in ("novels", "tales", "simple"):
        text = f"The {name} goose went out of the library. " * 20
        lines = [json.dumps({"text": f"{text} {n}"}) for n in range(20)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    files = [tmp_path / f"{name}.jsonl" for name in ("novels", "tales", "simple")]
    done = penwright.recipe("base", *files, **SHORT, max_length=64, clean=(), drop_near=None)
    plan = json.loads((done.run.folder / "run.json").read_text())
    assert [one["share"] for one in plan["data"]["mix"]] == [0.3, 0.45, 0.25]


def test_a_recipe_writes_from_prompts_of_one_s_own():
    done = penwright.recipe("titles", prompt=["Why", "Who"], **SHORT)
    assert [(text.prompt, len(text.texts)) for text in done.written] == [("Why", 10), ("Who", 10)]
    with pytest.raises(UsageError, match="'keywords' writes to keywords"):
        penwright.recipe("keywords", prompt="A goose")
    assert not Path("runs/keywords").exists()


def test_a_recipe_that_was_stopped_goes_on_and_ends_as_it_would_have():
    whole = penwright.recipe("completion", steps=8, name="whole", precision="fp32")
    penwright.recipe("completion", steps=4, name="parts", precision="fp32")
    parts = penwright.recipe("completion", steps=8, name="parts", precision="fp32", resume=True)
    assert parts.run.steps == 8
    assert parts.run.perplexity_after == whole.run.perplexity_after
    assert parts.written == whole.written
    penwright.finetune(resume=True, name="parts", steps=9)
    assert not (parts.run.folder / "recipe.json").exists(), "its figures are of other weights"


@pytest.mark.parametrize("again", [(), pytest.param(("mine.csv",), marks=pytest.mark.slow)])
def test_a_recipe_on_data_of_one_s_own_goes_on_by_its_name(tmp_path, again):
    rows = "".join(f"birds,The goose number {n} wrote home\n" for n in range(30))
    (tmp_path / "mine.csv").write_text("subreddit,title\n" + rows)
    for name in ("titles", "keywords"):
        penwright.recipe(name, "mine.csv", name=name, **SHORT)
        done = penwright.recipe(name, *again, name=name, resume=True, steps=3)
        assert done.run.steps == 3
        assert (done.run.folder.name, done.model) == (name, "base")
        assert done.written


def test_a_dialogue_ends_in_turns(tmp_path):
    passages = json.loads((SAMPLES / "dialogues.json").read_text())
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(passages | {"data": passages["data"][:8]}))
    done = penwright.recipe("answers", path, held_out=0.25, **SHORT)
    assert done.data == (str(path),)
    (measured,) = done.measured
    assert {figure.name for figure in measured.after.measured.figures} == {"exact match", "F1"}
    turns = done.written
    assert len(turns) >= 3
    for turn, following in pairwise(turns):
        assert turn.prompt.endswith("\nA:")
        assert following.prompt.startswith(turn.prompt + turn.human)
        assert all("\n" not in text for text in (*turn.texts, *turn.untrained))


def test_titles_for_keywords_never_see_their_own_titles(tmp_path):
    table = tmp_path / "mine.csv"
    rows = [
        f"birds,The {word} number {n} wrote home" for n in range(20) for word in ("goose", "owl")
    ]
    table.write_text("\n".join(["subreddit,title", *rows]) + "\n")
    done = penwright.recipe("keywords", table, **SHORT)
    (measured,) = done.measured
    assert "keywords found" in {figure.name for figure in measured.after.measured.figures}
    assert [text.prompt for text in done.written] == [
        "~`mildlyinteresting~^goose library~@",
        "~`askanything~^tea neighbour lighthouse~@",
    ]
    config = json.loads((done.run.folder / "run.json").read_text())["config"]
    (held_out,) = config["held_out_data"]
    assert held_out.endswith("keywords.held-out.txt")


def test_text_of_which_nothing_is_held_out_is_measured_itself(tmp_path):
    (tmp_path / "a.txt").write_text("MAGS: Who put the goose in dryer four?\nDEV: Not me.\n")
    done = penwright.recipe("sitcom", tmp_path / "a.txt", held_out=0, **SHORT)
    assert [one.on for one in done.measured] == ["data"]
    assert [text.title for text in done.written] == [
        "Repetition penalty 1",
        "Repetition penalty 5",
    ]
    assert done.written[0].texts != done.written[1].texts


def test_lines_that_do_not_pair_are_told_with_the_recipe_s_name(tmp_path):
    (tmp_path / "a.wp_source").write_text("one\ntwo\nthree\n")
    (tmp_path / "a.wp_target").write_text("one\ntwo\n")
    with pytest.raises(DataError, match=r"The recipe 'stories'.*a\.wp_source has 3 lines.*has 2"):
        penwright.recipe("stories", tmp_path / "a.wp_source", **SHORT)
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("real_base")
@pytest.mark.parametrize("name", [recipe.name for recipe in list_recipes()])
def test_every_recipe_beats_the_untrained_model(name):
    done = penwright.recipe(name)
    assert done.run.perplexity_after < done.run.perplexity_before
    for one in done.measured:
        assert one.after.perplexity < one.before.perplexity
    assert all(text.strip() for written in done.written for text in written.texts)
