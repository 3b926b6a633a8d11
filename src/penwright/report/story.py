"""Sentences about a run: its headline and remarks."""

from __future__ import annotations

import math
from dataclasses import dataclass

from penwright.report.page import unbroken
from penwright.report.read import Measurement, RunData, number
from penwright.report.series import Series, smooth
from penwright.wording import amount, count, duration

# A sign and a word for each status, so that nothing is told by colour alone.
STATUSES = {
    "finished": ("✓", "finished"),
    "running": ("…", "still running"),
    "interrupted": ("‖", "interrupted"),
    "failed": ("✕", "failed"),
}


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """The figures that the sentences use; None where the run does not have one."""

    status: str
    steps: int
    planned: int | None
    seconds: float | None
    before: float | None
    after: float | None
    best: Measurement | None
    first_loss: float | None
    last_loss: float | None


def find_facts(data: RunData) -> RunFacts:
    """Return the figures of a run, from its result if it has one, else from its curves."""
    result = data.part("result")
    loss = data.curves.get("loss", Series())
    finite = [value for _, value in smooth(loss.points()) if not math.isnan(value)]
    seconds = number(result.get("seconds"))
    if seconds is None:
        clocks = data.curves.get("seconds", Series()).finite()[-1:]
        clocks += [item.seconds for item in data.evaluations if item.seconds is not None]
        seconds = max(clocks, default=None)
    best = find_best(data)
    before = number(result.get("perplexity_before"))
    if before is None:
        starts = [item for item in data.evaluations if item.step == 0 and item.perplexity]
        alike = [item for item in starts if best and item.full == best.full]
        before = (alike or starts)[-1].perplexity if starts else None
    after = number(result.get("perplexity_after"))
    if after is None and best is not None and best.step > 0:
        after = best.perplexity
    planned = number(data.part("plan").get("steps"))
    return RunFacts(
        status=data.status,
        steps=int(loss.steps[-1]) if loss.steps else 0,
        planned=None if planned is None else int(planned),
        seconds=seconds,
        before=before,
        after=after,
        best=best,
        first_loss=finite[0] if finite else None,
        last_loss=finite[-1] if finite else None,
    )


def find_best(data: RunData) -> Measurement | None:
    """Return the measurement at the run's best step, else the one with the lowest loss.

    Measurements of a part of the held-out text and of all of it are not compared, unless there
    are none to compare otherwise.
    """
    measured = [item for item in data.evaluations if not math.isnan(item.loss)]
    step = number(data.part("result").get("best_step"))
    named = [item for item in measured if item.step == step]
    if named:
        return max(named, key=lambda item: (item.best, not item.full))
    rivals = [item for item in measured if not item.full] or measured
    return min(rivals, key=lambda item: (item.loss, item.step), default=None)


def headline(facts: RunFacts) -> str:
    """Return one sentence on the outcome."""
    time = "" if facts.seconds is None else unbroken(duration(facts.seconds))
    if facts.status == "finished":
        return _finished(facts, time)
    so_far = count(facts.steps, "step")
    if facts.planned and facts.planned >= facts.steps:
        so_far = f"{facts.steps:,} of {count(facts.planned, 'step')}"
    change = _change(facts, "has" if facts.status == "running" else "had")
    if facts.status == "running":
        within = f" in {time}" if time and facts.steps else ""
        return f"{so_far} so far{within}" + (f"; held-out perplexity {change}." if change else ".")
    word = "The run failed" if facts.status == "failed" else "The run was interrupted"
    if not facts.steps:
        return f"{word} before its first step was done."
    within = f" and {time}" if time else ""
    return f"{word} after {so_far}{within}" + (
        f"; by then held-out perplexity {change}." if change else "."
    )


def _finished(facts: RunFacts, time: str) -> str:
    change = _change(facts)
    within = f" in {time}" if time else ""
    if change:
        return f"Held-out perplexity {change}{within}."
    if facts.after is not None:
        return f"Held-out perplexity is {amount(facts.after)} after {count(facts.steps, 'step')}."
    if facts.first_loss is None or facts.last_loss is None:
        return "The run took no step."
    return (
        f"{count(facts.steps, 'step')}{within} took the training loss from "
        f"{facts.first_loss:.2f} to {facts.last_loss:.2f}."
    )


def _change(facts: RunFacts, have: str = "") -> str:
    """Return `fell from 81.2 to 31.4`, or with `have`, `had fallen from 81.2 to 31.4`."""
    before, after = facts.before, facts.after
    if before is None or after is None or before <= 0:
        return ""
    if abs(after / before - 1) < 0.005:
        return f"{have} stayed at {amount(after)}".lstrip()
    if have:
        verb = f"{have} fallen" if after < before else f"{have} risen"
    else:
        verb = "fell" if after < before else "rose"
    return f"{verb} from {amount(before)} to {amount(after)}"


def remarks(data: RunData, facts: RunFacts) -> list[str]:
    """Return sentences on errors, early stopping, the best checkpoint and missing values."""
    said = []
    if facts.status == "running":
        said.append("The run was not over when this page was written; ask for the report again.")
    error = data.part("error")
    if error.get("message"):
        said.append(" ".join(str(error[key]) for key in ("message", "fix") if error.get(key)))
    said += _about_ending(data, facts)
    broken = [
        int(step) for step, value in data.curves.get("loss", Series()).points() if math.isnan(value)
    ]
    if broken:
        said.append(
            f"The training loss was not a number at {count(len(broken), 'step')}, first at step "
            f"{broken[0]:,}."
        )
    if not data.evaluations and facts.steps:
        said.append(
            "Nothing was measured on held-out text, so this page cannot say how well the model "
            "reads text it has not been trained on."
        )
    if data.unreadable:
        said.append(f"Could not be read, and left out: {', '.join(data.unreadable)}.")
    return said


def _about_ending(data: RunData, facts: RunFacts) -> list[str]:
    said = []
    if facts.status == "finished" and facts.planned and facts.steps < facts.planned:
        why = ""
        if data.part("result").get("stopped") == "patience":
            why = ", since the held-out measurements no longer got better"
        said.append(
            f"It ended early, after {facts.steps:,} of the {facts.planned:,} planned steps{why}."
        )
    best = facts.best
    alike = [item for item in data.evaluations if best and item.full == best.full]
    later = [item for item in alike if best and item.step > best.step]
    if best and len(later) > 1 and later[-1].loss > best.loss * 1.01:
        said.append(
            f"The held-out text was read best after step {best.step:,}; that checkpoint is the "
            f"one to use. After it the model began to memorise the training text."
            if best.step
            else "No checkpoint reads the held-out text better than the model did before training."
        )
    return said
