from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

import penwright as package
from penwright.cli import VERBS, list_verbs

pytestmark = pytest.mark.usefixtures("small_base")


def test_version_and_help_of_every_verb(penwright):
    assert package.__version__ in penwright("--version").out
    lines = penwright("--version", "--verbose").out.splitlines()
    assert [line.split()[0] for line in lines] == ["penwright", "torch", "writing:"]
    top = penwright("--help")
    assert top.code == 0
    headings = [line.split()[1] for line in top.out.splitlines() if line.startswith("╭")]
    assert headings == [*VERBS, "Other"]
    for verb in list_verbs():
        assert verb.split()[0] in top.out
        said = penwright(*verb.split(), "--help")
        assert said.code == 0
        assert "Usage: penwright " + verb in said.out


@pytest.mark.parametrize("words", [["--help"], ["finetune", "--help"], ["--version"], ["runs"]])
def test_nothing_heavy_is_imported_before_it_is_needed(words, tmp_path):
    code = (
        "import sys; from penwright.cli import run; run(sys.argv[1:]); "
        "print([m for m in ('torch', 'numpy', 'tokenizers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_generate_writes_json_that_tells_how_to_write_it_again(penwright):
    words = (
        "generate",
        "base",
        "--prompt",
        "The sea",
        "-n",
        "2",
        "--max-new-tokens",
        "8",
        "--seed",
        "3",
    )
    said = penwright(*words, "--json")
    records = [json.loads(line) for line in said.out.splitlines()]
    assert [record["index"] for record in records] == [0, 1]
    assert records[0]["text"] != records[1]["text"]
    for record in records:
        assert (record["prompt"], record["model"], record["seed"]) == ("The sea", "base", 3)
        assert record["settings"]["top_p"] == 0.95
    assert penwright(*words, "--json").out == said.out
    assert penwright(*words).out.startswith("The sea" + records[0]["text"])


def test_generate_to_a_file_never_overwrites(penwright, tmp_path):
    words = ("generate", "base", "--max-new-tokens", "4", "--output", "out.txt")
    assert penwright(*words).code == 0
    before = (tmp_path / "out.txt").read_text()
    assert penwright(*words, "--seed", "9").code == 2
    assert (tmp_path / "out.txt").read_text() == before


def test_a_whole_run_from_file_to_text(penwright, tmp_path):
    lines = [
        f"Item {n}. The goose objected to item {n % 7}, and tea was served." for n in range(60)
    ]
    (tmp_path / "minutes.txt").write_text("<|endoftext|>".join(lines))
    said = penwright("finetune", "minutes.txt", "--model", "base", "--steps", "30")
    assert said.code == 0, said.err
    assert "before" in said.err
    assert "after" in said.err
    run = tmp_path / "runs" / "minutes"
    result = json.loads((run / "run.json").read_text())["result"]
    assert result["perplexity_after"] < 0.6 * result["perplexity_before"]
    assert "<html" in (run / "report.html").read_text(encoding="utf-8")
    listed = json.loads(penwright("runs", "--json").out)
    assert [(item["name"], item["status"]) for item in listed] == [("minutes", "finished")]
    measured = json.loads(penwright("evaluate", "minutes", "minutes.txt", "--json").out)
    assert measured["documents"] == 60
    assert measured["perplexity"] < result["perplexity_before"]
    assert penwright("generate", "minutes", "--prompt", "Item 3.").out.startswith("Item 3. ")
    assert penwright("report", "minutes").out.strip().endswith("report.html")


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
def test_ctrl_c_saves_and_exits_130_and_resume_goes_on(penwright, tmp_path):
    (tmp_path / "story.txt").write_text("The goose asked for tea. It was given some.\n" * 300)
    words = ["finetune", "story.txt", "--model", "base", "--steps", "400", "--sample-every", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "penwright", *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    metrics = tmp_path / "runs" / "story" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and '"step": 3,' in metrics.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "penwright finetune --resume --name story" in err
    said = penwright("runs")
    assert "interrupted" in said.out
    step = json.loads(penwright("runs", "--json").out)[0]["step"]
    said = penwright("finetune", "--resume", "--name", "story", "--steps", str(step + 2))
    assert said.code == 0, said.err
    assert f"after step {step}" in said.err
    records = [json.loads(line) for line in metrics.read_text().splitlines()]
    steps = [record["step"] for record in records if record["kind"] == "step"]
    assert steps == list(range(1, step + 3))
    refusal = penwright("finetune", "--resume", "--name", "story", "--seed", "5")
    assert refusal.code == 1
    assert "--seed" in refusal.err


def test_output_is_utf_8_whatever_the_system_s_encoding_is(tmp_path):
    """On Windows a pipe has the system's code page, in which most texts cannot be written."""
    (tmp_path / "tale.txt").write_text("Die Gänse tranken Tee — 日本語.\n" * 9, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "penwright", "inspect", "tale.txt", "--model", "base"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PENWRIGHT_CACHE": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "日本語" in done.stdout.decode("utf-8")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("generate base --temp 1", "--temperature"),
        ("generate base --tokens 5", "--max-new-tokens"),
        ("finetune f.txt --lr 1e-4", "--learning-rate"),
        ("finetune f.txt --epoch 2", "--epochs"),
        ("finetune f.txt --max-iters 5", "--steps"),
        ("finetune f.txt --gpu", "--device cuda"),
        ("finetune f.txt --output o", "--name"),
        ("finetune f.txt --held-out 20", "It is a share"),
        ("finetune f.txt --batch-size 0", "above 0"),
        ("finetune f.txt --learning-rate 0", "above 0"),
        ("finetune f.txt --name my/story", "--output-dir my/story"),
        ("finetune f.txt --clean", "finetune --help"),
        ("generate base --file prompts.txt", "--prompts FILE"),
        ("generate base --words 20", "--max-new-tokens"),
        (__file__, "penwright finetune"),
        ("plan --ram 8GB", "--memory"),
        ("fine-tune f.txt", "finetune"),
        ("chat base", "penwright write"),
    ],
)
def test_a_beginner_s_guess_is_answered_with_the_right_word(words, answer, penwright):
    said = penwright(*words.split())
    assert said.code == 2
    assert answer in said.err
