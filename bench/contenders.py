"""What takes part in train.py, memory.py and gpu_train.py: one training step as a function."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor, nn

import penwright
from penwright.config import LoraConfig, OptimizerConfig, Precision
from penwright.model import GPT2, SIZES, GPT2Config, init_weights
from penwright.tokens import Batch
from penwright.train.calibrate import choose_kernels
from penwright.train.optimizer import Schedule
from penwright.train.plan import TrainPlan


def make(
    who: str, *, size: str, batch: int, length: int, micro: int, device: str, documents: int = 1
) -> Callable[[], Tensor]:
    """A function that takes one step and returns its loss, a scalar on the device.

    Weights and tokens are always alike, but for the weights of the plain peer. A row of ours is
    packed with `documents` documents.
    """
    if who.startswith("products"):
        return _products(who, size, batch, length, micro)
    if who == "peer-plain":
        return _plain(size, batch, length, micro, device)
    if who.startswith("peer"):
        return _transformers(who, size, batch, length, micro, device)
    return _ours(who, size, batch, length, micro, device, documents)


def config_of(size: str) -> GPT2Config:
    """The config of a size of GPT-2, or of the bundled model `base`."""
    if size in SIZES:
        return SIZES[size]
    kept = Path(penwright.__file__).parent / "assets" / size / "config.json"
    return GPT2Config.from_dict(json.loads(kept.read_text(encoding="utf-8")))


def _tokens(vocabulary: int, batch: int, length: int) -> torch.Tensor:
    # A few hundred words in a random order: something that ten steps learn something of.
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(0, 400, (batch, length + 1), generator=generator)
    return words * min(100, vocabulary // 400)


def batch_of(config: GPT2Config, batch: int, length: int, documents: int = 1) -> Batch:
    """A batch of rows that are packed with so many documents each."""
    tokens_BT = _tokens(config.vocab_size, batch, length)
    return Batch(
        tokens_BT[:, :-1].contiguous(),
        tokens_BT[:, 1:].contiguous(),
        (torch.arange(length) % -(-length // documents)).repeat(batch, 1),
        (torch.arange(length) // -(-length // documents)).repeat(batch, 1).int(),
        batch * length,
    )


def _products(who: str, size: str, batch: int, length: int, micro: int) -> Callable[[], Tensor]:
    """The matrix products of our step, alone: same shapes, types, chunks and implementation.

    As in the step, what is read once lies in a buffer, and what is kept is allocated.
    """
    from penwright.model.loss import SLICE, split_rows
    from penwright.native.kernels import open_kernels

    config = config_of(size)
    plan = plan_of(who.replace("products", "full"), batch, length, config.n_embd)
    dtype = torch.float32 if plan.precision == "fp32" else torch.bfloat16
    kernels = open_kernels(plan.kernels)
    multiply = torch.mm if kernels is None else kernels.multiply
    width, inner, vocabulary = config.n_embd, config.inner, config.vocab_size
    shapes = [(width, 3 * width), (width, width), (width, inner), (inner, width)]
    layers = [[torch.randn(s).to(dtype) for s in shapes] for _ in range(config.n_layer)]
    rows = {n: torch.randn(micro * length, n).to(dtype) for shape in shapes for n in shape}
    head_VC = torch.randn(vocabulary, width).to(dtype)
    chunks = list(split_rows(micro * length, vocabulary, head_VC.device))
    logits_nV = rows[width].new_empty(chunks[0].stop, vocabulary)
    head_grad_vC = head_VC[:SLICE].clone()
    out = {shape: torch.empty(micro * length, shape[1]).to(dtype) for shape in shapes}
    into = {shape: torch.empty(micro * length, shape[0]).to(dtype) for shape in shapes}

    def step() -> Tensor:
        for _ in range(batch // micro):
            for weight in (weight for layer in layers for weight in layer):
                x, grad = rows[weight.shape[0]], rows[weight.shape[1]]
                shape = (weight.shape[0], weight.shape[1])
                multiply(x, weight, out=out[shape] if shape[1] == width else None)
                multiply(grad, weight.T, out=into[shape])
                multiply(x.T, grad)
            for part in chunks:
                hidden_nC = rows[width][part]
                grads_nV = multiply(hidden_nC, head_VC.T, out=logits_nV[: len(hidden_nC)])
                multiply(grads_nV, head_VC)
                for part_nv in grads_nV.split(SLICE, dim=1):
                    multiply(part_nv.T, hidden_nC, out=head_grad_vC[: part_nv.shape[1]])
        return torch.ones(())

    return step


def _transformers(
    who: str, size: str, batch: int, length: int, micro: int, device: str
) -> Callable[[], Tensor]:
    import transformers

    config = transformers.GPT2Config(
        **config_of(size).to_dict() | {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    )
    model = transformers.GPT2LMHeadModel(config)
    ours = GPT2(config_of(size))
    init_weights(ours, seed=0)
    # Its head is the embedding, and has a name there only.
    loaded = model.load_state_dict(ours.state_dict(), strict=False)
    assert loaded == (["lm_head.weight"], []), loaded
    del ours
    model.to(device).train()

    def loss_of(inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
        # With shift_labels it takes the targets as they are.
        return model(input_ids=inputs_BT, labels=targets_BT, shift_labels=targets_BT).loss

    tokens_BT = _tokens(config.vocab_size, batch, length)
    return _peer_step(model, loss_of, tokens_BT, micro, device, who == "peer-bf16")


def _plain(size: str, batch: int, length: int, micro: int, device: str) -> Callable[[], Tensor]:
    from plain_gpt2 import PlainGPT2

    torch.manual_seed(0)
    model = PlainGPT2(SIZES[size]).to(device)
    loss_of = torch.compile(model)
    tokens_BT = _tokens(SIZES[size].vocab_size, batch, length)
    return _peer_step(model, loss_of, tokens_BT, micro, device, in_bf16=True)


def _peer_step(
    model: nn.Module,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    tokens_BT: Tensor,
    micro: int,
    device: str,
    in_bf16: bool,
) -> Callable[[], Tensor]:
    """AdamW as torch has it: fused on a GPU, and as it comes on a CPU."""
    fused = True if device == "cuda" else None
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=fused)
    pairs = [
        (rows_BT[:, :-1].contiguous().to(device), rows_BT[:, 1:].contiguous().to(device))
        for rows_BT in tokens_BT.split(micro)
    ]

    def step() -> Tensor:
        total = torch.zeros((), device=device)
        for inputs_BT, targets_BT in pairs:
            with torch.autocast(device, dtype=torch.bfloat16, enabled=in_bf16):
                loss = loss_of(inputs_BT, targets_BT) * (len(inputs_BT) / len(tokens_BT))
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return total

    return step


def _ours(
    who: str, size: str, batch: int, length: int, micro: int, device_name: str, documents: int
) -> Callable[[], Tensor]:
    from penwright.tokens import split_micro
    from penwright.train.methods import make_method
    from penwright.train.process import limit_malloc
    from penwright.train.replica import batch_loss

    device, config = torch.device(device_name), config_of(size)
    plan = replace(
        plan_of(who, batch, length, config.n_embd, device_name),
        micro_batch=micro,
        compile=device.type == "cuda",
    )
    limit_malloc()
    model = GPT2(config)
    init_weights(model, seed=0)
    model.to(device)
    model.set_dropout(0.0)
    model.train()
    method = make_method(model, plan)
    for group in method.optimizer.param_groups:
        group["lr"] = 1e-4
    scaler = torch.amp.GradScaler(device_name, enabled=False)
    whole = batch_of(config, batch, length, documents)
    norm = torch.ones((), device=device) if method.waits_for_norm else None

    def step() -> Tensor:
        nonlocal norm
        total = torch.zeros((), device=device)
        micros = split_micro(whole, plan.micro_batch)
        for index, micro in enumerate(micros):
            method.begin(last=index + 1 == len(micros), norm=norm)
            loss = batch_loss(model, micro, device, plan.precision)
            (loss / whole.n_learned).backward()
            total += loss.detach()
        norm = method.update(scaler, 1.0)
        return total / whole.n_learned

    return step


def plan_of(who: str, batch: int, length: int, width: int = 768, device: str = "cpu") -> TrainPlan:
    """A plan of method `who`: full, full-fp32, lean or lora."""
    method = who.partition("-")[0]
    precision: Precision = "fp32" if who.endswith("fp32") else "bf16"
    return TrainPlan(
        steps=100,
        steps_per_epoch=100,
        batch_size=batch,
        micro_batch=batch,
        max_length=length,
        shape="windows",
        precision=precision,
        kernels=choose_kernels(torch.device(device), precision, width, None),
        schedule=Schedule(schedule="constant", learning_rate=1e-4),
        method=cast(Literal["full", "lean", "lora"], method),
        recompute=method == "lean",
        optim=OptimizerConfig(),
        lora=LoraConfig(),
        seed=0,
        evaluate_every=0,
        evaluate_tokens=0,
        patience=0,
        save_every=0,
        save_seconds=0.0,
        keep=1,
        sample_every=0,
        sample_tokens=0,
    )
