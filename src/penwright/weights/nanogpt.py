"""nanoGPT's checkpoints (ckpt.pt): the weights and the shape of the model, no code of the file.

https://github.com/karpathy/nanoGPT: GPT-2's names, but linear layers as [outputs, inputs], an exact
GELU, and optionally no biases.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from penwright.errors import ModelError
from penwright.model.config import GPT2Config
from penwright.weights import build, stored
from penwright.weights.stored import Stored

FILE = "ckpt.pt"
GPT2_ROWS = range(50257, 50305)
"""Sizes of GPT-2's vocabulary: its own, and filled up to a multiple of 64."""
_LINEAR = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def find_file(path: Path) -> Path:
    """Return the checkpoint at `path`, which is it or the folder that holds it."""
    return path / FILE if path.is_dir() else path


def read(path: Path) -> tuple[GPT2Config, dict[str, Stored]]:
    """Return the config and the tensors of a checkpoint; raises ModelError for another file."""
    content = stored.load_pickle(path, skip_others=True)
    args = content.get("model_args") if isinstance(content, dict) else None
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(args, dict) or not isinstance(state, dict):
        raise ModelError(
            f"{path} is no checkpoint of nanoGPT: it lacks model_args or model.",
            fix="Of PyTorch's files Penwright opens nanoGPT's ckpt.pt and folders with "
            "pytorch_model.bin and config.json.",
        )
    config = _config(path, args)
    tensors = build.without_prefix(stored.plain_tensors(path, state))[0]
    return config, {**_zero_biases(config, tensors), **_transposed(tensors)}


def _config(path: Path, args: dict[Any, Any]) -> GPT2Config:
    size = args.get("vocab_size")
    if size not in GPT2_ROWS:
        raise ModelError(
            f"{path} has a vocabulary of {size} tokens, not GPT-2's: it was trained on characters "
            "or on a tokenizer of its own (meta.pkl), which Penwright does not read.",
            fix="Train from scratch on the same text: penwright new",
        )
    shape = {name: args.get(name) for name in ("n_layer", "n_head", "n_embd")}
    try:
        return GPT2Config.from_dict(
            {
                **shape,
                "vocab_size": size,
                "n_positions": args.get("block_size"),
                "activation_function": "gelu",
            }
        )
    except ModelError as error:
        raise ModelError(f"{path}: {error.message}", fix=error.fix) from None


def _transposed(tensors: dict[str, Stored]) -> dict[str, Stored]:
    return {
        name: stored.transposed(tensor) if name.endswith(_LINEAR) else tensor
        for name, tensor in tensors.items()
    }


def _zero_biases(config: GPT2Config, tensors: dict[str, Stored]) -> dict[str, Stored]:
    """Return zeros for the biases of a model that was trained without any (`bias=False`)."""
    if any(name.endswith("c_attn.bias") for name in tensors):
        return {}
    return {
        name: stored.of_tensor(torch.zeros(shape))
        for name, shape in build.shapes(config).items()
        if name.endswith(".bias")
    }
