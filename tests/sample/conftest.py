"""A tiny tokenizer and random models whose choices are far apart."""

from __future__ import annotations

import pytest
import torch

from penwright.model import GPT2, GPT2Config, init_weights
from penwright.tokens.bpe import Tokenizer

TEXT = "The goose sat in the council chamber and asked for tea, with “biscuits” — twice. 🦆 ναι "


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([TEXT] * 20, 320)


def build_model(
    vocab_size: int, n_positions: int = 48, seed: int = 1, std: float = 0.3, **changes: object
) -> GPT2:
    config = GPT2Config(
        vocab_size=vocab_size,
        n_positions=n_positions,
        n_embd=32,
        n_layer=2,
        n_head=4,
        initializer_range=std,
        **changes,
    )
    model = GPT2(config)
    init_weights(model, seed)
    return model.eval()


@pytest.fixture
def make_model(tokenizer):
    """`make_model(n_positions=..., seed=..., std=...)`: a random model of the tokenizer's size."""

    def make(vocab_size: int | None = None, **changes) -> GPT2:
        return build_model(vocab_size or tokenizer.vocab_size, **changes)

    return make


@pytest.fixture
def model(make_model) -> GPT2:
    return make_model()


@pytest.fixture(scope="session")
def as_transformers():
    """`as_transformers(model)`: the same weights in transformers."""
    transformers = pytest.importorskip("transformers", reason="needs transformers")

    def convert(model: GPT2):
        names = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
        shape = {name: getattr(model.config, name) for name in names}
        peer = transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape, pad_token_id=0))
        missing, unexpected = peer.load_state_dict(model.state_dict(), strict=False)
        assert (set(missing) - {"lm_head.weight"}, unexpected) == (set(), [])
        peer.tie_weights()
        return peer.eval()

    return convert


@pytest.fixture
def global_generator_untouched():
    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state())
