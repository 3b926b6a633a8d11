"""The model of a run on one device: takes steps, scores, and takes up the weights of checkpoints.

Legend: B batch, T time, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from penwright.compute import autocast
from penwright.model import (
    GPT2,
    GPT2Config,
    bring,
    chunked_cross_entropy,
    documents,
)
from penwright.score import Losses, score_windows
from penwright.seeds import combine
from penwright.tokens import Batch, Split, split_micro
from penwright.train.methods import LoadModel, change_method, make_method
from penwright.train.one_device import ONE, OneDevice
from penwright.train.optimizer import load_state_tensors, state_tensors
from penwright.train.plan import TrainPlan
from penwright.train.process import limit_malloc
from penwright.weights.peft import Adapter

ReadState = Callable[[Path], dict[str, Tensor]]


class Snapshot(NamedTuple):
    """The weights and the state of one step; `write_state` writes the latter into a folder."""

    model: GPT2
    adapter: Adapter | None
    write_state: Callable[[Path], None]
    is_copy: bool
    """Whether training may go on while it is written."""


class Replica:
    """A model with the method that trains it, on one device.

    `norm` is the gradient's norm in the last step, None before the first.
    """

    def __init__(
        self, model: GPT2, plan: TrainPlan, device: torch.device, devices: OneDevice = ONE
    ) -> None:
        limit_malloc()
        self.model = model
        self.plan = plan
        self.device = device
        self.devices = devices
        devices.move(model, device)
        self.method = make_method(model, plan, devices)
        scaled = plan.precision == "fp16" and device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self.norm: Tensor | None = None

    @property
    def is_halfway(self) -> bool:
        """Whether the step in progress can no longer be taken anew from its start."""
        return self.method.is_halfway

    def change(self, plan: TrainPlan) -> None:
        """Go on with another plan, over the same weights and optimizer state."""
        self.plan = plan
        self.method.forget_gradients()
        self.method = change_method(self.method, plan)

    def step(self, batch: Batch, number: int, rate: float) -> tuple[Tensor, Tensor]:
        """Queue optimizer step `number`, without waiting for the device.

        Returns the loss in nats, summed over tokens, and the norm of the gradient.
        """
        for group in self.method.optimizer.param_groups:
            group["lr"] = rate
        clip = self.plan.optim.clip
        if self.method.waits_for_norm and self.norm is None:
            self._accumulate(batch, number, None)
            self.norm = self.method.update(self.scaler, clip)
        loss = self._accumulate(batch, number, self.norm)
        self.norm = self.method.update(self.scaler, clip)
        return loss, self.norm

    def _accumulate(self, batch: Batch, number: int, norm: Tensor | None) -> Tensor:
        """Accumulate the gradient over a batch; return its loss in nats, summed over tokens."""
        # Windows over long stretches of context may hold nothing to learn.
        n_learned = max(1, batch.n_learned)
        self.model.train()
        loss = torch.zeros((), device=self.device)
        micros = split_micro(self.devices.rows(batch), self.plan.micro_batch)
        # The ranks' micro-batches are numbered through, so that each has dropout of its own.
        first = self.devices.rank * len(micros)
        for index, micro in enumerate(micros):
            self.method.begin(last=index + 1 == len(micros), norm=norm)
            torch.manual_seed(combine(self.plan.seed, number, first + index))
            loss_sum = batch_loss(self.model, micro, self.device, self.plan.precision)
            self.scaler.scale(loss_sum / n_learned).backward()  # type: ignore[no-untyped-call]
            loss += loss_sum.detach()
        self.devices.reduce(self.method.trained.values(), self.method.narrow_gradients())
        return self.devices.total(loss)

    def weights_norm(self) -> Tensor:
        """Return a number that is finite only if all trained weights are."""
        norms = torch._foreach_norm([p.detach() for p in self.method.trained.values()])
        return self.devices.total(torch.stack(norms).float().sum())

    def score(self, part: Split) -> Losses:
        """Score all learned tokens of `part` with the current weights."""
        return score_windows(self.model, part, autocast=autocast(self.device, self.plan.precision))

    def written_by(self) -> GPT2:
        """Return a model with the current weights, to write samples with."""
        return self.model

    def restore(
        self,
        load_model: LoadModel | None,
        folder: Path | None,
        read_state: ReadState | None,
        norm: float = 0.0,
    ) -> None:
        """Go back to the weights of a checkpoint, or for None to those that training began with.

        With `read_state` the optimizer goes back too, and `norm` is its last gradient's, 0 for
        none. A rank that is not the first gives no `load_model`: it is sent what the first reads.
        """
        self.method.forget_gradients()
        self.method.restore(load_model, folder)
        if read_state is None:
            return
        self.norm = torch.full((), norm, device=self.device) if norm else None
        optimizer, trained = self.method.optimizer, self.method.trained
        optimizer.state.clear()
        if folder:
            tensors = self.devices.spread_state(read_state(folder), trained)
            load_state_tensors(self.method.kind, trained, optimizer, tensors)

    def tensors(self) -> dict[str, Tensor]:
        """Return every weight of the model by name, as a checkpoint holds it."""
        return self.method.tensors()

    def snapshot(self, base_model: str) -> Snapshot:
        """Return what a checkpoint holds; an adapter names `base_model` as its own."""
        copy = self.method.copies and not self.devices.shards

        def take(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
            return {n: value.detach().to("cpu", copy=copy) for n, value in tensors.items()}

        model = plain_model(self.model.config, take(self.tensors()))
        state = state_tensors(self.method.trained, self.method.optimizer)
        state = state if self.devices.shards else take(state)
        return Snapshot(
            model, self.method.adapter(base_model), lambda f: self.write_state(f, state), copy
        )

    def write_state(self, folder: Path, state: dict[str, Tensor] | None = None) -> None:
        """Write the optimizer's state, as it is now unless given, into a checkpoint's folder."""
        if state is None:
            state = state_tensors(self.method.trained, self.method.optimizer)
        self.devices.write_state(state, self.method.trained, folder)


def plain_model(config: GPT2Config, weights: dict[str, Tensor]) -> GPT2:
    """Return a model whose parameters are these tensors, not copies."""
    with torch.device("meta"):
        model = GPT2(config)
    model.load_state_dict(weights, assign=True)
    return model


def batch_loss(model: GPT2, batch: Batch, device: torch.device, precision: str) -> Tensor:
    """Return the cross-entropy summed over a batch's learned tokens, in nats, with a gradient."""
    targets_N = bring(batch.targets_BT, device).flatten()
    with autocast(device, precision):
        hidden_BTC = model(
            bring(batch.tokens_BT, device),
            bring(batch.positions_BT, device),
            documents(batch.documents_BT, device),
        )
        return chunked_cross_entropy(
            hidden_BTC.flatten(0, 1), model.head_weight_VC, targets_N, kernels=model.kernels
        )
