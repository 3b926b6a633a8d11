"""Learning-rate schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass

from penwright.config import ScheduleName


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A learning rate that rises for `warmup_steps`, then stays or falls until the last step.

    `linear` and `cosine` end at `decay_factor` times the peak; `step` multiplies by it after each
    of `decay_steps`; `wsd` stays at the peak and falls linearly to 0 over the last `decay_share` of
    the steps, so a longer run has the same rates until then (Hu et al., "MiniCPM", 2024).
    """

    schedule: ScheduleName
    learning_rate: float
    warmup_steps: int = 0
    decay_factor: float = 0.0
    decay_steps: tuple[int, ...] = ()
    decay_share: float = 0.4

    def rate(self, step: int, steps: int) -> float:
        """Return the rate of a step, counted from 0, of a run of `steps` steps."""
        peak, factor = self.learning_rate, self.decay_factor
        if step < self.warmup_steps:
            return peak * (step + 1) / (self.warmup_steps + 1)
        if self.schedule == "step":
            return peak * factor ** sum(step >= decay for decay in self.decay_steps)
        if self.schedule == "constant":
            return peak
        if self.schedule == "wsd":
            falling = max(1, round(self.decay_share * steps))
            return peak * min(1.0, max(0, steps - step) / falling)
        progress = (step - self.warmup_steps) / max(1, steps - self.warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        share = 1 - progress if self.schedule == "linear" else cosine
        return peak * (factor + (1 - factor) * share)
