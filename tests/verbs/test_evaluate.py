"""What `evaluate` measures: on files or what a run held out, by foreseeing and by writing."""

from __future__ import annotations

import json
import math

import pytest

import penwright
from penwright.errors import DataError, RunError, UsageError
from penwright.formats.corpora import more_answers
from penwright.metrics import measure
from penwright.verbs.writing_quality import first_line, lead

pytestmark = pytest.mark.usefixtures("small_base")


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
    with pytest.raises(UsageError, match="--steps-per-epoch cannot be 0"):
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


ARTICLE = "The goose went out. It rained. The harbour was shut. Nobody came. The goose went home."


@pytest.fixture
def stories(tmp_path):
    """Forty articles with a summary each, as a table of prompts and completions."""
    path = tmp_path / "news.jsonl"
    rows = [
        {"prompt": f"On day {n}: {ARTICLE}", "completion": f"A goose stays dry on day {n}."}
        for n in range(40)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_figures_stand_beside_baselines_that_give_them_meaning(stories):
    run = penwright.finetune(stories, name="news", held_out=0.25, **SHORT)
    options = {"metrics": ("chrf", "diversity"), "max_new_tokens": 6, "metric_documents": 5}
    found = penwright.evaluate("news", held_out_of="news", **options)
    assert list(found.beside) == [
        "human text", "first 3 sentences", "a training text", "base, untrained",
    ]  # fmt: skip
    assert [f.name for f in found.beside["human text"].figures][:2] == ["distinct-1", "distinct-2"]
    lead = found.beside["first 3 sentences"]["chrF"]
    wanted = measure(
        [f"On day {n}: The goose went out. It rained. The harbour was shut." for n in (1, 2)],
        [f"A goose stays dry on day {n}." for n in (1, 2)],
        metrics=["chrf"],
    )
    assert lead.value == pytest.approx(wanted["chrF"].value, abs=3)
    # All summaries are alike but for the day.
    assert found.beside["a training text"]["chrF"].value > 80
    untrained = penwright.evaluate("base", held_out_of="news", **options)
    assert found.beside["base, untrained"]["chrF"] == untrained.measured["chrF"]
    assert set(found.as_json()["beside"]) == set(found.beside)
    kept = json.loads((run.folder / "quality.json").read_text())
    assert list(kept["columns"]) == ["news", *found.beside]
    alone = penwright.evaluate("news", stories, untrained=False, **options)
    assert list(alone.beside) == ["human text", "first 3 sentences"]


def test_the_first_three_sentences():
    text = '\n"Did it rain?" It did. (It always does.) Then it stopped.'
    assert lead(text) == '"Did it rain?" It did. (It always does.)'
    assert lead("One. Two.") == "One. Two."


def test_free_writing_stands_beside_the_text_that_people_wrote(tmp_path):
    path = tmp_path / "plain.txt"
    texts = [
        f"The goose asked for tea on day {n}, and it rained on the harbour." for n in range(30)
    ]
    path.write_text("\n<|endoftext|>\n".join(texts))
    penwright.finetune(path, name="plain", held_out=0.4, **SHORT)
    options = {"metrics": ("quality",), "max_new_tokens": 12, "untrained": False}
    found = penwright.evaluate("plain", held_out_of="plain", **options)
    human = found.beside["human text"]
    assert found.measured["words"].documents == human["words"].documents == 12
    assert human["end by themselves"].value == 100
    assert human["copied"].value == 0
    # What people wrote after the first half of the words.
    assert 5 <= human["words"].value <= 8
    short = penwright.evaluate("plain", path, **options | {"max_new_tokens": 2})
    assert short.beside["human text"]["end by themselves"].value == 0
    assert short.beside["human text"]["words"].value <= 2


def test_of_one_long_text_each_stretch_counts(tmp_path):
    path = tmp_path / "long.txt"
    path.write_text(" ".join(f"The goose asked for tea on day {n}." for n in range(600)))
    told = []
    options = {"metrics": ("quality",), "max_new_tokens": 8, "metric_documents": 10}
    found = penwright.evaluate("base", path, warn=told.append, **options)
    assert found.documents == 1
    assert found.low < found.perplexity < found.high
    assert found.measured["words"].documents == 10
    assert any("intervals are over its 10 stretches" in line for line in told)
    assert found.beside["human text"]["words"].value > 3


def test_empty_texts_are_reported(stories, monkeypatch):
    monkeypatch.setattr("penwright.verbs.writing_quality.first_line", lambda _: " ")
    with pytest.raises(DataError, match="wrote only empty texts"):
        penwright.evaluate("base", stories, metrics=["chrf"], metric_documents=2)


def test_perplexity_is_that_of_transformers(tmp_path):
    torch, transformers = (pytest.importorskip(name) for name in ("torch", "transformers"))
    from penwright.weights import export

    text = "The goose went to tea on the last day of autumn, and nobody had told the harbour."
    (tmp_path / "a.txt").write_text(text)
    export("base", "huggingface", tmp_path / "hf")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    model = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "hf", dtype=torch.float32
    ).eval()
    end = tokenizer.eos_token_id
    ids = torch.tensor([[end, *tokenizer(text)["input_ids"], end]])
    with torch.no_grad():
        wanted = model(input_ids=ids, labels=ids).loss.item()
    found = penwright.evaluate("base", tmp_path / "a.txt")
    assert found.loss == pytest.approx(wanted, rel=1e-5)
    assert found.perplexity == pytest.approx(math.exp(wanted), rel=1e-5)
