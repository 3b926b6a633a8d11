"""A GPU's own paths in training, against the CPU's: they run where there is a CUDA device."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from penwright.model.attention import FlashDocuments, attend_causal
from penwright.tokens import split_micro
from penwright.train.adamw8bit import AdamW8bit, find_kernels
from penwright.train.compiled import compile_blocks
from penwright.train.replica import batch_loss
from tests.train.test_late import figures

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("default"),  # compilers meet some of their own
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]
needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed"
)
CPU, GPU = torch.device("cpu"), torch.device("cuda")
NEAR = {"fp32": 1e-3, "bf16": 3e-2}


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.cpu().float() - expected.cpu().float()).norm() / expected.cpu().norm())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=needs_triton)])
def test_hidden_states_and_gradients(make_trainer, make_model, precision, compiled):
    """Of packed documents, which in bf16 go through flash attention."""
    trainer = make_trainer("run", steps=1, batch_size=4, shape="packed", max_length=32)
    batch = split_micro(trainer.batches.batch(0), 4)[0]
    gradients, losses = [], []
    for device in (CPU, GPU):
        model = make_model().to(device).train()
        model.set_dropout(0.0)
        if compiled and device == GPU:
            compile_blocks(model)
        loss = batch_loss(model, batch, device, "fp32" if device == CPU else precision)
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append(torch.cat([p.grad.flatten().cpu() for p in model.parameters()]))
    assert losses[1] == pytest.approx(losses[0], rel=NEAR[precision])
    assert relative(gradients[1], gradients[0]) < NEAR[precision]


def test_flash_attention_is_found_in_half_precision():
    from penwright.model import documents

    documents_BT = torch.tensor([[0, 0, 1, 1, -1]], dtype=torch.int32)
    assert documents(documents_BT[:, :2], GPU) is attend_causal
    with torch.autocast("cuda", dtype=torch.bfloat16):
        attend = documents(documents_BT, GPU)
    if torch.cuda.get_device_capability() >= (8, 0):
        assert isinstance(attend, FlashDocuments)
        assert attend.offsets_N.tolist() == [0, 2, 4, 5]


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "fp32"},
        {"precision": "bf16"},
        {"precision": "bf16", "recompute": True, "micro_batch": 2},
        {"method": "lean", "precision": "bf16"},
        {"method": "lora", "precision": "bf16", "quantize": True},
        pytest.param({"precision": "bf16", "compile": "on"}, marks=needs_triton),
        pytest.param({"method": "lean", "precision": "bf16", "compile": "on"}, marks=needs_triton),
    ],
    ids=str,
)
def test_a_run_learns_as_on_a_cpu(make_trainer, options):
    options = {"steps": 12, "batch_size": 4, "learning_rate": 3e-3, "evaluate_every": 5} | options
    here = make_trainer("cpu", **(options | {"compile": "off"}))
    here.train()
    there = make_trainer("gpu", device=GPU, **options)
    assert there.late == 1
    there.train()
    assert there.plan.compile is (options.get("compile") == "on"), "or it went on without"
    for a, b in zip(here.run.metrics(), there.run.metrics(), strict=True):
        assert b["loss"] == pytest.approx(a["loss"], rel=NEAR[options["precision"]])


def test_a_run_read_late_is_the_run_read_at_once(make_trainer):
    runs = []
    for late in (0, 1):
        trainer = make_trainer(f"late-{late}", device=GPU, steps=8, evaluate_every=3)
        trainer.late = late
        trainer.train()
        runs.append(figures(trainer.run))
    for once, later in zip(*runs, strict=True):
        assert once["loss"] == pytest.approx(later["loss"], rel=1e-4)


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.parametrize("method", ["full", "lean", "lora"])
def test_nothing_within_a_step_waits_for_the_device(make_trainer, method):
    options = {"method": method, "precision": "bf16", "device": GPU, "steps": 9}
    trainer = make_trainer("run", **options)
    for step in range(2):  # buffers and the optimizer's state are made in the first
        trainer.queued.append(trainer.step(trainer.batches.batch(step)))
    batch = trainer.batches.batch(2)
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.queued.append(trainer.step(batch))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    trainer.read_steps()
    assert not trainer.queued
    assert trainer.state.step == 3


@needs_triton
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_eight_bit_adamw_on_both(dtype):
    """Its kernels are held against torch more closely in test_adamw8bit_triton.py."""
    assert find_kernels() is not None
    start, results = torch.randn(300, 700).to(dtype), []
    for device in (CPU, GPU):
        weight = torch.nn.Parameter(start.to(device))
        optimizer = AdamW8bit([{"params": [weight]}], betas=(0.9, 0.999), eps=1e-8, seed=1)
        optimizer.param_groups[0]["lr"] = 1e-2
        generator = torch.Generator().manual_seed(2)
        for _ in range(3):
            weight.grad = torch.randn(start.shape, generator=generator).to(dtype).to(device)
            optimizer.step()
        results.append((weight.detach().cpu(), optimizer.state[weight]))
    (ours, state), (theirs, their_state) = results
    torch.testing.assert_close(theirs, ours, atol=2e-2, rtol=1e-2)
    for name in ("mean", "square"):
        away = (state[name].int() - their_state[name].cpu().int()).abs()
        assert (away > 1).float().mean() < 1e-3
