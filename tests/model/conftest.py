"""Random models of both families, ours and transformers' with the same weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import strategies as st

from penwright.model import GPT2, GPT2Config

NO_DROPOUT = {"embd_pdrop": 0.0, "attn_pdrop": 0.0, "resid_pdrop": 0.0}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@st.composite
def configs(draw) -> GPT2Config:
    """Any small model of either family, dropout 0."""
    heads = draw(st.integers(1, 4))
    shape = {
        "vocab_size": draw(st.integers(2, 60)),
        "n_positions": draw(st.integers(1, 24)),
        "n_embd": heads * draw(st.integers(1, 8)),
        "n_layer": draw(st.integers(1, 3)),
        "n_head": heads,
        "layer_norm_epsilon": draw(st.sampled_from([1e-6, 1e-5, 1e-2])),
        "tie_word_embeddings": draw(st.booleans()),
        **NO_DROPOUT,
    }
    if draw(st.booleans()):
        return GPT2Config(model_type="openai-gpt", bos_token_id=None, eos_token_id=None, **shape)
    return GPT2Config(
        **shape,
        n_inner=draw(st.none() | st.integers(1, 40)),
        activation_function=draw(st.sampled_from(["gelu_new", "gelu_pytorch_tanh", "gelu"])),
        scale_attn_weights=draw(st.booleans()),
        scale_attn_by_inverse_layer_idx=draw(st.booleans()),
        reorder_and_upcast_attn=draw(st.booleans()),
        bos_token_id=1,
        eos_token_id=1,
    )


def tiny(**changes) -> GPT2Config:
    shape = {"vocab_size": 61, "n_positions": 40, "n_embd": 32, "n_layer": 2, "n_head": 4}
    return GPT2Config(**{**shape, **NO_DROPOUT, **changes})


def make(config: GPT2Config, seed: int = 0, spread: float = 0.2) -> GPT2:
    """A model with large random weights everywhere, biases and norms too, so that all matters."""
    model = GPT2(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if ".ln_" in name and name.endswith("weight") else 0.0
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * spread + centre)
    return model


def twin(model: GPT2):
    """transformers' model of the same config.json and weights."""
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    values = model.config.to_dict()
    if model.config.first_gpt:
        theirs = transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig.from_dict(values))
    else:
        config = transformers.GPT2Config.from_dict(values)
        config._attn_implementation = "eager"
        theirs = transformers.GPT2LMHeadModel(config)
    missing, unexpected = theirs.load_state_dict(model.state_dict(), strict=False)
    assert not unexpected
    assert set(missing) <= ({"lm_head.weight"} if model.config.tie_word_embeddings else set())
    theirs.tie_weights()
    return theirs
