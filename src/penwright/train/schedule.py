"""The learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A learning rate that climbs for `warmup_steps`, then stays or falls until `steps`.

    `linear` and `cosine` end at `floor` times the peak; `step` multiplies by `floor` after each of
    `decay_steps`; `wsd` stays at the peak and falls linearly to 0 over the last `decay_share` of
    the steps, so a longer run has the same rates until then (Hu et al., "MiniCPM", 2024).
    """

    kind: Literal["constant", "linear", "cosine", "step", "wsd"]
    peak: float
    steps: int
    warmup_steps: int = 0
    floor: float = 0.0
    decay_steps: Sequence[int] = ()
    decay_share: float = 0.4

    def rate(self, step: int) -> float:
        """The rate of a step counted from 0."""
        if step < self.warmup_steps:
            return self.peak * (step + 1) / (self.warmup_steps + 1)
        if self.kind == "step":
            return self.peak * self.floor ** sum(step >= decay for decay in self.decay_steps)
        if self.kind == "constant":
            return self.peak
        if self.kind == "wsd":
            falling = max(1, round(self.decay_share * self.steps))
            return self.peak * min(1.0, max(0, self.steps - step) / falling)
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        share = 1 - progress if self.kind == "linear" else 0.5 * (1 + math.cos(math.pi * progress))
        return self.peak * (self.floor + (1 - self.floor) * share)
