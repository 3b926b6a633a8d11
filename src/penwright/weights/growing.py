"""Tokens of one's own, such as `<sep>`: the tokenizer learns them, and the embedding grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from penwright.errors import UsageError
from penwright.model.gpt2 import GPT2
from penwright.weights.opening import Opened


def with_tokens(opened: Opened, tokens: Sequence[str]) -> Opened:
    """The model with these tokens, each one id wherever it stands in a text.

    What is known already stays as it is; the row of a new token is the mean of all others. Raises
    UsageError for a token that cannot be one.
    """
    if not tokens:
        return opened
    old = opened.tokenizer
    if opened.model.config.first_gpt:
        raise UsageError("Tokens cannot be added to the first GPT.")
    for token in tokens:
        if not token or token.isspace():
            raise UsageError(f"{token!r} cannot be a token.", fix="Write a word, such as '<sep>'.")
    lacking = [token for token in tokens if token not in old.vocabulary.markers]
    tokenizer = old.with_added(lacking).reading(tokens)
    ids = [tokenizer.marker_id(token) for token in lacking]
    form = {**opened.format, "markers": list(tokenizer.always)}
    return replace(opened, model=grow(opened.model, ids), tokenizer=tokenizer, format=form)


@torch.no_grad()
def grow(model: GPT2, ids: Sequence[int]) -> GPT2:
    """A model whose embedding has rows for `ids`, each the mean of the rows that it had.

    An output layer of its own grows in the same way.
    """
    if not ids:
        return model
    config = model.config
    size = max(config.vocab_size, max(ids) + 1)
    grown = GPT2(replace(config, vocab_size=size)).to(model.embed_tokens.weight.dtype)
    old = model.state_dict()
    state = grown.state_dict()
    for name, tensor in state.items():
        if tensor.shape == old[name].shape:
            tensor.copy_(old[name])
        else:
            tensor[: config.vocab_size] = old[name]
        if name in _rows(model):
            tensor[list(ids)] = old[name].float().mean(0).to(tensor.dtype)
    grown.load_state_dict(state)
    return grown.train(model.training)


def _rows(model: GPT2) -> set[str]:
    """The names of the tensors with a row for each token."""
    shared = (model.embed_tokens.weight, model.head_weight_VC)
    return {name for name, tensor in model.named_parameters() if any(tensor is t for t in shared)}
