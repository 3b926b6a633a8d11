"""The command line: `finetune` and `generate` with the old flags."""

# ruff: noqa: ARG001 - fixtures that only set the place

from __future__ import annotations

import pytest

from penwright.compat.gpt_2_simple import cmd
from penwright.runs import Run


def run(*words) -> int:
    try:
        cmd(words)
    except SystemExit as exit_:
        return exit_.code
    return 0


@pytest.fixture
def trained(home):
    run("finetune", "titles.csv", "--steps", "2", "--print_every", "1", "--save_every", "5")
    return home


@pytest.mark.parity("gpt-2-simple: command line finetune")
def test_finetune_takes_the_flags(home, capsys):
    words = "--steps 2 --print_every 2 --sample_every 9 --save_every 1 --optimizer adam"
    more = "--run_name cli --checkpoint_dir runs2 --model_name 124M --model_dir models"
    last = "--restore_from fresh --overwrite True --multi_gpu False"
    assert run("finetune", "titles.csv", *words.split(), *more.split(), *last.split()) == 0
    printed = capsys.readouterr().out
    assert "[2 | " in printed
    assert "[1 | " not in printed
    assert (home / "runs2" / "cli" / "run.json").exists()


def test_a_bare_overwrite_overwrites(trained):
    words = ("--steps", "1", "--restore_from", "fresh", "--overwrite")
    assert run("finetune", "titles.csv", *words) == 0
    assert [path.name for path in (trained / "checkpoint").iterdir()] == ["run1"]
    assert Run(trained / "checkpoint" / "run1").steps() == [1]


def test_mode_and_dataset_may_be_flags(home):
    assert run("--mode", "finetune", "--dataset", "titles.csv", "--steps", "1") == 0
    assert (home / "checkpoint" / "run1" / "run.json").exists()


@pytest.mark.parity("gpt-2-simple: command line generate")
def test_generate_writes_files_and_deletes_nothing(trained):
    (trained / "gen").mkdir()
    (trained / "gen" / "precious.txt").write_text("mine")
    flags = "--nfiles 3 --nsamples 2 --length 9 --temperature 1.0 --top_k 5 --batch_size 2"
    assert run("generate", *flags.split(), "--sample_delim", "~~") == 0
    files = sorted((trained / "gen").glob("gpt2_gentext_*.txt"))
    assert len(files) == 3
    assert all(file.read_text().count("\n~~") == 2 for file in files)
    assert (trained / "gen" / "precious.txt").read_text() == "mine"


def test_generate_takes_prefix_truncate_and_folder(trained):
    words = ["--prefix", "the goose", "--truncate", "<|endoftext|>", "--include_prefix", "False"]
    assert run("generate", "--folder", "out", "--length", "12", "--top_p", "0.9", *words) == 0
    (file,) = (trained / "out").glob("*.txt")
    assert not file.read_text().startswith("the goose")


def test_a_missing_model_is_fetched_first(place, tiny_model, monkeypatch, capsys):
    (place / "a.txt").write_text("the goose asked for tea " * 9)
    monkeypatch.setattr("penwright.weights.hub.fetch", lambda _: tiny_model)
    assert run("finetune", "a.txt", "--steps", "1") == 0
    assert "Fetching 124M into models/124M" in capsys.readouterr().out


def test_errors_are_sentences_with_exit_codes(place, capsys):
    assert run("generate") == 1
    assert "There is no trained model in checkpoint/run1." in capsys.readouterr().err
    assert run("finetune") == 2
    assert run("dance") == 2
    assert run() == 2
