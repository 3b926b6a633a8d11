"""transformers is the judge of every number here."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from penwright.model import (
    GPT2,
    SIZES,
    GPT2Config,
    chunked_cross_entropy,
    init_weights,
)
from penwright.model.attention import attend_causal
from tests.model.conftest import configs, make, tiny, twin

LIGHT = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).norm() / theirs.norm()).item()


@LIGHT
@given(configs(), st.integers(1, 3), st.data())
def test_logits_equal_transformers(config, batch, data):
    model = make(config).eval()
    length = data.draw(st.integers(1, config.n_positions))
    tokens_BT = torch.randint(config.vocab_size, (batch, length))
    with torch.no_grad():
        theirs = twin(model).eval()(tokens_BT).logits
        ours = model.logits(model(tokens_BT))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@LIGHT
@given(configs())
def test_gradients_equal_transformers(config):
    # Theirs refuses to upcast to float32 from the float64 that makes this comparison sharp.
    config = dataclasses.replace(config, reorder_and_upcast_attn=False)
    ours, theirs = make(config).double(), twin(make(config)).double()
    tokens_BT = torch.randint(config.vocab_size, (2, config.n_positions))
    for logits in (ours.logits(ours(tokens_BT)), theirs(tokens_BT).logits):
        F.cross_entropy(logits.flatten(0, 1), tokens_BT.flatten()).backward()
    found = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, found[name].grad, atol=1e-6, rtol=1e-5)


def test_124m_logits_equal_transformers():
    model = GPT2(SIZES["124M"])
    init_weights(model, seed=0)
    assert model.n_parameters == 124_439_808
    tokens_BT = torch.randint(50257, (2, 12))
    with torch.no_grad():
        ours = model.eval().logits(model(tokens_BT))
        theirs = twin(model).eval()(tokens_BT).logits
    assert (ours - theirs).abs().max() < 1e-4


def gradient(model: torch.nn.Module) -> torch.Tensor:
    """All gradients as one vector, in the order of the parameters' names."""
    found = sorted(dict(model.named_parameters()).items())
    return torch.cat([parameter.grad.flatten() for _, parameter in found])


def masked_batches(steps: int):
    """Rows of unequal length, padded on the right; prompts and padding are not learned."""
    for _ in range(steps):
        tokens_BT = torch.randint(7, (4, 25))
        attention_BT = torch.ones_like(tokens_BT)
        labels_BT = tokens_BT.clone()
        for row, (prompt, length) in enumerate(((3, 25), (0, 9), (12, 17), (7, 20))):
            labels_BT[row, :prompt] = -100
            labels_BT[row, length:] = -100
            attention_BT[row, length:] = 0
        yield tokens_BT, attention_BT, labels_BT


@pytest.mark.parametrize("family", ["gpt2", "openai-gpt"])
def test_ten_adamw_steps_equal_transformers(family):
    config = tiny(model_type=family)
    ours, theirs = make(config, spread=0.05), twin(make(config, spread=0.05))
    optimizers = [
        torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
        for model in (ours, theirs)
    ]
    first = None
    for tokens_BT, attention_BT, labels_BT in masked_batches(10):
        targets_N = F.pad(labels_BT[:, 1:], (0, 1), value=-100).flatten()
        our_loss = (
            chunked_cross_entropy(
                ours(tokens_BT).flatten(0, 1), ours.head_weight_VC, targets_N, chunk=11
            )
            / (targets_N != -100).sum()
        )
        their_loss = theirs(tokens_BT, attention_mask=attention_BT, labels=labels_BT).loss
        assert our_loss.item() == pytest.approx(their_loss.item(), rel=1e-4)
        our_loss.backward()
        their_loss.backward()
        if first is None:
            first = our_loss.item()
            assert relative(gradient(ours), gradient(theirs)) < 1e-4
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert our_loss.item() < first


@pytest.mark.parametrize("upcast", [False, True])
def test_bf16_stays_near_float32(upcast):
    model = make(tiny(reorder_and_upcast_attn=upcast), spread=0.1)
    tokens_BT = torch.randint(61, (2, 30))
    exact = model.logits(model(tokens_BT))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = model.logits(model(tokens_BT))
    assert relative(cast.float(), exact) < 0.03
    half = model.bfloat16()
    assert half(tokens_BT).dtype == torch.bfloat16
    assert relative(half.logits(half(tokens_BT)).float(), exact) < 0.05


def test_upcast_attention_computes_in_float32():
    seen = []

    def attend(layer, q_BHTD, *others):
        seen.append(q_BHTD.dtype)
        return attend_causal(layer, q_BHTD, *others)

    for upcast in (True, False):
        model = make(tiny(reorder_and_upcast_attn=upcast, n_layer=1)).bfloat16()
        model(torch.zeros(1, 3, dtype=torch.long), attend=attend)
    assert seen == [torch.float32, torch.bfloat16]


def test_dropout_only_while_training():
    model = make(tiny(embd_pdrop=0.5, attn_pdrop=0.5, resid_pdrop=0.5))
    tokens_BT = torch.randint(61, (2, 10))
    assert not torch.equal(model(tokens_BT), model(tokens_BT))
    assert torch.equal(model.eval()(tokens_BT), model(tokens_BT))
    model.train().set_dropout(0.0)
    assert torch.equal(model(tokens_BT), model(tokens_BT))
    assert model.config.attn_pdrop == 0.5


@pytest.mark.parametrize("rate", ["embd_pdrop", "attn_pdrop", "resid_pdrop"])
def test_each_dropout_rate_counts(rate):
    model = make(tiny(**{rate: 0.5}))
    tokens_BT = torch.randint(61, (2, 10))
    assert not torch.equal(model(tokens_BT), model(tokens_BT))


def test_meta_device_costs_nothing():
    with torch.device("meta"):
        model = GPT2(SIZES["1558M"])
    assert model.n_parameters == 1_557_611_200
    assert all(parameter.is_meta for parameter in model.parameters())
    assert {name for name, _ in model.named_buffers()} == set()


def test_names_and_order_are_hugging_face_s():
    for config in (tiny(), tiny(tie_word_embeddings=False), tiny(model_type="openai-gpt")):
        model = make(config)
        names = [name for name in twin(model).state_dict() if name in model.state_dict()]
        assert sorted(model.state_dict()) == sorted(names)
        assert ("lm_head.weight" in names) == (not config.tie_word_embeddings)


def test_rows_beyond_the_context_are_refused():
    with pytest.raises(ValueError, match="41 tokens"):
        make(tiny())(torch.zeros(1, 41, dtype=torch.long))


def test_init_is_openai_s():
    config = GPT2Config(n_embd=128, n_layer=8, n_head=2, vocab_size=2000)
    model, again, other = GPT2(config), GPT2(config), GPT2(config)
    init_weights(model, seed=3)
    init_weights(again, seed=3)
    init_weights(other, seed=4)
    weights, second, third = (dict(m.named_parameters()) for m in (model, again, other))
    assert all(torch.equal(weights[name], second[name]) for name in weights)
    assert not torch.equal(weights["transformer.wte.weight"], third["transformer.wte.weight"])
    expected = {
        "transformer.wte.weight": 0.02,
        "transformer.wpe.weight": 0.01,
        "transformer.h.3.attn.c_attn.weight": 0.02,
        "transformer.h.3.mlp.c_fc.weight": 0.02,
        "transformer.h.3.mlp.c_proj.weight": 0.02 / math.sqrt(16),
        "transformer.h.3.attn.c_proj.weight": 0.02 / math.sqrt(16),
    }
    for name, deviation in expected.items():
        assert weights[name].std().item() == pytest.approx(deviation, rel=0.05)
        assert abs(weights[name].mean().item()) < 0.1 * deviation
    assert (weights["transformer.h.0.ln_1.weight"] == 1).all()
    assert (weights["transformer.ln_f.weight"] == 1).all()
    assert (weights["transformer.h.0.ln_1.bias"] == 0).all()
    assert (weights["transformer.h.0.mlp.c_fc.bias"] == 0).all()
