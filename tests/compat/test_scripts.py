"""Scripts written for the old tools run with their import lines changed, and nothing else."""

from __future__ import annotations

import ast
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penwright.runs import Run

from .conftest import ROWS, openai_layout

SCRIPTS = Path(__file__).parent / "scripts"
CHANGED = {
    "import gpt_2_simple as gpt2": "import penwright.compat.gpt_2_simple as gpt2",
    "from keyword_decode import": "from penwright.compat.keyword_generation import",
    "from keyword_encode import": "from penwright.compat.keyword_generation import",
}
LINE = re.compile(r"\[(\d+) \| \d+\.\d\d\] loss=\d+\.\d\d avg=\d+\.\d\d")


@pytest.fixture
def old_folder(place, small_vocabulary):
    """A folder as an old script finds it: OpenAI's files, and a CSV file of titles."""
    openai_layout(place / "models" / "124M", small_vocabulary)
    (place / "titles.csv").write_text("title\n" + "".join(f'"{row}"\n' for row in ROWS))
    rows = [f'aww,"{row}"' for row in ROWS]
    (place / "reddit.csv").write_text("\n".join(["subreddit,title", *rows]))
    return place


def prepare_script(name: str) -> str:
    """A script of the old days with its import lines changed."""
    old = (SCRIPTS / name).read_text(encoding="utf-8")
    new = old
    for line, ours in CHANGED.items():
        new = new.replace(line, ours)
    pairs = zip(old.splitlines(), new.splitlines(), strict=True)
    changed = {line for line, ours in pairs if line != ours}
    assert changed
    assert all(line.startswith(("import ", "from ")) for line in changed)
    return new


def run_script(name: str) -> str:
    """Run a script in a process of its own; returns what it printed."""
    Path(name).write_text(prepare_script(name), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, name], capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_train_on_a_csv_of_titles_then_write_ten(old_folder):
    before = {path: path.read_bytes() for path in old_folder.rglob("*") if path.is_file()}
    lines = run_script("titles.py").splitlines()
    assert lines[:2] == ["Loading checkpoint models/124M", "Loading dataset..."]
    assert re.fullmatch(r"dataset has \d+ tokens", lines[2])
    assert lines[3] == "Training..."
    assert [int(found[1]) for line in lines if (found := LINE.fullmatch(line))] == [10, 20]
    assert lines.count("======== SAMPLE 1 ========") == 2
    assert lines[-1] == "Saving checkpoint/run1/checkpoints/step-000020"
    samples = old_folder / "samples" / "run1"
    assert sorted(path.name for path in samples.iterdir()) == ["samples-11", "samples-21"]
    assert (samples / "samples-11").read_text("utf-8").startswith("======== SAMPLE 1 ========\n")
    assert Run(old_folder / "checkpoint" / "run1").status == "finished"
    assert {path: path.read_bytes() for path in before} == before, "what was there stays"

    first, *printed = run_script("ten.py").splitlines(keepends=True)
    assert first == "Loading checkpoint checkpoint/run1\n"
    texts = [ast.literal_eval(line) for line in printed[:10]]
    assert len(set(texts)) == 10
    assert not any(mark in text for text in texts for mark in ("<|startoftext|>", "<|endoftext|>"))
    delimited = "".join(printed[10:])
    assert delimited.count("\n" + "=" * 20 + "\n") == 10
    assert delimited.endswith("=" * 20 + "\n")


def test_encode_keywords_train_and_decode(old_folder):
    lines = run_script("keywords.py").splitlines()
    encoded = (old_folder / "encoded.txt").read_text("utf-8").splitlines()
    assert len(encoded) == 3 * len(ROWS)
    pattern = r"<\|startoftext\|>~`aww~\^[^~]*~@the goose number \d+ .*<\|endoftext\|>"
    assert all(re.fullmatch(pattern, line) for line in encoded)
    assert any(LINE.fullmatch(line) for line in lines)
    decoded = ast.literal_eval(lines[-1])
    assert {category for category, _ in decoded} == {"aww"}
    assert all(title for _, title in decoded)


def test_ctrl_c_saves_and_the_same_script_goes_on(old_folder):
    (old_folder / "checkpoint" / "run1").mkdir(parents=True)
    for name in ("notes.txt", "checkpoint/notes.txt", "checkpoint/run1/notes.txt"):
        (old_folder / name).write_text(name)
    kept = {path: path.read_bytes() for path in old_folder.rglob("*") if path.is_file()}
    endless = prepare_script("titles.py").replace("steps=20", "steps=-1").replace("=10", "=1")
    Path("endless.py").write_text(endless, encoding="utf-8")
    words = [sys.executable, "-u", "endless.py"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith("[3 |"):
                process.send_signal(signal.SIGINT)
    assert process.returncode == 0
    run = Run(old_folder / "checkpoint" / "run1")
    (saved,) = run.steps()
    assert lines[-2:] == ["interrupted", f"Saving checkpoint/run1/checkpoints/step-{saved:06d}"]
    assert run.status == "interrupted"

    counted = [
        int(found[1])
        for line in run_script("titles.py").splitlines()
        if (found := LINE.fullmatch(line))
    ]
    assert counted == [step for step in range(saved + 1, saved + 21) if step % 10 == 0]
    assert {path: path.read_bytes() for path in kept} == kept, "what was there stays"
