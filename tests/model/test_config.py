from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given, settings

pytest.importorskip("transformers", reason="needs transformers")

import transformers

from penwright.errors import ModelError
from penwright.model import SIZES, GPT2Config
from tests.model.conftest import configs


@settings(deadline=None)
@given(configs())
def test_config_json_round_trip(config):
    values = json.loads(json.dumps(config.to_dict()))
    again = GPT2Config.from_dict(values)
    if config.first_gpt:
        config = dataclasses.replace(config, activation_function="gelu_new")
    assert again == config


@settings(deadline=None)
@given(configs())
def test_transformers_reads_what_we_write_and_the_reverse(config):
    kind = transformers.OpenAIGPTConfig if config.first_gpt else transformers.GPT2Config
    theirs = kind.from_dict(config.to_dict())
    assert (theirs.n_embd, theirs.n_layer, theirs.n_head) == (
        config.n_embd,
        config.n_layer,
        config.n_head,
    )
    back = GPT2Config.from_dict(json.loads(theirs.to_json_string(use_diff=False)))
    assert back == dataclasses.replace(config, activation_function=back.activation_function)
    assert back.tanh_gelu == config.tanh_gelu


def test_sizes_are_openai_s():
    assert GPT2Config.from_dict(transformers.GPT2Config().to_dict()) == SIZES["124M"]
    first = transformers.OpenAIGPTConfig().to_dict()
    assert GPT2Config.from_dict(first).n_positions == 512
    assert GPT2Config.from_dict({"model_type": "openai-gpt"}).vocab_size == 40478


def test_other_names_of_the_fields():
    config = GPT2Config.from_dict(
        {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2, "n_ctx": 99}
    )
    assert (config.n_embd, config.n_layer, config.n_head) == (64, 3, 2)
    assert config.n_positions == 99
    assert GPT2Config.from_dict({"n_positions": 7, "n_ctx": 99}).n_positions == 7


def test_several_end_tokens():
    assert GPT2Config.from_dict({"eos_token_id": [7, 8]}).eos_token_id == 7
    assert GPT2Config.from_dict({"eos_token_id": []}).eos_token_id is None


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"n_head": 5}, "n_head"),
        ({"n_layer": 0}, "n_layer"),
        ({"n_layer": 10**9}, "n_layer"),
        ({"n_embd": -768}, "n_embd"),
        ({"n_embd": "768"}, "n_embd"),
        ({"n_embd": 768.0}, "n_embd"),
        ({"n_embd": None}, "n_embd"),
        ({"n_layer": True}, "n_layer"),
        ({"n_inner": 0}, "n_inner"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"n_positions": 1 << 40}, "n_positions"),
        ({"attn_pdrop": 1.0}, "attn_pdrop"),
        ({"embd_pdrop": float("nan")}, "embd_pdrop"),
        ({"layer_norm_epsilon": 0}, "layer_norm_epsilon"),
        ({"initializer_range": float("inf")}, "initializer_range"),
        ({"scale_attn_weights": 1}, "scale_attn_weights"),
        ({"eos_token_id": "x"}, "eos_token_id"),
        ({"activation_function": "relu"}, "activation_function"),
        ({"activation_function": ["gelu"]}, "activation_function"),
        ({"model_type": "llama"}, "llama"),
        ({"model_type": ["gpt2"]}, "gpt2"),
        ({"add_cross_attention": True}, "cross-attention"),
        ({"model_type": "openai-gpt", "afn": "relu"}, "relu"),
        ({"model_type": "openai-gpt", "scale_attn_weights": False}, "scale_attn_weights"),
        ({"model_type": "openai-gpt", "n_inner": 7}, "n_inner"),
    ],
)
def test_impossible_configs_are_named(values, named):
    with pytest.raises(ModelError, match=named):
        GPT2Config.from_dict(values)
