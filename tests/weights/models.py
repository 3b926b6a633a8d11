"""Tiny random models."""

from __future__ import annotations

from typing import Any

import torch

from penwright.model import GPT2, GPT2Config

TOKENIZER_SIZE = 8192


def tiny_config(**changes: Any) -> GPT2Config:
    values: dict[str, Any] = {
        "vocab_size": TOKENIZER_SIZE,
        "n_positions": 32,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    return GPT2Config(**values | changes)


def random_model(config: GPT2Config, seed: int = 0, dtype: torch.dtype = torch.float32) -> GPT2:
    """Every number random, norms and biases too, so that no mix-up of names stays unseen."""
    model = GPT2(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model.to(dtype).eval()


def logits(model: GPT2, tokens_BT: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.logits(model(tokens_BT)).float()


def some_tokens(config: GPT2Config, rows: int = 2, length: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(0, config.vocab_size, (rows, length), generator=generator)
