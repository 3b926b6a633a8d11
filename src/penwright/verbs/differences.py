"""The difference of two models on the same held-out documents, and a run beside the one before."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penwright import metrics, runs
from penwright.config import ABOUT_THE_CALL
from penwright.errors import RunError
from penwright.files import read_json, write_json
from penwright.metrics import Figure, Resampling, difference, make_figure
from penwright.runs import Run
from penwright.score import Losses
from penwright.tokens import Split

ALIKE = 1.0
"""Percent of perplexity that two seeds of one recipe may differ by; less is no difference."""


@dataclass(frozen=True)
class Difference:
    """The reduction of perplexity (or bits per byte) from `first` to `second`.

    In percent of the first's, with the 95 % interval over documents; positive is better.
    """

    first: str
    second: str
    unit: str
    percent: float
    low: float | None
    high: float | None

    @property
    def better(self) -> str | None:
        """The model that is better beyond doubt and by more than a seed changes; or None."""
        if self.low is None or self.high is None:
            return None
        if self.low > ALIKE:
            return self.second
        return self.first if self.high < -ALIKE else None

    def __str__(self) -> str:
        lower = self.percent >= 0
        change = f"{abs(self.percent):.1f} % {'lower' if lower else 'higher'}"
        if self.low is None or self.high is None:
            said = f"The {self.unit} of {self.second} is {change} than that of {self.first}"
            return f"{said}; one document has no interval."
        low, high = (self.low, self.high) if lower else (-self.high, -self.low)
        interval = f"95 %: {low:.1f} to {high:.1f} % {'lower' if lower else 'higher'}"
        if self.better:
            worse = self.first if self.better == self.second else self.second
            said = f"{self.better} predicts better than {worse}"
            return f"{said}: the {self.unit} of {self.second} is {change} ({interval})."
        if max(abs(low), abs(high)) <= ALIKE:
            reason = "two seeds of one recipe differ as much"
        else:
            reason = "more held-out text would tell"
        return f"{self.first} and {self.second} are not told apart ({interval}): {reason}."

    def as_json(self) -> dict[str, Any]:
        """Return plain values, with the verdict."""
        return vars(self) | {"better": self.better, "says": str(self)}


def differ(first: str, second: str, before: Figure, after: Figure, same_tokens: bool) -> Difference:
    """Return the difference in percent, from log-perplexities or bits per byte."""
    if same_tokens:
        apart = difference(
            replace(before, finish=metrics.mean), replace(after, finish=metrics.mean)
        )
        scale = [None if x is None else 100 * (1 - math.exp(-x)) for x in _values(apart)]
    else:
        apart = difference(before, after)
        whole = before.value or math.nan
        scale = [None if x is None else 100 * x / whole for x in _values(apart)]
    value, low, high = scale
    unit = "perplexity" if same_tokens else "bits per byte"
    return Difference(first, second, unit, math.nan if value is None else value, low, high)


def _values(figure: Figure) -> tuple[float | None, float | None, float | None]:
    return figure.value, figure.low, figure.high


def record_losses(run: Run, held_out: Split, losses: Losses) -> None:
    """Keep the loss of each held-out window, for comparisons with later runs on the same data."""
    content = {
        "documents": hashlib.sha256(held_out.ranges.tobytes()).hexdigest(),
        "units": losses.units(),
        "losses": [round(loss, 6) for loss in losses.losses_W.tolist()],
        "tokens": losses.tokens_W.tolist(),
    }
    write_json(run.folder / runs.HELD_OUT, content)


def compare_with_previous(run: Run) -> dict[str, Any] | None:
    """Compare a finished run with the newest one before it on the same data, by kept losses.

    Returns its name, the difference and the options that changed, for run.json; None where there
    is no such run.
    """
    info, own = run.info, _read_losses(run)
    if own is None:
        return None
    for other in reversed(runs.list_runs(run.folder.parent)):
        before = _read_losses(other) if other.name != run.name else None
        if before is None or any(before[k] != own[k] for k in ("documents", "units", "tokens")):
            continue
        if other.info["data"]["fingerprint"] != info["data"]["fingerprint"]:
            continue
        how = Resampling(own["units"])
        first, second = (
            make_figure(
                "perplexity", np.array([*zip(one["losses"], one["tokens"], strict=True)]),
                metrics.exp_mean, how,
            )
            for one in (before, own)
        )  # fmt: skip
        old, new = other.info["config"], info["config"]
        changed = {
            name: [old.get(name), value]
            for name, value in new.items()
            if name not in ABOUT_THE_CALL and name != "name" and old.get(name) != value
        }
        apart = differ(other.name, run.name, first, second, same_tokens=True)
        return {"name": other.name, "difference": apart.as_json(), "changed": changed}
    return None


def _read_losses(run: Run) -> dict[str, Any] | None:
    try:
        found = read_json(run.folder / runs.HELD_OUT)
    except RunError:
        return None
    return found if {"documents", "units", "losses", "tokens"} <= found.keys() else None
