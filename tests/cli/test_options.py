from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from penwright.cli.options import spell_out
from penwright.model import GPT2, SIZES

pytestmark = pytest.mark.usefixtures("small_base")


@pytest.mark.parametrize(
    ("words", "spelled"),
    [
        (["--mix", "0.7,0.3", "x"], ["--mix=0.7", "--mix=0.3", "x"]),
        (["--clean=a,b"], ["--clean=a", "--clean=b"]),
        (["--lora-targets", "c_attn,c_fc"], ["--lora-targets=c_attn", "--lora-targets=c_fc"]),
        (["--prompt", "a,b"], ["--prompt=a,b"]),
        (["--learn", "--mix"], ["--learn", "--mix"]),
        (["a,b", "--learn", "x"], ["a,b", "--learn=x"]),
        (["-n", "3", "-o", "x"], ["--n", "3", "--output", "x"]),
        (["--prompt", "- Hello"], ["--prompt=- Hello"]),
        (["--prompt", "-n", "3"], ["--prompt", "--n", "3"]),
        (["--separator", "--- "], ["--separator=--- "]),
        (["--prompt", r"a\nb", "--stop=\\n"], ["--prompt=a\nb", "--stop=\n"]),
        (["--prompt", r"C:\\new"], [r"--prompt=C:\new"]),
        (["--prompts", "-"], ["--prompts=-"]),
        (["--max_new_tokens", "3"], ["--max-new-tokens", "3"]),
    ],
)
def test_words_are_spelled_in_one_way(words, spelled):
    assert spell_out(words, lambda: {"--n"}) == spelled


def test_steps_and_epochs_contradict_each_other_unless_one_is_in_a_file(penwright, tmp_path):
    (tmp_path / "a.txt").write_text("The goose wrote home. " * 40)
    (tmp_path / "c.toml").write_text("epochs = 9\nmodel = 'base'\nmax-length = 16\n")
    said = penwright("finetune", "a.txt", "--steps", "1", "--epochs", "9")
    assert said.code == 2
    assert "--steps and --epochs contradict each other. Give one" in " ".join(said.err.split())
    words = ("--config", "c.toml", "--steps", "1", "--name", "x", "--sample-every", "0")
    assert penwright("finetune", "a.txt", *words).code == 0
    info = json.loads((tmp_path / "runs/x/run.json").read_text())
    assert (info["config"]["epochs"], info["plan"]["steps"]) == (None, 1)


def test_data_sets_are_mixed_and_texts_cleaned_from_the_command_line(penwright, tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.txt").write_text("\n".join(f"{name} &amp; {n} ." for n in range(20)))
    words = ("--documents", "line", "--clean", "entities,detokenize", "--mix", "0.7,0.3")
    more = ("--model", "base", "--steps", "1", "--max-length", "16", "--sample-every", "0")
    said = penwright("finetune", "a.txt", "b.txt", *words, *more, "--name", "r")
    assert said.code == 0, said.err
    data = json.loads((tmp_path / "runs" / "r" / "run.json").read_text())["data"]
    assert data["cleaning"]["changed"] == {"detokenize": 40, "entities": 40}
    assert [source["share"] for source in data["mix"]] == [0.7, 0.3]


def test_a_tokenizer_and_a_model_from_nothing(penwright, tmp_path):
    (tmp_path / "a.txt").write_text("the goose and the owl " * 50)
    said = penwright("tokenizer", "train", "a.txt", "--vocab-size", "300", "-o", "tok")
    assert said.code == 0, said.err
    assert "penwright new --tokenizer tok" in said.out
    said = penwright("new", "--tokenizer", "tok", "--context", "32", "-o", "model")
    assert said.code == 0, said.err
    assert penwright("inspect", "./model").code == 0
    assert penwright("new", "-o", "model").code == 2


@pytest.mark.parametrize(("size", "millions", "context"), [("tiny", 7, 512), ("small", 30, 1024)])
def test_a_new_model_has_the_size_that_the_help_says(penwright, size, millions, context):
    said = " ".join(penwright("new", "--help").out.replace("│", " ").split())
    assert f"{size} ({millions}M" in said
    assert SIZES[size].n_positions == context
    assert "512 for tiny, 1024 for the others" in said
    with torch.device("meta"):
        model = GPT2(dataclasses.replace(SIZES[size], vocab_size=8192))
    assert round(model.n_parameters / 1e6) == millions
