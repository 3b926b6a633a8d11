from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from penwright import config
from penwright.config import FinetuneConfig, build, flat_fields, flat_values, read_toml
from penwright.errors import UsageError

VERBS = [
    config.FinetuneConfig,
    config.GenerateConfig,
    config.EvaluateConfig,
    config.InspectConfig,
]


@pytest.mark.parametrize("cls", VERBS)
def test_flat_options_build_the_config_that_they_came_from(cls):
    default = cls()
    assert build(cls, flat_values(default)) == default
    assert set(flat_values(default)) == set(flat_fields(cls))


@pytest.mark.parametrize("cls", VERBS)
def test_no_option_stands_in_two_groups_of_a_verb(cls):
    config = cls()
    groups = [
        f for f in dataclasses.fields(cls) if dataclasses.is_dataclass(getattr(config, f.name))
    ]
    names = [f.name for f in dataclasses.fields(cls) if f not in groups]
    for group in groups:
        names += [f.name for f in dataclasses.fields(getattr(cls(), group.name))]
    assert len(names) == len(set(names))


def test_toml_keys_are_the_flags_names_in_either_spelling(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        "steps = 20\nlearning-rate = 1\ntext_column = 'title'\ndecay_epochs = [4, 5]\n"
        "output_dir = 'here'\nresume = true\n"
    )
    options = read_toml(file, FinetuneConfig)
    built = build(FinetuneConfig, options)
    assert (built.steps, built.rates.learning_rate, built.data.text_column) == (20, 1.0, "title")
    assert (built.rates.decay_epochs, built.output_dir, built.resume) == (
        (4.0, 5.0),
        Path("here"),
        True,
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stepz = 3", r"run\.toml: there is no option 'stepz'\. Did you mean 'steps'\?"),
        ("steps = 'three'", r"run\.toml: steps must be int, but is 'three'"),
        ("steps = true", r"steps must be int"),
        ("shape = 'round'", r"shape cannot be 'round'\. It is one of: auto, packed"),
        ("steps = ", r"run\.toml is not valid TOML"),
    ],
)
def test_a_wrong_toml_file_is_told_in_one_sentence(tmp_path, text, says):
    file = tmp_path / "run.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=says):
        read_toml(file, FinetuneConfig)


def test_a_missing_toml_file_is_named():
    with pytest.raises(UsageError, match="no file"):
        read_toml(Path("nowhere.toml"), FinetuneConfig)


def test_an_unknown_option_in_python_suggests_the_right_one():
    with pytest.raises(UsageError, match="Did you mean 'temperature'"):
        build(config.GenerateConfig, {"temperture": 1.0})
    with pytest.raises(UsageError, match="no option"):
        build(config.GenerateConfig, {"zzz": 1.0})


def test_zero_means_zero():
    built = build(config.GenerateConfig, {"temperature": 0, "seed": 0, "top_p": 0.0})
    assert (built.sampling.temperature, built.sampling.seed, built.sampling.top_p) == (0.0, 0, 0.0)
