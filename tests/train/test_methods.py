"""What a method does to the weights, against torch's own optimizer over float32 ones."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def make_full(make_trainer):
    """A method over a tiny model, with its plan."""

    def make(**options):
        name = "-".join(f"{key}-{value}" for key, value in options.items())
        trainer = make_trainer(name, **options)
        return trainer.method, trainer.plan

    return make


@pytest.mark.parametrize("clip", [0.0, 0.05, 100.0])
def test_an_update_in_bfloat16_is_the_optimizers_step_on_the_masters(make_full, clip):
    """Every weight takes it once: those held narrow and those that are not."""
    method, _ = make_full(precision="bf16", micro_batch=4, batch_size=4)
    peers = {name: torch.nn.Parameter(p.detach().clone()) for name, p in method.trained.items()}
    groups = [
        {"params": [p for p in peers.values() if (p.ndim >= 2) is matrices], "weight_decay": decay}
        for matrices, decay in ((True, method.plan.optim.weight_decay), (False, 0.0))
    ]
    beta = method.plan.optim.beta1, method.plan.optim.beta2
    peer = torch.optim.AdamW(groups, lr=1e-3, betas=beta, eps=method.plan.optim.eps)
    for group in method.optimizer.param_groups:
        group["lr"] = 1e-3
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        method.begin(last=True)
        for name, parameter in method.model.named_parameters():
            grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
            parameter.backward(grad)
            peers[name].grad = grad.float()
        norm = method.update(torch.amp.GradScaler("cpu", enabled=False), clip)
        peer_norm = torch.nn.utils.clip_grad_norm_(peers.values(), clip or float("inf"))
        peer.step()
        assert float(norm) == pytest.approx(float(peer_norm), rel=1e-5)
        for name, parameter in method.trained.items():
            torch.testing.assert_close(parameter, peers[name], rtol=1e-5, atol=1e-6)
    narrow = dict(method.model.named_parameters())
    for name, master in method.masters.items():
        assert torch.equal(narrow[name], master.bfloat16())
    assert all(p.grad is None for p in (*method.trained.values(), *narrow.values()))


def test_lean_clips_by_the_norm_of_the_step_before_and_measures_the_first(make_full):
    method, plan = make_full(method="lean", precision="bf16", clip=0.5)
    free, _ = make_full(method="lean", precision="bf16", clip=0.0)
    for group in (*method.optimizer.param_groups, *free.optimizer.param_groups):
        group["lr"] = 1e-3
    scaler = torch.amp.GradScaler("cpu", enabled=False)

    def give(one, norm, share):
        one.begin(last=True, norm=norm)
        for name, parameter in one.model.named_parameters():
            generator = torch.Generator().manual_seed(len(name))
            grad = torch.randn(parameter.shape, generator=generator)
            parameter.backward((grad * share).to(parameter.dtype))
        return one.update(scaler, plan.optim.clip)

    before = {name: value.clone() for name, value in method.tensors().items()}
    norm = give(method, None, 1.0)
    assert norm > 2 * plan.optim.clip
    assert all(torch.equal(value, before[name]) for name, value in method.tensors().items())
    again = give(method, norm, 1.0)
    assert again == norm
    give(free, None, plan.optim.clip / norm)
    for name, value in method.tensors().items():
        assert not torch.equal(value, before[name])
        # The share is applied before or after a gradient is rounded to bfloat16.
        torch.testing.assert_close(value, free.tensors()[name], rtol=2e-2, atol=2e-4)


def test_matrices_that_widen_together_take_the_same_step(make_full):
    """On a GPU some do, since each call of the optimizer costs time there."""
    results = []
    for size in (1, 5000, 1 << 26):
        method, _ = make_full(precision="bf16", micro_batch=4, batch_size=4, seed=len(results))
        method.at_once = size
        for group in method.optimizer.param_groups:
            group["lr"] = 1e-3
        generator = torch.Generator().manual_seed(0)
        for _ in range(2):
            method.begin(last=True)
            for parameter in method.model.parameters():
                grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
                parameter.backward(grad)
            method.update(torch.amp.GradScaler("cpu", enabled=False), 0.5)
        results.append(method.tensors())
    for other in results[1:]:
        assert all(torch.equal(value, other[name]) for name, value in results[0].items())


def test_lora_s_dropout_applies_in_training_only(make_trainer):
    trainer = make_trainer("run", steps=2, method="lora", lora_dropout=0.5, learning_rate=0.1)
    trainer.train()
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        trainer.model.eval()
        one, other = trainer.model(tokens), trainer.model(tokens)
        trainer.model.train()
        dropped = trainer.model(tokens)
    assert torch.equal(one, other)
    assert not torch.equal(one, dropped)
