"""What `evaluate` measures: on files or what a run held out, by foreseeing and by writing."""

from __future__ import annotations

import json
import math

import pytest

import penwright
from penwright.errors import RunError, UsageError
from penwright.formats.corpora import more_answers
from penwright.metrics import measure
from penwright.verbs.evaluate import first_line


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"Goose {n} says", "completion": f"honk, honk and {n}."} for n in range(30)]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


SHORT = {"model": "base", "steps": 3, "precision": "fp32", "sample_every": 0, "batch_size": 4}


def test_a_perplexity_has_its_interval_over_documents(pairs):
    found = penwright.evaluate("base", pairs)
    assert found.low < found.perplexity < found.high
    assert found.perplexity == pytest.approx(math.exp(found.loss))
    batches = penwright.evaluate("base", pairs, average="batch")
    assert batches.low < batches.perplexity < batches.high
    assert "metrics" not in found.as_json()


def test_texts_are_written_from_the_prompts_and_compared(pairs):
    options = {"metrics": ("verbatim", "chrf"), "n": 2, "max_new_tokens": 6, "seed": 3}
    found = penwright.evaluate("base", pairs, metric_documents=5, **options)
    assert found.documents == 30
    assert found.measured.texts == 10
    assert found.measured["chrF"].documents == 5

    rows = [json.loads(line) for line in pairs.read_text().splitlines()][:5]
    prompts = [row["prompt"] for row in rows]
    texts = penwright.load("base").generate(prompts, n=2, max_new_tokens=6, seed=3)
    again = measure(
        [first_line(text.text) for text in texts],
        [" " + row["completion"] for row in rows for _ in range(2)],
        metrics=["chrf"],
    )
    assert found.measured["chrF"].value == pytest.approx(again["chrF"].value)
    figures = found.as_json()["metrics"]["figures"]
    assert set(figures) == {"verbatim", "chrF"}


def test_texts_are_cut_where_their_references_end():
    assert first_line("\n\n  One line. \nAnother.") == "One line."
    assert first_line("") == ""


def test_any_model_is_measured_on_what_a_run_held_out(pairs):
    run = penwright.finetune(pairs, name="geese", held_out=0.3, **SHORT)
    before = penwright.evaluate("base", held_out_of="geese")
    after = penwright.evaluate("geese", held_out_of=str(run.folder))
    assert before.documents == after.documents == 9
    assert before.perplexity == pytest.approx(run.perplexity_before, rel=1e-4)
    assert after.perplexity == pytest.approx(run.perplexity_after, rel=1e-4)
    wider = penwright.evaluate("base", held_out_of="geese", learn=("all",))
    assert wider.tokens > before.tokens
    found = penwright.evaluate("base", held_out_of="geese", metrics=["chrf"], max_new_tokens=4)
    assert found.measured["chrF"].documents == 9


def test_what_was_held_out_must_be_there_still(pairs):
    run = penwright.finetune(pairs, name="geese", held_out=0, **SHORT)
    with pytest.raises(RunError, match="geese held nothing out"):
        penwright.evaluate("base", held_out_of="geese")
    penwright.finetune(pairs, name="more", held_out=0.5, **SHORT)
    pairs.write_text("\n".join(pairs.read_text().splitlines()[:20]))
    with pytest.raises(RunError, match="not what more was trained on"):
        penwright.evaluate("base", held_out_of="more")
    assert run.perplexity_after is None


@pytest.mark.usefixtures("pairs")
@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        (("pairs.jsonl",), {"held_out_of": "geese"}, "give one of the two"),
        (("pairs.jsonl",), {"metrics": ("rogue",)}, "no metric 'rogue'. Did you mean 'rouge'"),
        (("pairs.jsonl",), {"metrics": ("chrf",), "n": 0}, "one text at least"),
        (("pairs.jsonl",), {"metrics": ("keywords",)}, "no keywords in this data"),
        (("plain.txt",), {"metrics": ("chrf",)}, "no prompts in this data"),
        ((), {}, "No data was given"),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_sentence(tmp_path, data, options, says):
    (tmp_path / "plain.txt").write_text("A goose.")
    with pytest.raises(UsageError, match=says):
        penwright.evaluate("base", *data, **options)


def test_files_of_their_own_to_measure_on(pairs, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"prompt": "A duck says", "completion": "quack."}\n' * 3)
    run = penwright.finetune(pairs, held_out_data=("other.jsonl",), name="ducks", **SHORT)
    about = json.loads((run.folder / "run.json").read_text())["data"]
    assert about["training"]["documents"] == 30
    assert about["held_out"]["documents"] == 3
    direct = penwright.evaluate("base", other)
    assert run.perplexity_before == pytest.approx(direct.perplexity, rel=1e-4)
    assert penwright.evaluate("base", held_out_of="ducks").loss == pytest.approx(direct.loss)
    with pytest.raises(UsageError, match="held_out cannot"):
        penwright.finetune(pairs, held_out_data=("other.jsonl",), held_out=0.1, **SHORT)
    with pytest.raises(UsageError, match="no document to hold out"):
        penwright.finetune(pairs, held_out_data=(str(pairs),), **SHORT)


def test_an_epoch_may_be_so_many_steps(pairs):
    options = SHORT | {"steps": None, "steps_per_epoch": 2, "epochs": 2, "decay_epochs": (1,)}
    run = penwright.finetune(pairs, schedule="step", learning_rate=1e-3, warmup=0, **options)
    plan = json.loads((run.folder / "run.json").read_text())["plan"]
    assert (plan["steps"], plan["steps_per_epoch"], plan["decay_steps"]) == (4, 2, [2])
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    rates = [line["lr"] for line in lines if line["kind"] == "step"]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4])
    with pytest.raises(UsageError, match="at least one step"):
        penwright.finetune(pairs, **SHORT, steps_per_epoch=0)


def test_an_answer_counts_as_good_as_the_best_of_what_people_gave(tmp_path):
    def turns(*texts):
        return [{"turn_id": i, "input_text": text} for i, text in enumerate(texts, 1)]

    def save(**more):
        item = {
            "story": "A goose went to tea.",
            "questions": turns("Who went?", "Where?"),
            "answers": turns("zzz", "tea"),
            "additional_answers": more,
        }
        (tmp_path / "dev.json").write_text(json.dumps({"version": "1.0", "data": [item]}))
        return tmp_path / "dev.json"

    first = "A goose went to tea.\nQ: Who went?\nA:"
    second = first + " zzz\nQ: Where?\nA:"
    path = save(a=turns("yyy", "to tea"), b=turns("xxx", "the tea"))
    assert dict(more_answers(str(path), None)) == {
        first: ("yyy", "xxx"),
        second: ("to tea", "the tea"),
    }
    options = {"greedy": True, "max_new_tokens": 3}
    said = first_line(penwright.load("base").generate(first, **options)[0].text)
    path = save(a=turns(said, "to tea"), b=turns(said, "the tea"))
    found = penwright.evaluate("base", path, metrics=["answers"], **options).measured
    # The first answer is what two of three people said: right against any two of them.
    assert found["exact match"].value == pytest.approx(50.0)
