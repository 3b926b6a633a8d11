"""`copied`: spans of texts that stand in a run's training text, with their places."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

import penwright
import penwright.report
from penwright.cli import run as command_line
from penwright.errors import DataError, RunError, UsageError
from penwright.verbs.copied import read_passages, write_page

pytestmark = pytest.mark.usefixtures("small_base")

WORDS = [
    "the", "goose", "lamp", "river", "letter", "council", "garden", "window", "stone", "walked",
]  # fmt: skip


def lines(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=12)) + "." for _ in range(count)]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a run of one step over 200 lines of a text, the last fifth held out."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("PENWRIGHT_CACHE", str(home / "cache"))
        Path("book.txt").write_text("\n".join(lines(200, 0)) + "\n", encoding="utf-8")
        run = penwright.finetune(
            "book.txt", model="base", steps=1, batch_size=1, max_length=64, name="book",
            sample_every=0, held_out=0.2, precision="fp32",
        )  # fmt: skip
        yield home, run


@pytest.fixture(autouse=True)
def at_home(home, monkeypatch):
    monkeypatch.chdir(home[0])


def test_a_copied_span_is_found_with_its_line_and_what_surrounds_it():
    book = lines(200, 0)
    text = "Once upon a time " + "\n   ".join(book[40:43]) + " the end"
    Path("samples.txt").write_text(text + "\n====================\nNothing of the kind.\n")
    found = penwright.copied("book", "samples.txt", min_tokens=10)
    copying, clean = found.samples
    assert not clean.spans
    assert clean.share == clean.longest == 0
    assert copying.longest == found.longest >= 10
    for span in copying.spans:
        words = copying.text[span.start : span.end].split()
        assert " ".join(words) in " ".join(book)
        assert span.tokens >= 10
    # Indentation ends the verbatim match at each line, so that every line is a span of its own.
    assert [span.source for span in copying.spans] == [f"book.txt:{n}" for n in (41, 42, 43)]
    first = copying.spans[0]
    here = copying.text[first.start : first.end]
    assert first.before
    assert first.after
    assert first.before + here + first.after in "\n".join(book)
    assert 0 < found.share < copying.share < 1
    assert json.loads(json.dumps(found.as_json()))["samples"][0]["spans"]


def test_what_is_held_out_is_no_training_text_and_is_the_measure():
    found = penwright.copied("book", min_tokens=10, n=2, max_new_tokens=5)
    assert found.held_out.texts > 0
    assert found.held_out.share < 0.5
    Path("last.txt").write_text("\n".join(lines(200, 0)[-3:]))
    assert penwright.copied("book", "last.txt", min_tokens=10).share < 1


def test_a_prompt_is_not_counted():
    book = lines(200, 0)
    record = {"prompt": book[10][:-1], "text": " and so they went home"}
    Path("prompted.jsonl").write_text(json.dumps(record))
    assert penwright.copied("book", "prompted.jsonl", min_tokens=5).share == 0


def test_the_store_alone_is_enough_and_without_it_the_way_back_is_told(monkeypatch, tmp_path):
    Path("one.txt").write_text(lines(200, 0)[50])
    Path("book.txt").rename("away.txt")
    told: list[str] = []
    try:
        found = penwright.copied("book", "one.txt", min_tokens=10, warn=told.append)
        assert found.samples[0].spans[0].source == "document 1"
        assert "token store is still there" in told[0]
        monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path))
        with pytest.raises(RunError, match="cannot be read") as error:
            penwright.copied("book", "one.txt")
        assert "Put the files back" in error.value.fix
    finally:
        Path("away.txt").rename("book.txt")


def test_changed_files_are_refused():
    shutil.copy("book.txt", "kept.txt")
    Path("one.txt").write_text(lines(200, 0)[50])
    try:
        with Path("book.txt").open("a") as file:
            file.write("More.\n")
        with pytest.raises(RunError, match="changed since"):
            penwright.copied("book", "one.txt")
    finally:
        Path("kept.txt").replace("book.txt")


def test_a_run_looks_its_own_texts_and_any_others_up(home):
    run = home[1]
    found = run.copied([lines(200, 0)[20], *run.generate("", n=1, max_new_tokens=3)], 10)
    assert [bool(sample.spans) for sample in found.samples] == [True, False]


def test_the_report_shows_what_the_last_samples_copied():
    text = " ".join(lines(200, 0)[30:33])
    penwright.finetune(
        "book.txt", model="base", steps=1, batch_size=1, max_length=64, name="other",
        sample_every=1, sample_prompts=(text,), sample_tokens=8, held_out=0.2, precision="fp32",
    )  # fmt: skip
    found = json.loads(Path("runs/other/copied.json").read_text())
    assert [sample["prompt"] for sample in found["samples"]] == [text]
    report = Path("runs/other/report.html").read_text(encoding="utf-8")
    assert "What it copied" in report
    assert "penwright copied other" in report
    penwright.copied("other", n=2, max_new_tokens=5)
    again = json.loads(Path("runs/other/copied.json").read_text())
    assert len(again["samples"]) == 2
    Path("runs/other/copied.json").write_text("{}")
    assert "copied.json" in penwright.report.render(penwright.report.read(Path("runs/other")))


def test_a_page_shows_spans_beside_their_sources():
    Path("samples.txt").write_text("<b>" + lines(200, 0)[60])
    page = write_page(penwright.copied("book", "samples.txt", min_tokens=10))
    content = page.read_text(encoding="utf-8")
    assert page == Path("runs/book/copied.html")
    assert "book.txt:61" in content
    assert "&lt;b&gt;" in content
    assert content.count("<mark>") == 2


def test_the_command_line_prints_json_a_page_or_sentences(capsys):
    Path("samples.txt").write_text(lines(200, 0)[70])
    assert command_line(["copied", "book", "samples.txt", "--min-tokens", "10", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"longest", "share", "samples"} <= set(found)
    assert command_line(["copied", "book", "samples.txt", "--min-tokens", "10"]) == 0
    assert "book.txt:71" in capsys.readouterr().out
    assert command_line(["copied", "book", "samples.txt", "--html"]) == 0
    assert capsys.readouterr().out.strip() == "runs/book/copied.html"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.txt", b" \n", "no text in it"),
        ("latin.txt", b"caf\xe9", "not UTF-8"),
        ("broken.json", b"{", "not valid JSON"),
        ("broken.jsonl", b'{"text": "a"}\n{', "not valid JSONL"),
        ("other.json", b'[{"title": "a"}]', "record 1 has no"),
        ("absent.txt", None, "There is no file"),
    ],
)
def test_samples_that_are_none_are_refused(name, content, says):
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_passages(Path(name))


def test_there_must_be_a_run_and_a_length():
    with pytest.raises(RunError):
        penwright.copied("nosuchrun")
    with pytest.raises(UsageError, match="at least 1"):
        penwright.copied("book", min_tokens=0)
