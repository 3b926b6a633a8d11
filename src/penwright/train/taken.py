"""A step that is taken, before what it came to is known."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from penwright.tokens import Batch


@dataclass(frozen=True)
class Taken:
    """A step, counted from 0, that the device has been given and may be computing still."""

    step: int
    begun: float
    rate: float
    loss: torch.Tensor | None
    norm: torch.Tensor | None
    batch: Batch

    def read(self) -> tuple[float | None, float | None]:
        """The loss a learned token and the gradient's norm, None of a batch that was left out."""
        if self.loss is None or self.norm is None:
            return None, None
        return float(self.loss) / max(1, self.batch.n_learned), float(self.norm)
