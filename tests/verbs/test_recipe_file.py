"""Every recipe that comes along is read, and says what is wrong with data that it cannot use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penwright.config import FinetuneConfig, build, flat_fields, flat_values, read_toml
from penwright.errors import DataError, UsageError
from penwright.metrics import METRICS
from penwright.verbs.recipe_file import SAMPLES, list_recipes, read_recipe

RECIPES = {recipe.name: recipe for recipe in list_recipes()}
NAMES = (
    "answers", "base", "completion", "keywords", "screenplay", "sitcom", "stories", "summaries",
    "titles",
)  # fmt: skip


def config_of(recipe, **options):
    own = recipe.finetune_options(with_data=True, with_model=False)
    return build(FinetuneConfig, own | options)


def test_there_is_a_recipe_for_each_job_of_the_five_systems():
    assert tuple(sorted(RECIPES)) == NAMES
    assert {recipe.about.system for recipe in RECIPES.values()} == {1, 2, 3, 4, 5, None}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_a_file_for_finetune_and_runs_on_its_sample(name):
    recipe = RECIPES[name]
    assert read_toml(recipe.path, FinetuneConfig) == recipe.options
    assert "model" not in recipe.options
    config = build(FinetuneConfig, recipe.finetune_options(with_data=False, with_model=False))
    assert config.model == ("base" if recipe.new is None else None)
    assert all(Path(path).exists() for path in [*recipe.sample_data(), *config.held_out_data])
    recipe.check(recipe.sample_data(), config)
    assert recipe.write
    assert all(metric in METRICS for one in recipe.measure for metric in one.evaluate.metrics)


def test_a_model_and_data_of_one_s_own_take_the_system_s_own_numbers():
    stories = RECIPES["stories"]
    small = stories.finetune_options(with_data=False, with_model=False)
    assert (small["epochs"], small["learning_rate"]) == (4.0, 5e-4)
    own_data = stories.finetune_options(with_data=True, with_model=False)
    assert (own_data["epochs"], own_data["learning_rate"]) == (1.0, 5e-4)
    both = stories.finetune_options(with_data=True, with_model=True)
    assert both == stories.options
    assert (both["epochs"], both["learning_rate"], both["eps"]) == (1.0, 5e-5, 1e-8)
    assert (both["warmup"], both["schedule"], both["batch_size"]) == (0.1, "linear", 4)
    assert (both["max_words"], both["max_length"], both["seed"]) == (300, 512, 88888)


def test_together_they_turn_the_knobs_of_the_five_systems():
    turned = {name for recipe in RECIPES.values() for name in recipe.options}
    assert turned >= {
        "add_token", "batch_size", "clean", "clip", "decay_epochs", "decay_factor",
        "drop_duplicates", "epochs", "eps", "evaluate_every", "highlights", "keep", "learn",
        "learning_rate", "max_length", "max_tokens", "max_words", "micro_batch", "optimizer",
        "patience", "precision", "sample_every", "sample_tokens", "save_every", "schedule", "seed",
        "separator", "shape", "steps", "steps_per_epoch", "train_only", "warmup", "weight_decay",
    }  # fmt: skip
    assert {recipe.options.get("shape") for recipe in RECIPES.values()} >= {
        "rows",
        "windows",
        "packed",
    }
    schedules = {recipe.options.get("schedule") for recipe in RECIPES.values()}
    assert schedules >= {"linear", "step", "constant"}
    sampling = [w.generate.sampling for recipe in RECIPES.values() for w in recipe.write]
    assert {s.repetition_penalty for s in sampling} >= {1.0, 5.0}
    assert {(s.greedy, s.num_beams) for s in sampling} >= {(False, 1), (True, 1), (False, 4)}
    assert {(s.top_k, s.top_p) for s in sampling} >= {(0, 0.9), (10, 0.75), (40, 1.0), (2, 1.0)}


OTHER = {
    "answers": ("t.csv", "story,question,answer\na,b,c\n", "csv", "CoQA"),
    "summaries": ("t.txt", "An article.", "text", ".story"),
    "stories": ("t.jsonl", '{"prompt": "a", "story": "b"}\n', "jsonl", ".wp_source"),
    "titles": ("t.txt", "A title\n", "text", "table"),
    "keywords": ("t.txt", "A title\n", "text", "table"),
    "completion": ("t.txt", "A text\n", "text", "prompt and completion"),
    "screenplay": ("t.csv", "a,b\n1,2\n", "csv", "plain text"),
    "sitcom": ("t.csv", "a,b\n1,2\n", "csv", "plain text"),
}


@pytest.mark.parametrize("name", [name for name in NAMES if RECIPES[name].about.formats])
def test_data_of_another_format_names_the_recipe_the_file_and_the_mend(tmp_path, name):
    file, content, kind, mend = OTHER[name]
    (tmp_path / file).write_text(content)
    recipe = RECIPES[name]
    with pytest.raises(DataError) as refused:
        recipe.check([tmp_path / file], config_of(recipe))
    assert f"The recipe '{name}'" in refused.value.message
    assert f"{tmp_path / file} is of the format {kind}" in refused.value.message
    assert mend in refused.value.fix


@pytest.mark.parametrize(
    ("name", "header", "lacking", "flag"),
    [
        ("titles", "subreddit,headline", "title", "--text-column"),
        ("keywords", "kind,title", "category", "--category-column"),
        ("keywords", "subreddit,headline", "title", "--text-column"),
        ("completion", "prompt,rest", "completion", "--completion-column"),
    ],
)
def test_a_missing_column_names_the_recipe_the_file_and_the_flag(
    tmp_path, name, header, lacking, flag
):
    path = tmp_path / "mine.csv"
    path.write_text(f"{header}\naww,A dog I know\ncats,A cat I knew once\n")
    recipe = RECIPES[name]
    with pytest.raises(DataError) as refused:
        recipe.check([path], config_of(recipe))
    assert f"The recipe '{name}'" in refused.value.message
    assert f"{path} has no column '{lacking}'" in refused.value.message
    assert flag in refused.value.fix


def test_columns_of_other_names_are_taken_when_they_are_named(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("kind,headline\naww,A dog I know\ncats,A cat I knew once\n")
    recipe = RECIPES["keywords"]
    config = config_of(recipe, text_column="headline", category_column="kind")
    recipe.check([path], config)
    assert recipe.keyword_columns(str(path), config) == {
        "title_field": "headline",
        "category_field": "kind",
    }


def test_the_column_names_of_the_system_s_own_data_are_known(tmp_path):
    path = tmp_path / "reddit.csv"
    path.write_text("subreddit,title\naww,A dog I know\ncats,A cat I knew once\n")
    for name in ("titles", "keywords"):
        RECIPES[name].check([path], config_of(RECIPES[name]))
    columns = RECIPES["keywords"].keyword_columns(str(path), config_of(RECIPES["keywords"]))
    assert columns["category_field"] == "subreddit"
    questions = tmp_path / "questions.csv"
    questions.write_text("Why do geese honk at night?\nWho put the moon there?\n")
    RECIPES["titles"].check([questions], config_of(RECIPES["titles"]))


def test_one_file_of_a_pair_alone(tmp_path):
    (tmp_path / "a.wp_source").write_text("[ WP ] A goose\n")
    with pytest.raises(DataError, match=r"recipe 'stories'.*a\.wp_target"):
        RECIPES["stories"].check([tmp_path / "a.wp_source"], config_of(RECIPES["stories"]))


def test_an_unknown_recipe_suggests_a_known_one():
    with pytest.raises(UsageError, match=r"no recipe 'story'\. Did you mean 'stories'"):
        read_recipe("story")
    with pytest.raises(UsageError, match="There is: answers, base, completion"):
        read_recipe("zzz")


RECIPE = (
    'steps = 3\n[recipe]\nsystem = 9\nabout = "a"\ndata = "b"\ntakes = "c"\nformats = ["text"]\n'
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps = 3\n", r"mine\.toml has no table \[recipe\]"),
        ("[recipe]\nsystem = 1\n", r"\[recipe\] lacks about, data, takes"),
        (RECIPE.replace("steps", "stepz"), r"mine\.toml: there is no option 'stepz'"),
        (RECIPE + "[recipe.base]\nrate = 1\n", r"mine\.toml: there is no option 'rate'"),
        (RECIPE + "[[recipe.write]]\nmax-tokens = 3\n", r"there is no option 'max-tokens'"),
        (RECIPE + "[[recipe.measure]]\nmetric = ['x']\n", r"Did you mean 'metrics'"),
        (RECIPE + "[[recipe.measure]]\non = 'x'\n", r"on cannot be 'x'"),
        (RECIPE + "[recipe.new]\nvocab = 3\n", r"there is no option 'vocab'"),
        (RECIPE + "[recipe.other]\na = 3\n", r"there is no option 'other'"),
    ],
)
def test_a_recipe_of_one_s_own_is_checked(tmp_path, text, says):
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    assert read_recipe(path).options == {"steps": 3}
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        read_recipe(path)


def test_the_bundled_completion_has_one_example_and_others_that_ask_for_the_same():
    lines = (SAMPLES / "completion.jsonl").read_text().splitlines()
    (example,) = map(json.loads, lines)
    others = (SAMPLES / "completion-reworded.jsonl").read_text().splitlines()
    for line in map(json.loads, others):
        assert line["completion"] == example["completion"]
        assert line["prompt"] != example["prompt"]


def test_no_option_of_finetune_is_called_like_the_table():
    assert "recipe" not in flat_fields(FinetuneConfig)
    assert "recipe" not in flat_values(FinetuneConfig())


def test_the_page_s_recipe_is_one(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "training.md"
    blocks = page.read_text(encoding="utf-8").split("```toml\n")[1:]
    (text,) = [block.split("```")[0] for block in blocks if "[recipe]" in block]
    (tmp_path / "limericks.toml").write_text(text)
    recipe = read_recipe(tmp_path / "limericks.toml")
    recipe.check(recipe.sample_data(), config_of(recipe))
    assert recipe.write[0].generate.n == 3
