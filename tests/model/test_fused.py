"""A fused block is the block: the same loss and gradients, bit for bit, and less kept for them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.model import GPT2, SIZES, chunked_cross_entropy, documents, init_weights
from penwright.model.fused import fuse, unfuse
from penwright.model.gpt2 import Conv1D
from penwright.train.methods import recompute


def make_model(layers=2, width=48, *, exact_gelu=False):
    activation = "gelu" if exact_gelu else "gelu_new"
    config = dataclasses.replace(
        SIZES["124M"],
        n_layer=layers,
        n_embd=width,
        n_head=4,
        vocab_size=97,
        activation_function=activation,
    )
    model = GPT2(config)
    init_weights(model, seed=1)
    model.set_dropout(0.0)
    for module in model.blocks.modules():
        if isinstance(module, Conv1D):
            module.weight.data = module.weight.data.bfloat16()
    return model.train()


def take_gradients(model, documents_BT, kept=None):
    """The loss and every gradient; `kept` collects the sizes of what autograd keeps."""
    model.zero_grad()
    generator = torch.Generator().manual_seed(3)
    tokens_BT = torch.randint(0, 97, documents_BT.shape, generator=generator)
    targets_BT = torch.randint(0, 97, documents_BT.shape, generator=generator)
    found = {} if kept is None else kept

    def note(tensor):
        found[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with torch.autocast("cpu", dtype=torch.bfloat16), hooks:
        hidden_BTC = model(tokens_BT, None, documents(documents_BT))
        loss = chunked_cross_entropy(
            hidden_BTC.flatten(0, 1), model.head_weight_VC, targets_BT.flatten()
        )
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in model.parameters())]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    rows=st.integers(1, 3),
    exact_gelu=st.booleans(),
    again=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_the_numbers_are_those_of_the_block(lengths, rows, exact_gelu, again):
    model = make_model(exact_gelu=exact_gelu)
    documents_BT = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    documents_BT = documents_BT.repeat(rows, 1)
    plain = take_gradients(model, documents_BT)
    fuse(model)
    if again:
        recompute(model)
    assert same(take_gradients(model, documents_BT), plain)
    unfuse(model)
    assert same(take_gradients(model, documents_BT), plain)


def test_less_is_kept_for_the_backward_pass():
    model, documents_BT = make_model(width=96), torch.zeros(2, 64, dtype=torch.int32)
    plain, fused = {}, {}
    take_gradients(model, documents_BT, plain)
    fuse(model)
    take_gradients(model, documents_BT, fused)
    weights = {p.data_ptr() for p in model.parameters()}
    sums = [sum(n for at, n in kept.items() if at not in weights) for kept in (plain, fused)]
    assert sums[1] < 0.7 * sums[0]


@pytest.mark.parametrize("change", ["dropout", "float32 matrices", "no autocast"])
def test_what_cannot_be_fused_runs_as_it_did(change):
    model, documents_BT = make_model(), torch.zeros(2, 8, dtype=torch.int32)
    if change == "dropout":
        model.set_dropout(0.5)
    else:
        model.float()
    enabled = change != "no autocast"
    results = []
    for prepare in (unfuse, fuse):
        prepare(model)
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            results.append(model(torch.arange(16).view(2, 8), None, documents(documents_BT)))
    assert torch.equal(*results)
