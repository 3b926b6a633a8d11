"""Prompts as people give them, and the options of writing."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time

import pytest

pytestmark = pytest.mark.usefixtures("small_base")

SHORT = ("--max-new-tokens", "2", "--json")


def prompts_of(said):
    assert said.code == 0, said.err
    return [json.loads(line)["prompt"] for line in said.out.strip().split("\n")]


@pytest.mark.parametrize(
    ("typed", "prompt"), [(r"INT. DINER\n\nNIGHT", "INT. DINER\n\nNIGHT"), ("- Hello", "- Hello")]
)
def test_a_prompt_as_it_is_typed(penwright, typed, prompt):
    assert prompts_of(penwright("generate", "base", "--prompt", typed, *SHORT)) == [prompt]


@pytest.mark.usefixtures("real_base")
def test_stop_at_a_line_end(penwright):
    words = ("generate", "base", "--prompt", "The sea", "--seed", "3", "--max-new-tokens", "120")
    assert "\n" in penwright(*words).out.strip()
    assert "\n" not in penwright(*words, "--stop", r"\n").out.strip()


def test_prompts_from_a_file_end_at_line_ends_only(penwright, tmp_path):
    (tmp_path / "p.txt").write_bytes("a\u2028b\r\nc\x0cd\n\n e\n".encode())
    said = penwright("generate", "base", "--prompts", "p.txt", *SHORT)
    assert prompts_of(said) == ["a\u2028b", "c\x0cd", " e"]


@pytest.mark.skipif(os.name != "posix", reason="a named pipe is POSIX's")
def test_prompts_from_a_pipe(penwright, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("one\ntwo\n",))
    writer.start()
    said = penwright("generate", "base", "--prompts", "pipe", *SHORT)
    writer.join()
    assert prompts_of(said) == ["one", "two"]


def test_prompts_from_standard_input(penwright, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one\ntwo\n")))
    assert prompts_of(penwright("generate", "base", "--prompts", "-", *SHORT)) == ["one", "two"]


def test_a_prompt_that_ends_with_a_space_or_is_cut_is_reported(penwright):
    said = penwright("generate", "base", "--prompt", "The sea ", *SHORT)
    assert "ends in a space; the model writes that end again" in said.err
    said = penwright("generate", "base", "--prompt", "sea " * 600 + "end", *SHORT)
    assert "the model reads 512 at most" in said.err
    assert "ends in a space" not in said.err


def test_a_broken_row_is_named_and_the_others_are_written(penwright, tmp_path):
    (tmp_path / "p.jsonl").write_text('{"prompt": "The sea"}\n{"prompt": \n{"prompt": "A hat"}\n')
    words = ("generate", "base", "--prompts", "p.jsonl", "--max-new-tokens", "2", "-n", "2")
    said = penwright(*words, "-o", "o.jsonl")
    assert said.code == 1
    assert "p.jsonl:2: this line is not valid JSON" in said.err
    assert said.sentences == [
        "penwright: 1 row of p.jsonl had no prompt that can be read; the other 2 are written."
    ]
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert [(row["prompt"], row["line"], row["index"]) for row in rows] == [
        ("The sea", 1, 0), ("The sea", 1, 1), ("A hat", 3, 2), ("A hat", 3, 3),
    ]  # fmt: skip
    again = penwright(*words, "-o", "o.jsonl")
    assert (again.code, "o.jsonl exists already" in again.err) == (2, True)


def test_an_interrupted_file_is_continued_only_with_the_same_options(penwright, tmp_path):
    (tmp_path / "p.txt").write_text("".join(f"The {n} geese\n" for n in range(20)))
    words = ("generate", "base", "--prompts", "p.txt", "--max-new-tokens", "3", "-o")
    assert penwright(*words, "a.jsonl", "--batch-size", "1").code == 0
    whole = (tmp_path / "a.jsonl").read_bytes()

    class Killed(BaseException):
        pass

    from penwright.verbs.generate import Text

    wanted, as_json = 11, Text.as_json

    def stop(text):
        if text.index == wanted:
            raise Killed
        return as_json(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "as_json", stop)
        with pytest.raises(Killed):
            penwright(*words, "b.jsonl", "--batch-size", "1")
    with (tmp_path / "b.jsonl").open("a") as file:
        file.write('{"prompt": "The 11 ge')
    said = penwright(*words, "b.jsonl", "--batch-size", "1", "--temperature", "0.5")
    assert (said.code, "begun with temperature 0.8, now 0.5" in said.err) == (2, True)
    said = penwright(*words, "b.jsonl", "--batch-size", "1")
    assert (said.code, "11 of 20 texts are there" in said.err) == (0, True)
    assert (tmp_path / "b.jsonl").read_bytes() == whole
    assert {path.name for path in tmp_path.iterdir()} >= {"a.jsonl", "b.jsonl", "p.txt"}
    assert not (tmp_path / "b.jsonl.unfinished").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_three_kills_lose_and_repeat_nothing(tmp_path):
    (tmp_path / "p.txt").write_text("".join(f"The {n} geese\n" for n in range(1200)))
    command = [sys.executable, "-m", "penwright", "generate", "base", "--prompts", "p.txt"]
    command += ["--max-new-tokens", "3", "--output"]

    def lines(name):
        path = tmp_path / name
        return path.read_bytes().count(b"\n") if path.exists() else 0

    subprocess.run([*command, "a.jsonl"], cwd=tmp_path, check=True)
    for _ in range(3):
        before = lines("b.jsonl")
        with subprocess.Popen([*command, "b.jsonl"], cwd=tmp_path) as process:
            while lines("b.jsonl") < before + 280:
                assert process.poll() is None
                time.sleep(0.02)
            process.kill()
        assert lines("b.jsonl") < 1200
    subprocess.run([*command, "b.jsonl"], cwd=tmp_path, check=True)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--temperature", "-1"), "temperature"),
        (("--top-p", "2"), "top_p"),
        (("-n", "0"), "at least 1"),
        (("--batch-size", "0"), "at least 1"),
    ],
)
def test_options_are_checked_before_anything_is_written(penwright, words, says):
    said = penwright("generate", "base", "--prompt", "The sea", *words)
    assert (said.code, said.out) == (2, "")
    assert says in said.err


def test_a_run_that_is_not_there(penwright, tmp_path):
    (tmp_path / "runs" / "storyline").mkdir(parents=True)
    (tmp_path / "runs" / "storyline" / "run.json").write_text("{}")
    said = penwright("generate", "storylin")
    assert said.code == 1
    assert "no run 'storylin' in runs/" in said.err
    assert "Did you mean 'storyline'?" in said.err


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        (("generate", "base", "--length", "20"), "--max-new-tokens"),
        (("generate", "base", "--max_length", "20"), "--max-new-tokens"),
        (("generate", "base", "--prefix", "x"), "--prompt"),
        (("generate", "base", "--truncate", "x"), "--stop"),
        (("generate", "base", "--nsamples", "3"), "--n"),
        (("finetune", "a.txt", "--run_name", "x"), "--name"),
        (("finetune", "a.txt", "--length", "512"), "--max-length"),
        (("finetune", "a.txt", "--num_train_epochs", "3"), "--epochs"),
        (("finetune", "a.txt", "--only_train_transformer_layers"), "--train-only layers"),
        (("finetune", "--dataset", "a.txt"), "without a flag"),
        (("generate", "base", "The sea"), "--prompt 'The sea'"),
        (("evaluate",), "MODEL is missing"),
        (("train", "a.txt"), "penwright finetune"),
        (("--model", "base"), "A command comes first"),
    ],
)
def test_flags_of_older_tools_are_answered_with_ours(penwright, words, ours):
    said = penwright(*words)
    assert said.code == 2
    assert ours in said.err


def test_help_is_a_word_too(penwright):
    said = penwright("help", "finetune")
    assert (said.code, "Usage: penwright finetune" in said.out) == (0, True)


def test_a_wrong_file_name_is_refused_before_a_model_is_chosen(penwright):
    said = penwright("finetune", "nosuch.txt")
    assert said.code == 1
    assert "Model:" not in said.err


def test_plan_knows_gpt2_without_its_weights(penwright, tmp_path):
    (tmp_path / "a.txt").write_text("The goose asked for tea. " * 60)
    said = penwright("plan", "124M", "a.txt", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["steps"] > 0


def test_texts_say_that_a_machine_wrote_them(penwright, tmp_path):
    words = ("generate", "base", "--prompt", "The sea", "--seed", "3", "--max-new-tokens", "2")
    (line,) = map(json.loads, penwright(*words, "--json").out.splitlines())
    label = {"machine_written": True, "model": "base", "weights": "float32", "seed": 3}
    assert label.items() <= line.items()
    assert line["settings"]["max_new_tokens"] == 2
    assert line["penwright"]

    assert penwright(*words, "--output", "a.md").code == 0
    beside = json.loads((tmp_path / "a.md.json").read_text())
    assert beside.items() <= line.items()
    assert (tmp_path / "a.md").read_text().startswith("The sea")
    assert penwright(*words, "--output", "a.jsonl").code == 0
    assert json.loads((tmp_path / "a.jsonl").read_text()) == line
    assert not (tmp_path / "a.jsonl.json").exists()


def test_a_file_in_the_place_of_a_label_is_not_replaced(penwright, tmp_path):
    words = ("generate", "base", "--max-new-tokens", "2", "--output", "a.txt")
    (tmp_path / "a.txt.json").write_text("mine")
    said = penwright(*words)
    assert (said.code, "a.txt.json exists already" in said.err) == (2, True)
    assert not (tmp_path / "a.txt").exists()
    (tmp_path / "a.txt.json").write_text('{"machine_written": true}')  # of a text that is gone
    assert penwright(*words).code == 0


def test_a_limit_on_copying_needs_a_run_and_its_data(penwright):
    said = penwright("generate", "base", "--max-copy", "30", *SHORT)
    assert said.code == 1
    assert said.sentences[0].startswith("penwright: --max-copy needs the text that base was")


def test_the_prompt_may_be_left_out(penwright):
    words = ("generate", "base", "--prompt", "The sea", "--greedy", *SHORT[:2])
    whole, dropped = penwright(*words).out, penwright(*words, "--drop-prompt").out
    assert whole == "The sea" + dropped
