"""Adapters between us and PEFT."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("peft", reason="needs peft")
pytest.importorskip("transformers", reason="needs transformers")

import peft as their_peft
import transformers

from penwright import weights
from penwright.errors import ModelError
from penwright.model import GPT2
from penwright.sample.decoder import TorchSource
from penwright.weights import peft

from .models import logits, some_tokens

# PEFT reads a name that transformers has renamed, and warns that it guesses.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:peft")

TARGETS = ["c_attn", "c_proj", "c_fc"]


def their_adapter(base: Path, folder: Path, **changes: Any) -> torch.Tensor:
    """An adapter that PEFT made and wrote, and its logits."""
    values = {"r": 3, "lora_alpha": 5, "target_modules": TARGETS, "fan_in_fan_out": True} | changes
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    model = their_peft.get_peft_model(
        model, their_peft.LoraConfig(task_type="CAUSAL_LM", **values)
    ).eval()
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.2)
        expected = model(some_tokens(weights.open(base).model.config)).logits
    model.save_pretrained(folder)
    assert isinstance(expected, torch.Tensor)
    return expected


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {"h.0.mlp.c_fc": 2}, "alpha_pattern": {"h.1.attn.c_attn": 9}},
        {"target_modules": ["c_attn", "wte"]},
    ],
)
def test_we_read_what_peft_writes(
    saved: tuple[Path, GPT2], tmp_path: Path, changes: dict[str, Any]
) -> None:
    base, model = saved
    expected = their_adapter(base, tmp_path / "adapter", **changes)
    opened = weights.open(tmp_path / "adapter")
    tokens_BT = some_tokens(model.config)
    before = logits(model, tokens_BT)
    assert not torch.allclose(before, expected, atol=1e-2)
    assert torch.allclose(logits(opened.model, tokens_BT), expected, atol=1e-5, rtol=1e-5)
    adapter = peft.read_adapter(tmp_path / "adapter")
    if "wte" in changes.get("target_modules", ()):
        assert adapter.factors is None
        return
    beside = TorchSource(model).beside(adapter.factors or {}).model
    assert torch.allclose(logits(beside, tokens_BT), expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(logits(model, tokens_BT), before)


def make_adapter(model: GPT2, base: Path) -> peft.Adapter:
    generator = torch.Generator().manual_seed(4)
    pairs = {}
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in TARGETS:
            n_in, n_out = module.weight.shape
            a_RI = torch.randn(2, n_in, generator=generator) * 0.2
            pairs[name] = peft.Pair(a_RI, torch.randn(n_out, 2, generator=generator) * 0.2, 2.0)
    return peft.Adapter(pairs, str(base), peft.lora_settings(str(base), 2, 4, TARGETS))


def test_peft_reads_what_we_write(saved: tuple[Path, GPT2], tmp_path: Path) -> None:
    base, model = saved
    adapter = make_adapter(model, base)
    peft.save_adapter(tmp_path / "adapter", adapter)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(base)
    theirs = their_peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
    tokens_BT = some_tokens(model.config)
    with torch.no_grad():
        expected = theirs(tokens_BT).logits
    beside = TorchSource(model).beside(adapter.factors or {}).model
    assert torch.allclose(logits(beside, tokens_BT), expected, atol=1e-5, rtol=1e-5)
    assert torch.allclose(
        logits(weights.open(tmp_path / "adapter").model, tokens_BT), expected, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"peft_type": "IA3"}, "of type 'IA3'"),
        ({"use_dora": True}, "uses DoRA"),
        ({"bias": "all"}, "trains biases"),
        ({"r": 0}, "r cannot be 0"),
        ({"r": 4}, "do not fit rank 4"),
        ({"base_model_name_or_path": None}, "does not name the model"),
    ],
)
def test_what_is_more_than_lora_is_refused(
    saved: tuple[Path, GPT2], tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    base, model = saved
    peft.save_adapter(tmp_path / "adapter", make_adapter(model, base))
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ModelError, match=says):
        weights.open(tmp_path / "adapter")


def test_an_adapter_of_another_model(saved: tuple[Path, GPT2]) -> None:
    base, model = saved
    good = make_adapter(model, base)
    pair = next(iter(good.pairs.values()))
    with pytest.raises(ModelError, match=r"lacks: transformer\.h\.9\.attn\.c_attn"):
        peft.Adapter({"transformer.h.9.attn.c_attn": pair}, "", {}).merge(model)
    with pytest.raises(ModelError, match=r"c_proj \[16, 48\] instead of \[16, 16\]"):
        peft.Adapter({"transformer.h.0.attn.c_proj": pair}, "", {}).merge(model)
