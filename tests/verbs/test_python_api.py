"""The package as a program uses it: objects come back, sentences for the user are logged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import penwright
from penwright.errors import PenwrightError, UsageError

pytestmark = pytest.mark.usefixtures("small_base")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


@pytest.fixture
def record(tmp_path):
    file = tmp_path / "potter.jsonl"
    line = {"prompt": "Harry Potter is a series of", "completion": " seven fantasy novels"}
    file.write_text(json.dumps(line))
    return file


@pytest.mark.usefixtures("real_base")
def test_one_completion_is_learned_by_heart_and_ends(record, capsys):
    run = penwright.finetune(record, model="base", steps=20, learning_rate=5e-4, precision="fp32")
    prompt = "Harry Potter is a series of"
    greedy = run.generate(prompt, greedy=True)
    sampled = run.generate(prompt, n=5, top_k=10, top_p=0.75, temperature=1.0)
    for text in (*greedy, *sampled):
        assert (text.text, text.finish_reason) == (" seven fantasy novels", "end")
    assert run.perplexity_before is None, "one short record leaves nothing to hold out"
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_a_missing_space_between_prompt_and_completion_is_put_there(tmp_path):
    file = tmp_path / "glued.jsonl"
    file.write_text(json.dumps({"prompt": "a series of", "completion": "seven novels"}))
    window = penwright.inspect(file, model="base").windows[0]
    assert [(piece.text, piece.learned) for piece in window.pieces] == [
        ("<|endoftext|>", False),
        ("a series of", False),
        (" seven novels", True),
        ("<|endoftext|>", True),
    ]
    glued = penwright.inspect(file, model="base", separator="").windows[0]
    assert "".join(piece.text for piece in glued.pieces[1:3]) == "a series ofseven novels"


def test_the_prompt_takes_the_form_that_it_had_in_the_data(tmp_path):
    for suffix, lines in (("wp_source", ["one", "two"]), ("wp_target", ["a b", "c d"])):
        (tmp_path / f"s.{suffix}").write_text("\n".join(lines) + "\n")
    run = penwright.finetune("s.wp_source", model="base", steps=1)
    assert run.writer.in_form("three") == "three <sep>"
    assert run.writer.in_form("three", raw=True) == "three"
    assert run.generate("three", max_new_tokens=2)[0].prompt == "three <sep>"


def test_streamed_pieces_make_the_generated_text():
    writer = penwright.load("base")
    options = {"max_new_tokens": 12, "seed": 4}
    whole = writer.generate("The sea", **options)[0].text
    assert "".join(writer.stream("The sea", **options)) == whole


def test_several_files_and_a_folder_are_one_data_set(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.txt").write_text(f"The {name} story. " * 30)
    (tmp_path / "c.txt").write_text("Another one. " * 30)
    assert penwright.inspect(folder, "c.txt", model="base").documents == 3


def test_evaluating_counts_every_token_and_the_end_once(record):
    found = penwright.evaluate("base", record)
    assert (found.documents, found.tokens) == (1, 6)
    whole = penwright.evaluate("base", record, learn=("all",))
    assert whole.tokens == 16
    assert whole.bits_per_byte == pytest.approx(
        whole.loss
        * whole.tokens
        / 0.6931471805599453
        / len("Harry Potter is a series of seven fantasy novels")
    )
    batch = penwright.evaluate("base", record, average="batch", learn=("all",))
    assert batch.tokens == 14


def test_mistakes_are_penwright_errors(record):
    with pytest.raises(UsageError, match="Did you mean 'steps'"):
        penwright.finetune(record, stepz=3)
    with pytest.raises(PenwrightError, match="nowhere"):
        penwright.finetune("nowhere.txt", model="base")


def test_a_prepared_store_is_continued_not_made_again(tmp_path):
    (tmp_path / "c.txt").write_text("Another one. " * 30)
    store = penwright.prepare("c.txt", output="store", model="base")
    again = penwright.prepare("c.txt", output="store", model="base")
    assert store.n_tokens == again.n_tokens > 60
    run = penwright.finetune("store", model="base", steps=1)
    assert penwright.evaluate(run.folder, "store").tokens == store.n_learned


def test_every_public_name_is_there_and_documented():
    rooms = {path.stem for path in Path(penwright.__file__).parent.iterdir()}
    for name in penwright.__all__:
        assert getattr(penwright, name).__doc__, name
        assert name not in rooms, "importing the room would hide the function"
    assert set(penwright.__all__) <= set(dir(penwright))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"text": "a"}, "paths to files, but this is a dict"),
        (["a.txt"], "paths to files, but this is a list"),
        (None, "paths to files"),
        ("Once upon a time.\nThe end.", "is a text"),
        ("Once upon a time. " * 30, "is a text"),
    ],
)
def test_data_that_is_no_path_is_explained(data, says):
    with pytest.raises(UsageError, match=says):
        penwright.finetune(data, model="base", steps=1)


def test_what_is_left_out_is_logged_and_can_be_collected_instead(tmp_path, caplog, capsys):
    file = tmp_path / "rows.csv"
    file.write_text('text\nA goose.\n""\nA lake.\n')
    penwright.prepare(file, output=tmp_path / "store", model="base")
    logged = [record.getMessage() for record in caplog.records if record.name == "penwright"]
    collected: list[str] = []
    penwright.prepare(file, output=tmp_path / "other", model="base", warn=collected.append)
    assert logged == collected != []
    assert capsys.readouterr().out == ""
