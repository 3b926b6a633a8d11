from __future__ import annotations

import re
from typing import get_args

import pytest
import torch

from penwright.config import OptimizerConfig, OptimizerName
from penwright.errors import RunError, UsageError
from penwright.train.optimizer import (
    OPTIMIZERS,
    freeze,
    load_state_tensors,
    parameter_groups,
    state_tensors,
)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_weight_decay_touches_matrices_only(make_model, kind):
    model = make_model()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed, spared = (
        {names[id(parameter)] for parameter in group["params"]}
        for group in parameter_groups(model.parameters(), 0.1)
    )
    assert decayed | spared == set(names.values())
    assert all(name.endswith("weight") and ".ln_" not in name for name in decayed)
    assert all(name.endswith("bias") or ".ln_" in name for name in spared)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    config = OptimizerConfig(weight_decay=0.1)
    optimizer = OPTIMIZERS[kind].build(dict(model.named_parameters()), config, 0)
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        moved = not torch.equal(parameter, before[name])
        assert moved == (name in decayed and bool(before[name].any())), name


def test_an_optimizer_that_does_not_fit_the_model_is_refused(make_model):
    small, large = make_model(), make_model(n_inner=64)
    kind = OPTIMIZERS["adamw"]
    optimizer = kind.build(dict(small.named_parameters()), OptimizerConfig(), 0)
    for parameter in small.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    tensors = state_tensors(dict(small.named_parameters()), optimizer)
    assert "transformer.h.0.mlp.c_fc.weight:exp_avg" in tensors
    other = kind.build(dict(large.named_parameters()), OptimizerConfig(), 0)
    with pytest.raises(RunError, match=r"c_fc"):
        load_state_tensors(kind, dict(large.named_parameters()), other, tensors)
    nobody = {"nobody:exp_avg": torch.zeros(1)}
    with pytest.raises(RunError, match="nobody"):
        load_state_tensors(kind, dict(small.named_parameters()), optimizer, nobody)


def test_frozen_parts_are_not_trained(make_model):
    model = make_model()
    freeze(model, layers_only=True, first_layers=1)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if ".h.1." in name}
    trainable = [p for p in model.parameters() if p.requires_grad]
    groups = parameter_groups(trainable, 0.1)
    assert sum(len(group["params"]) for group in groups) == len(trained)
    with pytest.raises(UsageError, match="Nothing is left to train"):
        freeze(model, layers_only=True, first_layers=2)


RATES = {"sgd": 1.0, "adafactor": 3e-1}


def test_every_name_of_an_optimizer_has_an_entry():
    assert set(OPTIMIZERS) == set(get_args(OptimizerName))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_learns(make_trainer, name):
    options = {"optimizer": name, "learning_rate": RATES.get(name, 1e-2)}
    trainer = make_trainer("one", steps=20, schedule="constant", **options)
    trainer.train()
    losses = [record["loss"] for record in trainer.run.metrics() if record["kind"] == "step"]
    assert losses[-1] < losses[0] - 0.2


def test_muon_takes_the_layers_matrices_and_adamw_the_rest(make_model):
    """Step by step what torch's Muon and torch's AdamW do, each to its own."""
    model = make_model()
    trained = dict(model.named_parameters())
    inner = {name for name in trained if re.search(r"\.(c_attn|c_proj|c_fc)\.weight$", name)}
    assert len(inner) == 8
    copies = {name: p.detach().clone().requires_grad_() for name, p in trained.items()}
    settings = {"betas": (0.8, 0.95), "eps": 1e-6, "lr": 1e-2}
    references = [
        torch.optim.Muon(
            [copies[name] for name in sorted(inner)],
            lr=1e-2,
            weight_decay=0.1,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(
            [p for n, p in copies.items() if n not in inner and p.ndim == 2],
            weight_decay=0.1,
            **settings,
        ),
        torch.optim.AdamW([p for p in copies.values() if p.ndim < 2], weight_decay=0, **settings),
    ]
    config = OptimizerConfig(weight_decay=0.1, beta1=0.8, beta2=0.95, eps=1e-6)
    optimizer = OPTIMIZERS["muon"].build(trained, config, 0)
    for group in optimizer.param_groups:
        group["lr"] = 1e-2
    chance = torch.Generator().manual_seed(0)
    for _ in range(4):
        for name, parameter in trained.items():
            parameter.grad = torch.randn(parameter.shape, generator=chance)
            copies[name].grad = parameter.grad.clone()
        for each in (optimizer, *references):
            each.step()
    for name, parameter in trained.items():
        torch.testing.assert_close(parameter, copies[name], rtol=1e-5, atol=1e-7)
        assert set(optimizer.state[parameter]) == (
            {"momentum_buffer"} if name in inner else {"step", "exp_avg", "exp_avg_sq"}
        )
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in trained.values())


def test_muon_where_no_layer_is_trained_is_adamw(make_model):
    model = make_model()
    freeze(model, layers_only=False, first_layers=2)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = OPTIMIZERS["muon"].build(trained, OptimizerConfig(), 0)
    assert isinstance(optimizer, torch.optim.AdamW)


@pytest.mark.parametrize(
    ("method", "name"), [("lora", "muon"), ("lean", "muon"), ("lean", "sgd"), ("lean", "adafactor")]
)
def test_a_method_that_cannot_use_an_optimizer_says_so(make_trainer, method, name):
    with pytest.raises(UsageError, match=f"{method} cannot use the optimizer {name}"):
        make_trainer("one", optimizer=name, method=method, precision="auto")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_table_knows_every_tensor_and_byte_of_a_state(make_model, name):
    """What one step leaves behind fits by the table, in shape and about in size."""
    kind, model = OPTIMIZERS[name], make_model(n_inner=1024)
    trained = {n: p for n, p in model.named_parameters() if n.endswith("weight") and p.ndim == 2}
    optimizer = kind.build(trained, OptimizerConfig(), 0)
    for parameter in trained.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    tensors = state_tensors(trained, optimizer)
    load_state_tensors(kind, trained, kind.build(trained, OptimizerConfig(), 0), tensors)
    held = sum(value.nbytes for value in tensors.values())
    weights, matrices = (
        sum(p.numel() for n, p in trained.items() if part in n) for part in ("", ".h.")
    )
    slack = 0.15 * weights if name == "adafactor" else 0.01 * weights
    assert held == pytest.approx(kind.state_of(weights, matrices), abs=slack + 2000)
