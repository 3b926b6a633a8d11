"""The seam between training and parallelism: one device, which has nothing to exchange.

A method and a step call these functions where ranks would exchange something; train/parallel.py
has the same functions for several ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from penwright.model import GPT2
from penwright.tokens import Batch

STATE_FILE = "trainer.safetensors"


class OneDevice:
    """The device of a run that has no other."""

    rank = 0
    size = 1
    shards = False
    """Whether a rank holds only its shard of each weight, gradient and average."""

    def move(self, model: GPT2, device: torch.device) -> None:
        """Put the model's weights on the device."""
        model.to(device)

    def place(self, model: GPT2, held: dict[str, nn.Parameter]) -> dict[str, nn.Parameter]:
        """Send rank 0's weights to all ranks; return the parameters that hold them here."""
        del model
        return held

    def rows(self, batch: Batch) -> Batch:
        """Return this rank's rows of a batch; `n_learned` stays that of the whole batch."""
        return batch

    def reduce(self, parameters: Iterable[Tensor], others: Iterable[Tensor] = ()) -> None:
        """Sum the gradients of `parameters`, and `others`, over ranks, in place."""
        del parameters, others

    def total(self, value: Tensor) -> Tensor:
        """Return the sum of a rank's `value` over all ranks."""
        return value

    def norm(self, norms: Tensor) -> Tensor:
        """Return the norm of the gradient, from the norms of its tensors on this rank."""
        norm: Tensor = torch.linalg.vector_norm(norms)
        return norm

    def fill(self, held: Tensor, value: Tensor | None) -> None:
        """Copy rank 0's whole `value` into a held tensor, or its shard of it."""
        assert value is not None
        held.copy_(value)

    def whole(self, held: Tensor) -> Tensor:
        """Return the whole tensor of which `held` is a shard."""
        return held.detach()

    def spread_state(
        self, tensors: Mapping[str, Tensor], trained: Mapping[str, nn.Parameter]
    ) -> Mapping[str, Tensor]:
        """Return this rank's part of the optimizer state that rank 0 has read, by name."""
        del trained
        return tensors

    def write_state(
        self, tensors: Mapping[str, Tensor], trained: Mapping[str, nn.Parameter], folder: Path
    ) -> None:
        """Write the optimizer's state into the folder of a checkpoint."""
        del trained
        save_file(dict(tensors), folder / STATE_FILE)


ONE = OneDevice()
