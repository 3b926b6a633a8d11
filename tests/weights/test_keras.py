"""gpt-tf2's Keras files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from penwright import weights
from penwright.errors import ModelError
from penwright.model import GPT2
from penwright.tokens.bpe import Tokenizer
from penwright.weights import keras_h5

from .models import logits, random_model, some_tokens, tiny_config

h5py = pytest.importorskip("h5py")


def keras_arrays(model: GPT2) -> dict[str, dict[str, torch.Tensor]]:
    """The model's numbers by gpt-tf2's layers and names."""
    state = {name.removeprefix("transformer."): t for name, t in model.state_dict().items()}
    layers: dict[str, dict[str, torch.Tensor]] = {
        "Embed-Token": {"embeddings": state["wte.weight"]},
        "Embed-Token-Pos": {"embeddings": state["wpe.weight"]},
        "Norm": {"gamma": state["ln_f.weight"], "beta": state["ln_f.bias"]},
    }
    for layer in range(model.config.n_layer):
        ours, theirs = f"h.{layer}", f"Encode-{layer}"
        for norm, part in (("ln_1", "MultiHeadAtt"), ("ln_2", "FeedForward")):
            layers[f"{theirs}-{part}-Norm"] = {
                "gamma": state[f"{ours}.{norm}.weight"],
                "beta": state[f"{ours}.{norm}.bias"],
            }
        attention, forward = f"{theirs}-MultiHeadAtt", f"{theirs}-FeedForward"
        q, k, v = state[f"{ours}.attn.c_attn.weight"].chunk(3, dim=1)
        bq, bk, bv = state[f"{ours}.attn.c_attn.bias"].chunk(3)
        layers[attention] = {
            f"{attention}_{short}": tensor
            for short, tensor in {
                "Wq": q,
                "bq": bq,
                "Wk": k,
                "bk": bk,
                "Wv": v,
                "bv": bv,
                "Wo": state[f"{ours}.attn.c_proj.weight"],
                "bo": state[f"{ours}.attn.c_proj.bias"],
            }.items()
        }
        layers[forward] = {
            f"{forward}_W1": state[f"{ours}.mlp.c_fc.weight"],
            f"{forward}_b1": state[f"{ours}.mlp.c_fc.bias"],
            f"{forward}_W2": state[f"{ours}.mlp.c_proj.weight"],
            f"{forward}_b2": state[f"{ours}.mlp.c_proj.bias"],
        }
    return layers


def write_keras(path: Path, model: GPT2, *, whole: bool = True) -> None:
    """A file as Keras writes it: of the whole model, or of its weights alone."""
    config = model.config
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        for layer, arrays in keras_arrays(model).items():
            group = root.create_group(layer).create_group(layer)
            for name, tensor in arrays.items():
                group.create_dataset(f"{name}:0", data=tensor.numpy())
        if not whole:
            return
        file.create_group("optimizer_weights").create_dataset("iter:0", data=3)
        names = [f"Encode-{layer}-MultiHeadAtt" for layer in range(config.n_layer)]
        layers: list[dict[str, Any]] = [
            {"class_name": "MultiHeadAttention", "config": {"name": n, "head_num": config.n_head}}
            for n in names
        ]
        layers.append({"config": {"name": "Norm", "epsilon": config.layer_norm_epsilon}})
        file.attrs["model_config"] = json.dumps({"config": {"layers": layers}})


@pytest.mark.parametrize("whole", [True, False])
def test_a_keras_file_opens(tmp_path: Path, base_tokenizer: Tokenizer, whole: bool) -> None:
    heads = 4 if whole else 1  # without its settings the heads are 64 wide
    model = random_model(tiny_config(n_head=heads, layer_norm_epsilon=1e-14))
    write_keras(tmp_path / "killbill.h5", model, whole=whole)
    base_tokenizer.save(tmp_path)
    opened = weights.open(tmp_path / "killbill.h5")
    assert opened.model.config.n_head == heads
    tokens_BT = some_tokens(model.config)
    assert torch.equal(logits(opened.model, tokens_BT), logits(model, tokens_BT))
    described = weights.describe(tmp_path / "killbill.h5")
    assert (described.kind, described.parameters) == ("Keras file", model.n_parameters)


def test_what_is_strange_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    write_keras(path, random_model(tiny_config(n_layer=1)))
    with h5py.File(path, "a") as file:
        del file["model_weights/Norm/Norm/beta:0"]
        file["model_weights/Norm/Norm/gate:0"] = [1.0]
    with pytest.raises(ModelError, match="does not have: Norm/Norm/gate:0"):
        keras_h5.read_tensors(path)
    with h5py.File(path, "a") as file:
        del file["model_weights/Norm/Norm/gate:0"]
        file["model_weights/Norm/Norm/beta:0"] = h5py.ExternalLink("/etc/passwd", "x")
    with pytest.raises(ModelError, match="is a link"):
        keras_h5.read_tensors(path)
    with h5py.File(path, "a") as file:
        del file["model_weights/Norm/Norm/beta:0"]
        file["model_weights/Norm/Norm"].create_dataset("beta:0", (1 << 40,), "f4", chunks=(8,))
    with pytest.raises(ModelError, match="is not stored plainly"):
        keras_h5.read_tensors(path)
    with h5py.File(path, "a") as file:
        del file["model_weights/Norm/Norm/beta:0"]
        del file[
            "model_weights/Encode-0-MultiHeadAtt/Encode-0-MultiHeadAtt/Encode-0-MultiHeadAtt_Wk:0"
        ]
    with pytest.raises(
        ModelError, match=r"lacks a part of transformer\.h\.0\.attn\.c_attn\.weight"
    ):
        keras_h5.read_tensors(path)


def test_no_hdf5_at_all(tmp_path: Path) -> None:
    (tmp_path / "x.h5").write_bytes(b"hello")
    with pytest.raises(ModelError, match=r"x\.h5 is damaged or is no HDF5 file"):
        weights.open(tmp_path / "x.h5")
