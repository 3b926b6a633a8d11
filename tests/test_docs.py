"""Every command and every Python block of the documentation runs, on small files and a tiny model.

The blocks of docs/migrating.md run in tests/compat/test_migrating.py; its commands in tables here.
Those of docs/serving.md run in tests/serve/test_docs.py, beside a server.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import sys
import tomllib
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest

from penwright.cli import list_verbs, make_app, run
from penwright.cli.options import spell_out
from penwright.config import FinetuneConfig, read_toml

pytestmark = pytest.mark.usefixtures("small_base")

ROOT = Path(__file__).parent.parent
PAGES = {page.name: page for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
NOT_RUN = {
    "quickstart": "takes three minutes; tests/verbs run each of its steps",
    "download ": "needs the network; tests/weights/test_hub.py runs it against a server of its own",
    "studio ": "is serve that opens a browser",
    "serve ": "listens until it is stopped; tests/serve start servers of their own",
    "write ": "needs a terminal; tests/cli/test_write.py runs it in one",
    "push ": "needs the network; tests/weights/test_hub.py runs it against a server of its own",
    "--engine ray": "needs a Ray cluster; tests/workers run the same jobs",
    "s3://": "needs a bucket; tests/dataset/test_distributed.py reads and writes other addresses",
    "--devices": "starts processes that train together; tests/train run them",
    "--log tensorboard,wandb": "needs an account; tests/verbs/test_observers.py runs both offline",
    "checkpoint/run1": "needs a TensorFlow checkpoint; tests/compat runs it",
    "story.h5": "needs a Keras file; tests/weights/test_keras.py opens one",
}
"""Commands that are parsed only, by what is in them, and why."""
EXTRAS = {"--drop-near": "rensa", "--metrics rouge": "rouge_score", "--language": "py3langid"}
"""Commands that are parsed only where a package is missing."""
HELPED = (
    "compare", "copied", "finetune", "generate", "inspect", "new", "plan", "prepare", "score",
    "tokenizer",
)  # fmt: skip
"""Verbs that a page names without their arguments."""
PLACEHOLDERS = {
    "DATA": "story.txt", "MODEL": "base", "RUN": "story", "STORE": "a-store", "TOKENIZER": "a-tok",
    "NAME": "base", "DIR": "a-folder", "FILE": "story.txt",
}  # fmt: skip
ELSEWHERE = {"migrating.md", "serving.md"}
"""Pages whose Python runs in tests of their own."""
BEFORE = {
    "data.md": ["prepare corpus/ --output store"],
    "evaluation.md": [
        "finetune dialogues.json --name answers",
        "finetune story.txt --name other",
    ],
    "serving.md": ["finetune story.txt --method lora --name story"],
    "training.md": ["prepare corpus/ --output store"],
    "writing.md": [
        "keywords encode titles.csv --title-field title --category-field subreddit --output k.txt",
        "finetune k.txt --learn title --name titles",
    ],
}
"""What a page's reader is taken to have done before, besides training the run `story`."""


def fences(page: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a page: language and text."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    return [(language, text) for language, text in found]


def commands(page: Path) -> list[str]:
    """The commands of a page in its order, in blocks and in the text."""
    text = page.read_text("utf-8")
    if page.name == "migrating.md":
        text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    found: list[str] = []
    for match in re.finditer(
        r"^```(?P<language>\w*)\n(?P<block>.*?)^```$|`(?P<inline>[^`\n]+)`", text, re.M | re.S
    ):
        lines = [match["inline"]] if match["inline"] else []
        if match["block"] and match["language"] in ("", "sh", "bash", "console"):
            lines = match["block"].replace("\\\n", " ").splitlines()
        for line in lines:
            words = line.split("  #")[0].strip().removeprefix("$ ").removeprefix(".venv/bin/")
            if words.startswith("penwright ") and "..." not in words and " / " not in words:
                found.append(words.removeprefix("penwright "))
    return found


def to_run(command: str) -> list[str]:
    """The words of a command, with few steps and few tokens, and names for placeholders."""
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(command)]
    verb = words[0]
    if words[:2] == ["recipe", "base"]:
        words[1] = "completion"
    if " ".join(words) in list_verbs():
        return [*words, "--help"] if verb in HELPED else words
    trains = verb in ("finetune", "cross-train") or (verb == "recipe" and len(words) > 1)
    if trains and "--help" not in words:
        fewer(words, "--steps", "2")
        fewer(words, "--max-length", "48")
        fewer(words, "--sample-every", "0")
        if "--name" in words and "--resume" not in words and verb != "recipe":
            words.append("--overwrite")
        if "--steps-per-epoch" in words:
            fewer(words, "--steps-per-epoch", "1")
    if verb == "recipe" and len(words) > 1 and not {"--resume", "--model"} & set(words):
        words += ["--model", "124M"]
    if verb in ("generate", "write", "compare"):
        fewer(words, "--max-new-tokens", "4")
    if verb == "compare":
        fewer(words, "--prompts", "2")
    if verb == "copied" and not any(word.endswith((".txt", ".jsonl")) for word in words):
        fewer(words, "-n", "2")
        fewer(words, "--max-new-tokens", "4")
    if "--metrics" in words:
        fewer(words, "--metric-documents", "2")
        fewer(words, "--max-new-tokens", "4")
    return words


def fewer(words: list[str], flag: str, value: str) -> None:
    """Set `flag` to `value`, whatever it was, and take out what contradicts it."""
    if flag == "--steps" and "--epochs" in words:
        at = words.index("--epochs")
        del words[at : at + 2]
    if flag in words:
        words[words.index(flag) + 1] = value
    else:
        words += [flag, value]


@pytest.fixture(scope="module")
def furnished(tiny_base, tmp_path_factory) -> Path:
    """A folder with the files that the documentation names, and a run, `story`."""
    tmp_path = tmp_path_factory.mktemp("desk")
    samples = Path(str(files("penwright") / "assets" / "samples"))
    text = "The goose asked for tea.\n\nIt was given some, and it rained on the harbour. " * 12
    for name in (
        "story",
        "other",
        "novel",
        "novels",
        "letters",
        "diary",
        "poems",
        "in",
        "b",
        "script",
        "scripts",
    ):
        (tmp_path / f"{name}.txt").write_text(f"{name}: {text}")
    documents = [f"Tale {n}. {text[: 200 + n]}" for n in range(20)]
    (tmp_path / "story.txt").write_text("<|endoftext|>".join(documents))
    for folder in ("drafts", "corpus"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "one.txt").write_text(f"{folder} {text}")
    titles = [f'aww,"A dog looks at moon number {n} and sings",{n}' for n in range(24)]
    for name in ("titles", "reddit", "a"):
        table = "\n".join(["subreddit,title,score", *titles])
        (tmp_path / f"{name}.csv").write_text(table)
    rows = [f"Dee {n},The Moon {n},sea,A ship sails to the moon {n}.,Once {n}" for n in range(12)]
    for name in ("t", "books", "records"):
        table = "\n".join(["author,title,genre,plot,text", *rows])
        (tmp_path / f"{name}.csv").write_text(table)
    pairs = "".join(f'{{"prompt": "Say {n}", "answer": "It is {n}"}}\n' for n in range(12))
    (tmp_path / "answers.jsonl").write_text(pairs)
    turns = '{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}'
    (tmp_path / "chat.jsonl").write_text(f'{{"messages": [{turns}]}}\n' * 12)
    said = "".join(
        f"12/03/2024, 18:{n} - {'Ann' if n % 2 else 'Ben'}: Hi {n}\n" for n in range(10, 40)
    )
    (tmp_path / "_chat.txt").write_text(said)
    rows = "".join(f'"Title {n}","Once, {n} geese came to tea."\n' for n in range(12))
    (tmp_path / "stories.csv").write_text("prompt,story\n" + rows)
    (tmp_path / "prompts.txt").write_text("It was\nThe sea\n")
    (tmp_path / "prompts.csv").write_text("prompt\nIt was\nThe sea\n")
    for name in ("stories", "valid", "test"):
        for end in ("source", "target"):
            lines = (samples / f"stories.wp_{end}").read_text("utf-8").splitlines()[:12]
            (tmp_path / f"{name}.wp_{end}").write_text("\n".join(lines) + "\n", "utf-8")
    for name in ("dialogues.json", "coqa-train-v1.0.json"):
        shutil.copy(samples / "dialogues.json", tmp_path / name)
    shutil.copy(samples / "completion.jsonl", tmp_path / "one.jsonl")
    for name in ("articles", "cnn"):
        shutil.copytree(samples / "articles", tmp_path / name)
    for size in ("124M", "355M"):
        shutil.copytree(tiny_base, tmp_path / "models" / size)
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(tmp_path):
        patch.setenv("PENWRIGHT_CACHE", str(tmp_path / ".cache"))
        assert run(to_run("finetune story.txt --model models/124M --name story")) == 0
    return tmp_path


@pytest.fixture
def desk(tmp_path, furnished, tiny_base, monkeypatch) -> Path:
    """A copy of the furnished folder; models of the Hub are the tiny one."""
    shutil.copytree(furnished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / ".cache"))
    monkeypatch.setattr("penwright.weights.hub.cached", lambda *_: tiny_base)
    return tmp_path


def test_there_is_something_to_run():
    every = [command for page in PAGES.values() for command in commands(page)]
    assert len(every) > 80
    assert {shlex.split(command)[0] for command in every} >= {
        "quickstart", "inspect", "prepare", "finetune", "cross-train", "recipe", "write",
        "generate", "evaluate", "runs", "keywords", "tokenizer", "new", "download", "push",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        # Its commands are whole recipes, which have tests of their own in tests/verbs.
        pytest.param(name, marks=[pytest.mark.slow] if name == "systems.md" else [])
        for name in PAGES
        if commands(PAGES[name])
    ],
)
def test_the_commands_of_a_page_run_one_after_another(name, desk, monkeypatch, capsys):
    for language, text in fences(PAGES[name]):
        if language == "toml" and "[recipe]" not in text:
            (desk / "my.toml").write_text(text)
    for command in [*BEFORE.get(name, ()), *commands(PAGES[name])]:
        words = to_run(command)
        missing = [mark for mark, module in EXTRAS.items() if find_spec(module) is None]
        if any(f" {mark}" in f" {command} " for mark in [*NOT_RUN, *missing]):
            make_app().parse_args(spell_out(words, set), print_error=False, exit_on_error=False)
            continue
        for flag in ("--output", "-o"):
            if flag in words:
                shutil.rmtree(words[words.index(flag) + 1], ignore_errors=True)
                Path(words[words.index(flag) + 1]).unlink(missing_ok=True)
        monkeypatch.setattr(sys, "stdin", io.StringIO("It was\n"))
        code = run(words)
        assert code == 0, f"{command}\n{shlex.join(words)}\n{capsys.readouterr().err}"


@pytest.mark.usefixtures("desk", "real_base")
def test_the_output_that_a_page_shows_is_the_real_one(capsys):
    sessions = [text for language, text in fences(PAGES["writing.md"]) if language == "console"]
    shown = [part.partition("\n") for text in sessions for part in text.split("$ penwright ")[1:]]
    assert len(shown) >= 2
    for command, _, output in shown:
        assert run(shlex.split(command)) == 0
        assert capsys.readouterr().out.strip() == output.strip(), command


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("name", [name for name in PAGES if name not in ELSEWHERE])
def test_the_python_of_a_page_runs(name, capsys):
    for language, text in fences(PAGES[name]):
        if language == "python":
            exec(compile(text, name, "exec"), {})
    if name == "README.md":
        before, after = map(float, capsys.readouterr().out.splitlines()[0].split())
        assert after < before


def test_the_toml_of_a_page_is_read(desk):
    blocks = [text for language, text in fences(PAGES["training.md"]) if language == "toml"]
    assert len(blocks) == 2
    for number, text in enumerate(blocks):
        path = desk / f"{number}.toml"
        path.write_text(text)
        assert read_toml(path, FinetuneConfig)
    assert run(["recipe", "1.toml", "--steps", "2", "--model", "124M"]) == 0


def test_extras_that_are_named_exist():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = set(known["optional-dependencies"])
    texts = [*PAGES.values(), *(ROOT / "src").rglob("*.py")]
    named = {
        extra
        for path in texts
        for extra in re.findall(r"penwright\[([a-z0-9]+)\]", path.read_text("utf-8"))
    }
    assert len(named) > 5
    assert named <= known
