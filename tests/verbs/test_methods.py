"""Every method from data to a finished run, and `plan` before it."""

from __future__ import annotations

import json

import pytest
import torch

import penwright
from penwright import weights
from penwright.cli import run as command

pytestmark = pytest.mark.usefixtures("small_base")


@pytest.fixture
def text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "geese.txt"
    file.write_text("\n\n".join(f"The goose number {i} asked for tea." for i in range(60)))
    return file


OPTIONS = {
    "model": "base",
    "steps": 4,
    "max_length": 32,
    "batch_size": 2,
    "sample_tokens": 4,
    "evaluate_every": 2,
    "precision": "bf16",
    "documents": "paragraph",
}


@pytest.mark.parametrize("method", ["lean", "lora"])
def test_a_run_ends_in_a_whole_model(text, method):
    run = penwright.finetune(text, method=method, learning_rate=1e-3, name="geese", **OPTIONS)
    assert run.perplexity_after < run.perplexity_before
    info = json.loads((run.folder / "run.json").read_text())
    assert info["plan"]["method"] == method
    assert run.generate("The goose", max_new_tokens=4)[0].text


@pytest.mark.filterwarnings("ignore::FutureWarning")  # transformers, of itself
def test_a_lean_checkpoint_keeps_each_weight_as_it_is_trained(text):
    run = penwright.finetune(text, method="lean", name="geese", **OPTIONS)
    held = weights.describe(run.folder / "checkpoints" / "step-000004").dtypes
    assert set(held) == {"BF16", "F32"}, "narrowed norms would not resume exactly"
    assert held["F32"] < 0.1 * held["BF16"]
    pytest.importorskip("transformers", reason="needs transformers")
    from transformers import AutoModelForCausalLM

    folder = run.folder / "checkpoints" / "step-000004"
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ours = weights.open(folder, dtype=torch.float32).model
    tokens_BT = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        expected = theirs(tokens_BT).logits
        assert torch.allclose(ours.logits(ours(tokens_BT)), expected, atol=1e-4)


@pytest.mark.filterwarnings("ignore::FutureWarning")  # transformers and peft, of each other
def test_a_lora_checkpoint_is_a_merged_model_and_an_adapter(text):
    pytest.importorskip("peft", reason="needs peft")
    from peft import PeftModel

    pytest.importorskip("transformers", reason="needs transformers")
    from transformers import GPT2LMHeadModel

    run = penwright.finetune(
        text, method="lora", learning_rate=1e-3, **OPTIONS | {"precision": "fp32"}
    )
    checkpoint = run.folder / "checkpoints" / "step-000004"
    tokens = torch.tensor([[5, 6, 7, 8]])
    base = weights.open("base", dtype=torch.float32)
    weights.save(text.parent / "base", base.model, base.tokenizer, card="", penwright={})
    merged = GPT2LMHeadModel.from_pretrained(checkpoint).eval()
    apart = PeftModel.from_pretrained(
        GPT2LMHeadModel.from_pretrained(text.parent / "base"), str(checkpoint / "adapter")
    ).eval()
    with torch.no_grad():
        one, other = merged(tokens).logits, apart(tokens).logits
    assert torch.allclose(one, other, atol=1e-4)
    assert not torch.allclose(one, base.model.logits(base.model(tokens)), atol=1e-3)
    made = weights.export(run.folder, "adapter", text.parent / "exported").path
    files = [folder / "adapter_model.safetensors" for folder in (made, checkpoint / "adapter")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_plan_says_what_would_fit(text, capsys):
    assert command(["plan", "base", str(text), "--memory", "2GB", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["taken"] == "full"
    assert {option["method"] for option in said["options"]} == {"full", "lean", "lora"}
    assert all(option["seconds"] > 0 for option in said["options"])
    assert command(["plan", "base", "--memory", "100MB"]) == 0
    assert "at the least" in capsys.readouterr().out
    kept = text.parent / "cache" / "calibration.json"
    measured = kept.read_bytes()
    assert command(["plan", "base", str(text), "--memory", "2GB"]) == 0
    assert kept.read_bytes() == measured, "the machine is measured once"
