"""Looking at data as `finetune` would read it, at stores, and at what the cache remembers."""

from __future__ import annotations

import importlib.util
import json

import pytest

import penwright
from penwright.config import DataConfig
from penwright.dataset.store_cache import name_data, open_data
from penwright.dataset.training import Splits, divide, tell_repeats
from penwright.errors import ModelError, UsageError
from penwright.runs import Run
from penwright.tokens import Tokenizer
from penwright.verbs.describe import names_model


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    return tmp_path


@pytest.fixture
def repeated(place):
    """A hundred lines, of which forty are there twice."""
    lines = [f"The {word} number {n} sat down." for n in range(30) for word in ("goose", "owl")]
    (place / "lines.txt").write_text("\n".join([*lines, *lines[:40]]))
    return place / "lines.txt"


def names(found):
    return [finding.name for finding in found.findings]


def test_leaks_are_found_and_moved(repeated):
    options = {"model": "base", "documents": "line"}
    assert "leakage" in names(penwright.inspect(repeated, **options))
    assert "leakage" not in names(penwright.inspect(repeated, **options, fix=True))


@pytest.mark.parametrize("fix", [False, True])
def test_finetune_says_and_records_what_leaked(repeated, fix):
    options = {"documents": "line", "steps": 1, "fix": fix, "sample_every": 0, "held_out": 0.1}
    run = penwright.finetune(repeated, model="base", name="r", **options)
    held_out = Run(run.folder).info["data"]["held_out"]
    assert 0 < held_out["leaked"] < 10
    assert held_out["documents"] == 10 - held_out.get("moved", 0)
    assert (held_out["moved"] > 0) == fix
    assert Run(run.folder).info["config"]["fix"] is fix
    assert Run(run.folder).info["data"]["repeated"] == 40


@pytest.mark.parametrize(("copies", "says"), [(1, ""), (2, "1 document repeats"), (4, "3 docu")])
def test_repeats_are_told_in_a_sentence(place, copies, says):
    (place / "a.txt").write_text("\n".join(["one", "two", *["three"] * copies]))
    store = open_data(["a.txt"], DataConfig(documents="line"), Tokenizer.gpt2(), print).store
    assert tell_repeats(store).startswith(says)
    assert ("--drop-duplicates" in tell_repeats(store)) == (copies > 1)


def test_dividing_by_tokens_is_dividing_by_text(repeated):
    data = DataConfig(documents="line")
    store = open_data([repeated], data, Tokenizer.gpt2(), print).store

    def texts(part):
        return [tuple(store.tokens(a, b).tolist()) for a, b in part.ranges.tolist()]

    plain = divide(store, 0.2, 3)
    trained = set(texts(plain.training))
    assert plain.leaked == sum(text in trained for text in texts(plain.held_out)) > 0
    fixed = divide(store, 0.2, 3, fix=True)
    assert sorted(texts(fixed.training) + texts(fixed.held_out)) == sorted(
        texts(plain.training) + texts(plain.held_out)
    )
    assert not set(texts(fixed.held_out)) & set(texts(fixed.training))


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ((1, 0), "1 held-out document is in the training part too; --fix moves it there."),
        ((3, 3), "3 held-out documents are in the training part too; --fix moved them there."),
    ],
)
def test_leaks_are_told_in_a_sentence(parts, sentence):
    assert str(Splits(None, None, *parts)) == sentence


@pytest.mark.parametrize("near", [-0.1, 2, float("nan")])
def test_a_share_of_near_duplicates_that_cannot_be(place, near):
    (place / "a.txt").write_text("one\ntwo\n")
    with pytest.raises(UsageError, match="--near must be from 0 to 1"):
        penwright.inspect("a.txt", model="base", documents="line", near=near)


def test_near_duplicates_are_looked_for_where_rensa_is(place):
    words = " ".join(f"word{n}" for n in range(40))
    lines = [" ".join(f"other{n}x{i}" for n in range(40)) for i in range(20)]
    (place / "a.txt").write_text("\n".join([words, *lines, f"{words} more"]))
    found = penwright.inspect("a.txt", model="base", documents="line")
    there = importlib.util.find_spec("rensa") is not None
    assert ("near duplicates" in names(found)) is there
    off = penwright.inspect("a.txt", model="base", documents="line", near=0)
    assert "near duplicates" not in names(off)


def test_what_was_told_and_counted_is_told_and_recorded_again_from_the_cache(place):
    rows = ["text", *(f'"Fish &amp; chips number {n} ."' for n in range(30)), '""']
    (place / "rows.csv").write_text("\n".join(rows))
    data = DataConfig(clean=("entities", "detokenize"))
    told = [[], []]
    first = open_data(["rows.csv"], data, Tokenizer.gpt2(), told[0].append)
    second = open_data(["rows.csv"], data, Tokenizer.gpt2(), told[1].append)
    assert first.store.folder == second.store.folder
    assert first.cleaning == second.cleaning == {"changed": {"entities": 30, "detokenize": 30}}
    assert told[0] == told[1] == list(second.warnings)
    assert any(text.startswith("Cleaning: ") and "entities changed 30" in text for text in told[1])
    run = penwright.finetune(
        "rows.csv", model="base", name="r", clean=data.clean, steps=1, sample_every=0
    )
    info = Run(run.folder).info["data"]
    assert info["cleaning"] == first.cleaning
    assert info["warnings"] == told[0]


def test_a_count_of_cleaning_is_no_fault(place):
    (place / "a.txt").write_text("\n".join(f"Fish &amp; chips, number {n}" for n in range(20)))
    found = penwright.inspect("a.txt", model="base", documents="line", clean=("entities",))
    assert not {"reading", "entities"} & set(names(found))


def test_a_store_is_examined_as_its_files_are(place):
    records = [
        {"prompt": f"Prompt {n}", "completion": f"the é story {n}, and so on"} for n in range(12)
    ]
    (place / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    penwright.prepare("a.jsonl", output="store", model="base")
    from_files = penwright.inspect("a.jsonl", model="base").as_json()
    from_store = penwright.inspect("store", model="base").as_json()
    for name in ("documents", "characters", "tokens", "learned", "lengths", "windows", "files"):
        assert from_files[name] == from_store[name]


def test_a_store_may_be_examined_beside_files(place):
    (place / "a.txt").write_text("\n".join(f"Line {n}, which is new." for n in range(12)))
    (place / "b.txt").write_text("\n".join(f"Line {n}, which is old." for n in range(9)))
    options = {"model": "base", "documents": "line"}
    penwright.prepare("b.txt", output="store", **options)
    from_files = penwright.inspect("a.txt", "b.txt", **options).as_json()
    with_store = penwright.inspect("a.txt", "store", **options).as_json()
    for name in ("documents", "characters", "tokens", "learned", "lengths", "windows", "files"):
        assert from_files[name] == with_store[name]


def test_the_lists_that_options_name_are_part_of_the_fingerprint(place):
    (place / "a.txt").write_text("Some text.")
    (place / "words.txt").write_text("foo\n")
    tokenizer = Tokenizer.gpt2()
    data = DataConfig(blocklist="words.txt")
    before = name_data(["a.txt"], data, tokenizer)
    assert before == name_data(["a.txt"], data, tokenizer)
    (place / "words.txt").write_text("bar\n")
    assert name_data(["a.txt"], data, tokenizer) != before


def test_a_remote_text_is_read_and_known_by_its_content():
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://place/a.txt", "w") as file:
        file.write("Some text from afar.")
    tokenizer = Tokenizer.gpt2()
    first = open_data(["memory://place/a.txt"], DataConfig(), tokenizer, print)
    assert first.store.n_documents == 1
    with fsspec.open("memory://place/a.txt", "w") as file:
        file.write("Some other text from afar.")
    second = open_data(["memory://place/a.txt"], DataConfig(), tokenizer, print)
    assert second.fingerprint != first.fingerprint


@pytest.mark.parametrize(
    ("name", "is_model"),
    [
        ("base", True),
        ("124M", True),
        ("user/model", True),
        ("no-such-thing", True),
        ("text.txt", False),
        ("missing.txt", False),
        ("*.csv", False),
        ("hf://datasets/a/b.csv", False),
        ("stories", False),
        ("folder", False),
        ("model-folder", True),
        ("./base", False),
    ],
)
def test_a_model_is_told_from_data(place, name, is_model):
    for file in ("text.txt", "stories.wp_source", "stories.wp_target"):
        (place / file).write_text("x")
    for folder in ("folder", "model-folder", "base"):
        (place / folder).mkdir()
    (place / "model-folder" / "config.json").write_text("{}")
    assert names_model(name) is is_model


def test_describe_reads_headers_only():
    model = penwright.describe("base")
    assert model.parameters == 6_967_296
    assert model.tensors["transformer.wte.weight"][1] == (8192, 256)
    with pytest.raises(ModelError, match="Did you mean 'base'"):
        penwright.describe("bsae")


def test_repeated_passages_are_reported_with_both_places(place):
    def line(number):
        words = [f"{letter}{number * 7 % 13}" for letter in "abcdefghijkl"]
        return " ".join(f"{word} goose{number}" for word in words)

    novel = [line(number) for number in range(30)]
    edited = [*novel[:10], "An edit.", *novel[11:20], "Another edit.", *novel[21:]]
    (place / "novel.txt").write_text("\n".join(novel), encoding="utf-8")
    (place / "edited.txt").write_text("\n".join(edited), encoding="utf-8")
    found = penwright.inspect("novel.txt", "edited.txt", repeats=20, near=0)
    (finding,) = [one for one in found.findings if one.name == "repeated passages"]
    assert "--drop-repeats 20" in finding.fix
    places = sorted((one.place, one.first) for one in found.repeats.longest)
    # What lies between the repeated passages is what was edited.
    assert places == [
        ("edited.txt:1", "novel.txt:1"),
        ("edited.txt:12", "novel.txt:12"),
        ("edited.txt:22", "novel.txt:22"),
    ]
    assert found.repeats.count == 3
    assert 0.4 < found.repeats.share < 0.5
    assert found.as_json()["repeats"]["longest"][0]["text"]
    quiet = penwright.inspect("novel.txt", "edited.txt", repeats=0, near=0)
    assert not [one for one in quiet.findings if one.name == "repeated passages"]
