"""nanoGPT's ckpt.pt, as its train.py writes it: read without running anything of the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from penwright import weights
from penwright.errors import ModelError

SHAPE = {"n_layer": 2, "n_head": 2, "n_embd": 16, "block_size": 12, "vocab_size": 50304}


def make_state(bias: bool) -> dict[str, torch.Tensor]:
    """Random weights under nanoGPT's names, its linear layers as [outputs, inputs]."""
    width, generator = SHAPE["n_embd"], torch.Generator().manual_seed(3)
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (SHAPE["vocab_size"], width)}
    shapes["wpe.weight"] = (SHAPE["block_size"], width)
    for layer in range(SHAPE["n_layer"]):
        for norm in ("ln_1", "ln_2"):
            shapes |= {f"h.{layer}.{norm}.weight": (width,), f"h.{layer}.{norm}.bias": (width,)}
        for name, outputs, inputs in (
            ("attn.c_attn", 3, 1), ("attn.c_proj", 1, 1), ("mlp.c_fc", 4, 1), ("mlp.c_proj", 1, 4)
        ):  # fmt: skip
            shapes[f"h.{layer}.{name}.weight"] = (outputs * width, inputs * width)
            shapes[f"h.{layer}.{name}.bias"] = (outputs * width,)
    shapes |= {"ln_f.weight": (width,), "ln_f.bias": (width,)}
    state = {
        f"_orig_mod.transformer.{name}": torch.randn(shape, generator=generator) * 0.3
        for name, shape in shapes.items()
        if bias or not name.endswith(".bias")
    }
    return {**state, "_orig_mod.lm_head.weight": state["_orig_mod.transformer.wte.weight"]}


def compute(state: dict[str, torch.Tensor], tokens_BT: torch.Tensor) -> torch.Tensor:
    """nanoGPT's forward pass, written again after its model.py."""
    width = (SHAPE["n_embd"],)

    def get(name: str) -> Any:
        return state.get(f"_orig_mod.transformer.{name}")

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, get(f"{name}.weight"), get(f"{name}.bias"))

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, width, get(f"{name}.weight"), get(f"{name}.bias"), 1e-5)

    x_BTC = get("wte.weight")[tokens_BT] + get("wpe.weight")[: tokens_BT.shape[1]]
    for layer in range(SHAPE["n_layer"]):
        at = f"h.{layer}"
        qkv = linear(norm(x_BTC, f"{at}.ln_1"), f"{at}.attn.c_attn").chunk(3, -1)
        q, k, v = (part.unflatten(-1, (SHAPE["n_head"], -1)).transpose(1, 2) for part in qkv)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x_BTC = x_BTC + linear(y, f"{at}.attn.c_proj")
        hidden = F.gelu(linear(norm(x_BTC, f"{at}.ln_2"), f"{at}.mlp.c_fc"))
        x_BTC = x_BTC + linear(hidden, f"{at}.mlp.c_proj")
    return norm(x_BTC, "ln_f") @ get("wte.weight").T


def write(folder: Path, state: dict[str, torch.Tensor], **more: Any) -> Path:
    checkpoint = {"model": state, "model_args": {**SHAPE, "dropout": 0.0}, "iter_num": 5}
    torch.save({**checkpoint, **more}, folder / "ckpt.pt")
    return folder / "ckpt.pt"


@pytest.mark.parametrize("bias", [True, False])
def test_logits_are_nanogpts(tmp_path: Path, bias: bool) -> None:
    state = make_state(bias)
    path = write(tmp_path, state, best_val_loss=torch.tensor(3.0))
    tokens_BT = torch.tensor([[50256, 17, 4000, 9, 1]])
    for name in (path, tmp_path):
        opened = weights.open(name)
        with torch.no_grad():
            found = opened.model.logits(opened.model(tokens_BT))
        assert torch.allclose(found, compute(state, tokens_BT), atol=1e-4)
        assert opened.tokenizer.eot_id == 50256
        assert "GPT-2's is used" in opened.notes[0]
    assert weights.describe(path).context == SHAPE["block_size"]


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def test_other_objects_in_the_file_are_never_run(tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"
    settings = {"out_dir": Path("out"), "loss": np.float64(3.5), "evil": Evil(trace)}
    path = write(tmp_path, make_state(bias=False), config=settings, optimizer={"evil": Evil(trace)})
    weights.open(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # so the trap was a real one


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_args": {**SHAPE, "vocab_size": 65}}, "trained on characters"),
        ({"model_args": None}, "lacks model_args or model"),
        ({"model_args": {**SHAPE, "n_embd": None}}, "n_embd"),
        ({"model": {"x": "y"}}, "other things than plain tensors"),
    ],
)
def test_what_is_refused(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = write(tmp_path, make_state(bias=False), **changes)
    with pytest.raises(ModelError, match=says):
        weights.open(path)
