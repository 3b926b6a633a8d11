"""What takes part in bench/train.py and bench/memory.py: one training step as a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import torch

from penwright.train.plan import TrainPlan


def make(who: str, size: str, batch: int, length: int) -> Callable[[], float]:
    """A function that takes one step and returns its loss; weights and tokens are always alike."""
    if who.startswith("peer"):
        return _transformers(who, size, batch, length)
    return _ours(who, size, batch, length)


def _tokens(batch: int, length: int) -> torch.Tensor:
    # A few hundred words in a random order: something that ten steps learn something of.
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 400, (batch, length + 1), generator=generator) * 100


def _transformers(who: str, size: str, batch: int, length: int) -> Callable[[], float]:
    import transformers

    from penwright.model import GPT2, SIZES, init_weights

    config = transformers.GPT2Config(
        **SIZES[size].to_dict() | {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    )
    model = transformers.GPT2LMHeadModel(config)
    ours = GPT2(SIZES[size])
    init_weights(ours, seed=0)
    model.load_state_dict(ours.state_dict(), strict=False)
    del ours
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01)
    tokens_BT = _tokens(batch, length)

    def step() -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=who == "peer-bf16"):
            # With shift_labels it takes the targets as they are.
            inputs_BT, targets_BT = tokens_BT[:, :-1].contiguous(), tokens_BT[:, 1:].contiguous()
            loss = model(input_ids=inputs_BT, labels=targets_BT, shift_labels=targets_BT).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step


def _ours(who: str, size: str, batch: int, length: int) -> Callable[[], float]:
    from penwright.model import GPT2, SIZES, init_weights
    from penwright.tokens import Batch, split_micro
    from penwright.train.loop import batch_loss
    from penwright.train.machine import settle
    from penwright.train.methods import make_method

    device = torch.device("cpu")
    plan = plan_of(who, batch, length)
    settle()
    model = GPT2(SIZES[size])
    init_weights(model, seed=0)
    model.set_dropout(0.0)
    model.train()
    method = make_method(model, plan)
    for group in method.optimizer.param_groups:
        group["lr"] = 1e-4
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    tokens_BT = _tokens(batch, length)
    whole = Batch(
        tokens_BT[:, :-1].contiguous(),
        tokens_BT[:, 1:].contiguous(),
        torch.arange(length).repeat(batch, 1),
        torch.zeros((batch, length), dtype=torch.int32),
        batch * length,
    )

    norm = torch.ones(()) if method.waits_for_norm else None

    def step() -> float:
        nonlocal norm
        total = 0.0
        micros = split_micro(whole, plan.micro_batch)
        for index, micro in enumerate(micros):
            method.begin(last=index + 1 == len(micros), norm=norm)
            loss = batch_loss(model, micro, device, plan.precision)
            (loss / whole.n_learned).backward()
            total += float(loss.detach())
        norm = method.update(scaler, 1.0)
        return total / whole.n_learned

    return step


def plan_of(who: str, batch: int, length: int) -> TrainPlan:
    """A plan of method `who`: full, full-fp32, lean or lora."""
    method = who.partition("-")[0]
    return TrainPlan(
        steps=100,
        steps_per_epoch=100,
        batch_size=batch,
        micro_batch=batch,
        max_length=length,
        shape="windows",
        precision="fp32" if who.endswith("fp32") else "bf16",
        learning_rate=1e-4,
        schedule="constant",
        warmup_steps=0,
        decay_factor=1.0,
        decay_steps=(),
        method=cast(Literal["full", "lean", "lora"], method),
        recompute=method == "lean",
        weight_decay=0.01,
        beta1=0.9,
        beta2=0.999,
        eps=1e-8,
        clip=1.0,
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
