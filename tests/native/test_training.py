"""Training with the kernels is training with torch: losses, gradients and updates."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.model import GPT2, SIZES, chunked_cross_entropy, documents, init_weights
from penwright.model.fused import unfuse
from penwright.model.gpt2 import Conv1D
from penwright.native.kernels import Kernels, Trained, Weights
from penwright.native.training import use_kernels
from tests.native.conftest import LIBRARIES, every_variant, needs_library

pytestmark = needs_library


@st.composite
def cases(draw):
    """A model of two layers, and rows of documents with padding."""
    heads = draw(st.integers(1, 3))
    config = dataclasses.replace(
        SIZES["124M"],
        n_layer=2,
        n_head=heads,
        n_embd=heads * draw(st.sampled_from([4, 7, 16, 40])),
        vocab_size=draw(st.sampled_from([3, 67])),
        activation_function=draw(st.sampled_from(["gelu", "gelu_new"])),
        scale_attn_by_inverse_layer_idx=draw(st.booleans()),
        n_inner=draw(st.sampled_from([None, 9])),
    )
    length = draw(st.integers(2, 70))
    cuts = draw(st.lists(st.lists(st.integers(1, length), max_size=3), min_size=1, max_size=3))
    documents_BT = torch.tensor([[sum(t >= c for c in row) for t in range(length)] for row in cuts])
    return config, documents_BT.int(), draw(st.sampled_from(["native", "onednn"]))


def random_model(config, *, narrow):
    model = GPT2(config)
    init_weights(model, seed=1)
    model.set_dropout(0.0)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    for module in model.blocks.modules():
        if narrow and isinstance(module, Conv1D):
            module.weight.data = module.weight.data.bfloat16()
    return model.train()


def take_gradients(model, documents_BT, *, narrow):
    model.zero_grad()
    vocabulary = model.config.vocab_size
    generator = torch.Generator().manual_seed(3)
    tokens_BT = torch.randint(0, vocabulary, documents_BT.shape, generator=generator)
    targets_BT = torch.randint(0, vocabulary, documents_BT.shape, generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=narrow):
        hidden_BTC = model(tokens_BT, None, documents(documents_BT))
        loss = chunked_cross_entropy(
            *(hidden_BTC.flatten(0, 1), model.head_weight_VC, targets_BT.flatten()),
            chunk=40,
            kernels=model.kernels,
        )
    loss.backward()
    return float(loss.detach()), {name: p.grad.float() for name, p in model.named_parameters()}


def both(model, kernels, documents_BT, *, narrow=False):
    """Return loss and gradients of torch, then of the kernels."""
    unfuse(model)
    model.kernels = None
    plain = take_gradients(model, documents_BT, narrow=narrow)
    use_kernels(model, kernels)
    model.kernels = kernels
    return plain, take_gradients(model, documents_BT, narrow=narrow)


def furthest(one, other):
    """Return the largest relative distance of two sets of gradients, by tensor."""
    biggest = max(float(g.norm()) for g in one.values())
    return max(
        float((one[name] - other[name]).norm() / (one[name].norm() + 1e-3 * biggest))
        for name in one
    )


@every_variant
@settings(max_examples=12, deadline=None)
@given(cases())
def test_gradients_are_those_of_torch_in_float32(variant, case):
    config, documents_BT, products = case
    kernels = Kernels(LIBRARIES[variant], 2, products=products)
    plain, native = both(random_model(config, narrow=False), kernels, documents_BT)
    assert native[0] == pytest.approx(plain[0], rel=1e-6)
    assert furthest(plain[1], native[1]) < 1e-5


@every_variant
@settings(max_examples=10, deadline=None)
@given(cases())
def test_gradients_in_bfloat16_are_as_near_to_float32_as_those_of_torch(variant, case):
    config, documents_BT, _ = case
    kernels = Kernels(LIBRARIES[variant], 2)
    model = random_model(config, narrow=True)
    plain, native = both(model, kernels, documents_BT, narrow=True)
    for module in model.blocks.modules():
        if isinstance(module, Conv1D):
            module.weight.data = module.weight.data.float()
    unfuse(model)
    model.kernels = None
    _, exact = take_gradients(model, documents_BT, narrow=False)
    assert furthest(exact, native[1]) < 0.01 + 1.5 * furthest(exact, plain[1])


@every_variant
@pytest.mark.parametrize("narrow", [False, True])
def test_results_do_not_depend_on_the_threads(variant, narrow):
    config = dataclasses.replace(SIZES["124M"], n_layer=2, n_head=3, n_embd=48, vocab_size=67)
    model = random_model(config, narrow=narrow)
    documents_BT = (torch.arange(130) // 50).repeat(3, 1).int()
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # torch's products may depend on them
    try:
        found = [
            both(model, Kernels(LIBRARIES[variant], threads), documents_BT, narrow=narrow)[1]
            for threads in (1, 2, 3)
        ]
    finally:
        torch.set_num_threads(before)
    for loss, gradients in found[1:]:
        assert loss == found[0][0]
        assert all(torch.equal(gradients[name], g) for name, g in found[0][1].items())


def test_dropout_and_hooks_leave_a_block_to_torch():
    config = dataclasses.replace(SIZES["124M"], n_layer=1, n_head=2, n_embd=8, vocab_size=11)
    model = random_model(config, narrow=False)
    model.blocks[0].attn.c_proj.register_forward_hook(lambda _module, _inputs, y: y * 2)
    plain, native = both(model, Kernels(LIBRARIES["generic"], 1), torch.zeros(2, 5).int())
    assert furthest(plain[1], native[1]) < 1e-5
    model.set_dropout(0.5)
    kernels = Kernels(LIBRARIES["generic"], 1)
    torch.manual_seed(0)
    use_kernels(model, kernels)
    first = take_gradients(model, torch.zeros(2, 5).int(), narrow=False)[0]
    assert first != take_gradients(model, torch.zeros(2, 5).int(), narrow=False)[0]


@every_variant
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_grads_of_the_loss(variant, dtype):
    kernels = Kernels(LIBRARIES[variant], 2)
    for vocabulary in (1, 5, 64, 1003):
        logits_NV = (torch.randn(7, vocabulary) * 4 - 100).to(dtype)
        targets_N = torch.randint(0, vocabulary, (7,))
        targets_N[2] = -100
        logp_NV = logits_NV.double().log_softmax(1)
        grads_NV = logp_NV.exp()
        grads_NV[torch.arange(7), targets_N.clamp(min=0)] -= 1
        grads_NV[2] = 0
        logp_N = kernels.loss_grads(logits_NV, targets_N)
        wanted_N = logp_NV.gather(1, targets_N.clamp(min=0)[:, None])[:, 0]
        wanted_N[2] = 0
        assert torch.allclose(logp_N.double(), wanted_N, rtol=1e-5, atol=2e-6)
        near = 1e-6 if dtype == torch.float32 else 2**-8
        assert torch.allclose(logits_NV.double(), grads_NV, rtol=near, atol=1e-6)


@every_variant
def test_updates_are_those_of_torchs_adamw(variant):
    kernels = Kernels(LIBRARIES[variant], 2)
    weights = [torch.randn(shape) for shape in ((1,), (300, 300), (7, 11), (1 << 15,))]
    ours = [w.clone() for w in weights]
    means, squares = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    copy = torch.empty_like(weights[1], dtype=torch.bfloat16)
    theirs = [torch.nn.Parameter(w) for w in weights]
    optimizer = torch.optim.AdamW(theirs, lr=1e-2, weight_decay=0.1, fused=True)
    for step in (1, 2, 3):
        gradients = [torch.randn_like(w) for w in weights]
        gradients[1] = gradients[1].bfloat16()
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.float() * 0.5
        optimizer.step()
        trained = [
            Trained(
                w, g, m, s, copy if w is ours[1] else None,
                decay=1 - 1e-3, rate=1e-2 / (1 - 0.9**step), root=(1 - 0.999**step) ** 0.5,
            )
            for w, g, m, s in zip(ours, gradients, means, squares, strict=True)
        ]  # fmt: skip
        kernels.adamw(Weights(trained), 0.5, (0.9, 0.999), 1e-8)
        total = sum(float((g.double() ** 2).sum()) for g in gradients)
        assert kernels.sum_squares(gradients) == pytest.approx(total, rel=1e-5)
    for w, parameter in zip(ours, theirs, strict=True):
        assert torch.allclose(w, parameter.detach(), rtol=1e-5, atol=1e-6)
    assert torch.equal(copy, ours[1].bfloat16())


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70), st.integers(0, 3))
def test_products_of_onednn_with_transposed_matrices(n, k, m, margin):
    kernels = Kernels(LIBRARIES["generic"], 2, products="onednn")
    a, b = torch.randn(k, n + margin)[:, margin:].T, torch.randn(k, m)
    assert torch.allclose(kernels.multiply(a, b), a @ b, atol=1e-4)
