from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from penwright import weights
from penwright.errors import ModelError
from penwright.model import GPT2

from .test_peft import make_adapter
from .test_tensorflow import GOLDENS


def test_base_without_torch_and_without_reading_weights() -> None:
    code = (
        "import sys; from penwright.weights import describe; d = describe('base');"
        "print(d.parameters, dict(d.dtypes), d.context, d.heads, 'torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "6967296 {'BF16': 6967296} 512 4 False", result.stderr


def test_the_counts_are_the_models(saved: tuple[Path, GPT2], tmp_path: Path) -> None:
    folder, model = saved
    found = weights.describe(folder)
    assert found.parameters == model.n_parameters
    assert found.bytes == (folder / "model.safetensors").stat().st_size
    weights.export(folder, "huggingface", tmp_path / "shards", shard_bytes=50_000, dtype="f16")
    assert weights.describe(tmp_path / "shards").dtypes == {"F16": model.n_parameters}
    state = {**model.state_dict(), "lm_head.weight": model.embed_tokens.weight.detach()}
    state["transformer.h.0.attn.bias"] = torch.ones(1, 1, 32, 32)
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    assert weights.describe(folder).parameters == model.n_parameters


def test_other_kinds(saved: tuple[Path, GPT2], tmp_path: Path) -> None:
    from penwright.weights import peft

    folder, model = saved
    found = weights.describe(GOLDENS / "sharded")
    assert (found.kind, found.layers, found.width) == ("TensorFlow checkpoint", 2, 8)
    assert found.bytes == 17152
    adapter = make_adapter(model, folder)
    peft.save_adapter(tmp_path / "adapter", adapter)
    found = weights.describe(tmp_path / "adapter")
    assert (found.kind, found.base_model) == ("LoRA adapter", str(folder))
    assert found.parameters == sum(p.a_RI.numel() + p.b_OR.numel() for p in adapter.pairs.values())


def test_what_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penwright.weights.hub.cached", lambda _: None)
    with pytest.raises(ModelError, match="penwright download gpt2-xl"):
        weights.describe("1558M")
