"""`penwright recipe` as a user has it."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.usefixtures("small_base")

SHORT = ("--steps", "2", "--precision", "fp32", "--sample-every", "0")


def refused(said, code, *words):
    assert said.code == code, said.err
    assert len(said.sentences) == 1, said.err
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err, said.err


def test_without_a_name_the_recipes_are_listed(penwright):
    said = penwright("recipe")
    assert said.code == 0
    assert [line.split()[0] for line in said.out.splitlines()] == [
        "stories", "completion", "answers", "screenplay", "summaries", "sitcom", "keywords",
        "titles", "base",
    ]  # fmt: skip


def test_the_list_is_json_for_a_program(penwright):
    listed = json.loads(penwright("recipe", "--json").out)
    assert {one["system"] for one in listed} == {1, 2, 3, 4, 5, None}
    assert listed[0]["name"] == "stories"


@pytest.mark.usefixtures("real_base")
def test_a_recipe_ends_in_figures_and_writing(penwright):
    said = penwright("recipe", "completion")
    assert said.code == 0
    assert "Measured on what was held out, with 95 % intervals:" in said.out
    assert "verbatim    0.00" in said.out
    assert "-- 1: three hundred brass teapots" in said.out
    assert "-- untrained 1:" in said.out
    assert "Held-out perplexity:" in said.err


def test_flags_win_and_json_is_the_last_line(penwright):
    said = penwright("recipe", "titles", *SHORT, "--name", "mine", "--json", "--held-out", "0.3")
    assert said.code == 0, said.err
    record = json.loads(said.out.splitlines()[-1])
    assert (record["name"], record["system"], record["model"]) == ("titles", 5, "base")
    assert record["run"].endswith("mine")
    assert record["steps"] == 2
    assert record["perplexity_after"] < record["perplexity_before"]
    (measured,) = record["measured"]
    assert measured["after"]["documents"] == 108
    assert measured["after"]["low"] < measured["after"]["perplexity"] < measured["after"]["high"]
    (written,) = record["writing"]
    assert len(written["texts"]) == 10
    assert record["seconds"] > record["seconds_training"] > 0


def test_a_recipe_is_a_file_for_finetune(penwright, tmp_path):
    from penwright.verbs.recipe_file import SAMPLES, read_recipe

    path = read_recipe("titles").path
    said = penwright(
        "finetune", SAMPLES / "titles.csv", "--config", path, *SHORT, "--model", "base",
        "--max-length", "256",
    )  # fmt: skip
    assert said.code == 0, said.err
    plan = json.loads((tmp_path / "runs" / "titles" / "run.json").read_text())["plan"]
    assert (plan["batch_size"], plan["micro_batch"], plan["learning_rate"]) == (5, 1, 1e-4)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("storys",), 2, ("storys", "stories")),
        (("mine.toml",), 2, ("mine.toml",)),
        (("titles", "--data", "no.csv"), 1, ("titles", "no.csv")),
        (("titles", "--data", "t.json"), 1, ("titles", "t.json", "coqa", "a table")),
        (("titles", "--data", "t.csv"), 1, ("titles", "t.csv", "'title'", "--text-column")),
        (("answers", "--data", "t.csv"), 1, ("answers", "t.csv", "CoQA")),
        (("answers", "--data", "bad.json"), 1, ("answers", "bad.json", "story 1")),
        (("keywords", "--held-out-data", "t.csv"), 2, ("keywords", "--held-out")),
        (("titles", "--stepz", "3"), 2, ("--stepz",)),
        (("--steps", "3", "titles"), 2, ("name comes first",)),
        (("keywords", "--prompt", "A goose"), 2, ("keywords", "generate RUN --keywords")),
    ],
)
def test_bad_input_is_one_sentence_that_names_the_recipe(penwright, tmp_path, words, code, says):
    (tmp_path / "t.csv").write_text("kind,headline\naww,A dog\ncats,A cat I knew\n")
    (tmp_path / "t.json").write_text('{"data": [{"story": "", "questions": [{"input_text": ""}]}]}')
    turns = '"questions": [{"turn_id": 1, "input_text": "Who?"}], "answers": []'
    (tmp_path / "bad.json").write_text('{"data": [{"story": "Once.", ' + turns + "}]}")
    refused(penwright("recipe", *words), code, *says)
    assert not (tmp_path / "runs").exists()
