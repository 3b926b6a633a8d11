"""Stored tensors into models: parity with transformers, and one sentence for what is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

pytest.importorskip("transformers", reason="needs transformers")

import transformers

from penwright.errors import ModelError
from penwright.model import GPT2Config
from penwright.weights import stored
from penwright.weights.stored import build

from .models import logits, some_tokens

CONFIG = GPT2Config(vocab_size=50, n_positions=16, n_embd=8, n_layer=2, n_head=2)


def theirs(config: GPT2Config) -> transformers.PreTrainedModel:
    """transformers' model of the same shape, every number random."""
    values = config.to_dict()
    kind = "OpenAIGPT" if config.first_gpt else "GPT2"
    their_config = getattr(transformers, f"{kind}Config")(**values)
    torch.manual_seed(1)
    model = getattr(transformers, f"{kind}LMHeadModel")(their_config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


def state_of(config: GPT2Config) -> dict[str, torch.Tensor]:
    state = theirs(config).state_dict()
    return {name: tensor for name, tensor in state.items() if name != "lm_head.weight"}


def as_stored(state: dict[str, torch.Tensor]) -> dict[str, stored.Stored]:
    return {name: stored.of_tensor(tensor) for name, tensor in state.items()}


@settings(max_examples=25, deadline=None)
@given(
    layers=st.integers(1, 3),
    heads=st.integers(1, 3),
    head_dim=st.integers(1, 9),
    context=st.integers(2, 20),
    inner=st.one_of(st.none(), st.integers(1, 40)),
    activation=st.sampled_from(["gelu_new", "gelu", "gelu_pytorch_tanh"]),
    inverse=st.booleans(),
    upcast=st.booleans(),
    scale=st.booleans(),
    tied=st.booleans(),
)
def test_equals_transformers_over_random_configs(
    layers: int,
    heads: int,
    head_dim: int,
    context: int,
    inner: int | None,
    activation: str,
    inverse: bool,
    upcast: bool,
    scale: bool,
    tied: bool,
) -> None:
    config = GPT2Config(
        vocab_size=31,
        n_positions=context,
        n_embd=heads * head_dim,
        n_layer=layers,
        n_head=heads,
        n_inner=inner,
        activation_function=activation,
        scale_attn_by_inverse_layer_idx=inverse,
        reorder_and_upcast_attn=upcast,
        scale_attn_weights=scale,
        tie_word_embeddings=tied,
    )
    model = theirs(config)
    tokens_BT = some_tokens(config, length=context)
    with torch.no_grad():
        expected = model(tokens_BT).logits
    ours = build(config, as_stored(model.state_dict()), "it")
    assert torch.allclose(logits(ours, tokens_BT), expected, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(
    layers=st.integers(1, 3),
    heads=st.integers(1, 3),
    head_dim=st.integers(2, 9),
    context=st.integers(2, 20),
)
def test_the_first_gpt_equals_transformers(
    layers: int, heads: int, head_dim: int, context: int
) -> None:
    config = GPT2Config(
        model_type="openai-gpt",
        vocab_size=31,
        n_positions=context,
        n_embd=heads * head_dim,
        n_layer=layers,
        n_head=heads,
    )
    model = theirs(config)
    tokens_BT = some_tokens(config, length=context)
    with torch.no_grad():
        expected = model(tokens_BT).logits
    ours = build(config, as_stored(model.state_dict()), "it")
    assert torch.allclose(logits(ours, tokens_BT), expected, atol=1e-4)


def test_without_prefix_and_with_masks() -> None:
    state = state_of(CONFIG)
    old = {name.removeprefix("transformer."): tensor for name, tensor in state.items()}
    for layer in range(CONFIG.n_layer):
        old[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 16, 16, dtype=torch.uint8)
        old[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    model = build(CONFIG, as_stored(old), "it")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, state[name])


def test_types() -> None:
    state = as_stored({name: tensor.half() for name, tensor in state_of(CONFIG).items()})
    assert build(CONFIG, state, "it").transformer["wte"].weight.dtype == torch.float16
    model = build(CONFIG, state, "it", dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    mixed = state | as_stored({"transformer.wte.weight": torch.ones(50, 8)})
    assert build(CONFIG, mixed, "it").transformer["wpe"].weight.dtype == torch.float32


def test_a_tied_head_may_be_stored_twice_if_it_is_equal() -> None:
    state = state_of(CONFIG)
    head = {"lm_head.weight": state["transformer.wte.weight"].clone()}
    assert build(CONFIG, as_stored(state | head), "it").config.tie_word_embeddings
    head["lm_head.weight"][3, 3] += 1
    with pytest.raises(ModelError, match=r"ties the head .* lm_head.weight differs"):
        build(CONFIG, as_stored(state | head), "it")


def drop(state: dict[str, torch.Tensor]) -> None:
    del state["transformer.h.1.mlp.c_fc.bias"]


def add(state: dict[str, torch.Tensor]) -> None:
    state["transformer.h.1.mlp.c_gate.weight"] = torch.zeros(2)


def reshape(state: dict[str, torch.Tensor]) -> None:
    state["transformer.h.0.attn.c_attn.weight"] = torch.zeros(24, 8)


def retype(state: dict[str, torch.Tensor]) -> None:
    state["transformer.ln_f.bias"] = torch.zeros(8, dtype=torch.int32)


def double(state: dict[str, torch.Tensor]) -> None:
    state["wte.weight"] = state["transformer.wte.weight"]


def cut(state: dict[str, torch.Tensor]) -> None:
    for name in [name for name in state if ".h.1." in name]:
        del state[name]


def untie(state: dict[str, torch.Tensor]) -> None:
    state["lm_head.weight"] = torch.zeros(9, 9)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (drop, r"lacks transformer\.h\.1\.mlp\.c_fc\.bias\."),
        (add, r"unknown transformer\.h\.1\.mlp\.c_gate\.weight\."),
        (reshape, r"transformer\.h\.0\.attn\.c_attn\.weight \[24, 8\] instead of \[8, 24\]"),
        (retype, r"no floating-point numbers: transformer\.ln_f\.bias \(I32\)"),
        (double, r"'transformer\.wte\.weight' twice"),
        (cut, r"for 1 layers, its config says 2; they differ in: transformer\.h\.1\."),
        (untie, r"ties the head"),
    ],
)
def test_what_does_not_fit_is_named(
    change: Callable[[dict[str, torch.Tensor]], None], says: str
) -> None:
    state = state_of(CONFIG)
    change(state)
    with pytest.raises(ModelError, match=says):
        build(CONFIG, as_stored(state), "it")


def test_an_untied_head_must_be_there() -> None:
    config = dataclasses.replace(CONFIG, tie_word_embeddings=False)
    with pytest.raises(ModelError, match=r"lacks lm_head\.weight"):
        build(config, as_stored(state_of(CONFIG)), "it")


def test_a_safetensors_file_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "CHUNK", 10)
    state = {"a": torch.randn(7, 9), "b": torch.randn(()), "c": torch.zeros(0, 3)}
    save_file(state, tmp_path / "x.safetensors")
    assert load_file(tmp_path / "x.safetensors").keys() == state.keys()
    for name, tensor in stored.safetensors(tmp_path / "x.safetensors").items():
        assert torch.equal(tensor.read(), state[name])
        assert torch.equal(tensor.read(torch.bfloat16), state[name].bfloat16())
        columns = torch.empty(*tensor.shape, 2)[..., 0]
        tensor.fill(columns)
        assert torch.equal(columns, state[name])
