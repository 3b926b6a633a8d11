"""Write a wider and deeper GPT-2 that computes what a given one does, to measure with.

    python bench/grow.py MODEL OUT [--width 3] [--layers 6]

Where no large trained model can be had, this is one that writes as well as the small one and costs
what a large one costs: `base` three times as wide with six more layers has the blocks of GPT-2's
124M. The function is kept as by Chen et al., "Net2Net", 2016: every channel and head is repeated
`--width` times, weights that read repeated channels are divided by it, and new layers add zero.
MODEL is whatever Penwright opens; OUT is a Hugging Face folder.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from penwright.weights import export

READ = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")


def widen(name: str, tensor: Tensor, times: int) -> Tensor:
    """Return a tensor of a wider model; weights of products are stored as (in, out)."""
    # Queries, keys and values stand side by side, each with its heads.
    parts = tensor.float().chunk(3 if "attn.c_attn" in name else 1, dim=-1)
    wide = torch.cat([p.tile(*[1] * (p.dim() - 1), times) for p in parts], dim=-1)
    if name.endswith(READ):
        return wide.tile(times, 1) / times
    return wide / times if ".ln_f." in name else wide


def deepen(weights: dict[str, Tensor], layers: int, more: int) -> None:
    """Add layers behind the last: copies of it that add nothing to the residual stream."""
    last = f"transformer.h.{layers - 1}."
    copied = {name: tensor for name, tensor in weights.items() if name.startswith(last)}
    for number in range(layers, layers + more):
        for name, tensor in copied.items():
            silent = torch.zeros_like(tensor) if ".c_proj." in name else tensor.clone()
            weights[name.replace(last, f"transformer.h.{number}.")] = silent


def grow(model: str, out: Path, width: int, layers: int) -> int:
    """Write the larger model into the new folder `out`; returns the number of its weights."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small"
        export(model, "huggingface", small, dtype="f32")
        weights = load_file(small / "model.safetensors")
        config = json.loads((small / "config.json").read_text())
        weights = {name: widen(name, tensor, width) for name, tensor in weights.items()}
        deepen(weights, config["n_layer"], layers)
        config["n_layer"] += layers
        config["n_embd"] *= width
        config["n_head"] *= width
        save_file(weights, small / "model.safetensors", metadata={"format": "pt"})
        (small / "config.json").write_text(json.dumps(config, indent=2))
        export(small, "huggingface", out)
    return sum(tensor.numel() for tensor in weights.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=3, help="times as wide")
    parser.add_argument("--layers", type=int, default=6, help="more layers")
    given = parser.parse_args()
    print(f"{given.out}: {grow(given.model, given.out, given.width, given.layers):,} parameters")


if __name__ == "__main__":
    main()
