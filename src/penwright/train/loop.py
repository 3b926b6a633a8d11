"""The one training loop.

A step is a pure function of (weights, optimizer state, seed, step): batches come from the step's
number, dropout from (seed, step, micro-step). A run that is stopped and continued is therefore
the run that was never stopped. B batch, T time, C channels.

Within a step nothing is read from the device. On a GPU a step's loss is read only after the next
step is queued, so that batches are made and copied there while it computes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import torch

from penwright.compute import autocast, emulation_warning
from penwright.errors import DivergedError, OutOfRoomError
from penwright.model import GPT2
from penwright.runs import Run
from penwright.score import Losses, Score
from penwright.tokens import Batch, Split
from penwright.train.checkpoint import (
    Saver,
    TrainState,
    load_state,
    newest_sound,
    read_state,
    tidy,
)
from penwright.train.compiled import compile_failure
from penwright.train.memory import is_out_of_memory
from penwright.train.meter import Meter, Observer
from penwright.train.methods import Method
from penwright.train.plan import TrainPlan
from penwright.train.process import Interrupt, Interrupted
from penwright.train.replica import Replica


@dataclass(frozen=True)
class QueuedStep:
    """An optimizer step queued on the device, its loss and gradient norm not read back yet."""

    step: int
    begun: float
    rate: float
    loss: torch.Tensor | None
    norm: torch.Tensor | None
    batch: Batch

    def read(self) -> tuple[float | None, float | None]:
        """Wait for the step; return the loss for each learned token and the gradient's norm."""
        if self.loss is None or self.norm is None:
            return None, None
        return float(self.loss) / max(1, self.batch.n_learned), float(self.norm)


@dataclass
class Trainer:
    """One run; `train()` takes it from `state.step` to the end.

    `save_model(folder, model)` writes the model folder of a checkpoint and `load_model(folder)`
    reads one, or the model that the run began with for None; `write_samples(model)` returns what
    the model writes; these three are passed in because they belong to packages above this one.
    `make_replica` puts the model on its device, or leads the replicas of several devices.
    `peak_flops` is the most operations that the machine reaches in a second, if that is known.
    """

    model: GPT2
    plan: TrainPlan
    training: Split
    held_out: Split
    run: Run
    device: torch.device
    observer: Observer
    save_model: Callable[[Path, GPT2], None]
    load_model: Callable[[Path | None], GPT2]
    write_samples: Callable[[GPT2], list[dict[str, Any]]]
    make_replica: Callable[[GPT2, TrainPlan, torch.device], Replica] = Replica
    state: TrainState = field(default_factory=TrainState)
    peak_flops: float | None = None

    def __post_init__(self) -> None:
        self.replica = self.make_replica(self.model, self.plan, self.device)
        self.batches = self.plan.batches(self.training)
        self.measured = self.plan.measured(self.held_out)
        self.saver = Saver(self.run, self.plan.keep, self.save_model)
        self.meter = Meter(self.model.config, self.plan, self.device, self.peak_flops)
        self._last_save = time.monotonic()
        self.queued: list[QueuedStep] = []
        self.late = 1 if self.device.type == "cuda" else 0
        self._last_read = time.perf_counter()

    @property
    def method(self) -> Method:
        """The method by which the weights are trained."""
        return self.replica.method

    def train(self) -> TrainState:
        """Take every step that is left.

        When the loss explodes or is not finite, the run goes back to the last checkpoint, leaves
        out that batch and halves the rate, once. Raises Interrupted after Ctrl-C,
        DivergedError when it happens again, and OutOfRoomError; a checkpoint to continue from
        exists in each case, unless not one step was taken.
        """
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            # Dropout reseeds torch's generators, which are the caller's too.
            with Interrupt() as interrupt, torch.random.fork_rng(devices):
                while not self.finished:
                    try:
                        self._advance(interrupt)
                    except DivergedError as error:
                        self._roll_back(error)
        finally:
            self.saver.wait()
        return self.state

    def _advance(self, interrupt: Interrupt) -> None:
        """Take one step, and measure, sample and save what is due after it."""
        state, plan = self.state, self.plan
        self._step_that_fits(self.batches.batch(state.step))
        self.read_steps(self.late)
        measure = plan.evaluate_every and _is_due(state.step, plan.evaluate_every, plan.steps)
        sample = plan.sample_every and _is_due(state.step, plan.sample_every)
        if measure or sample:
            self._check_weights()
        improved = self.evaluate() if measure else False
        if sample:
            self.sample()
        stop = interrupt.requested  # may have come while measuring or sampling
        if improved or stop or self.finished or self._save_is_due():
            self._check_weights()
            self.save()
        if stop and not self.finished:
            raise Interrupted(state.step, self.run.folder)

    @property
    def finished(self) -> bool:
        """Whether all steps are taken, or `patience` measurements brought no improvement."""
        waited = 0 < self.plan.patience <= self.state.worse_in_a_row
        return waited or self.state.step >= self.plan.steps

    def _step_that_fits(self, batch: Batch) -> None:
        """Queue one step, with less memory each time it does not fit; raises OutOfRoomError."""
        while True:
            try:
                self.queued.append(self.step(batch))
                return
            except (MemoryError, RuntimeError) as error:
                failure = compile_failure(error) if not is_out_of_memory(error) else None
                if failure == "" or (failure and self.replica.is_halfway):
                    raise
            # Only after the except clause are the tensors freed that the traceback held.
            if failure is None:
                self._change(*self._shrink())
            else:
                told = f"Blocks could not be compiled ({failure}), so they run uncompiled."
                self._change(replace(self.plan, compile=False), told)

    def _shrink(self) -> tuple[TrainPlan, str]:
        """Return a plan that takes less memory, and a sentence; raises OutOfRoomError."""
        changed = None if self.replica.is_halfway else self.plan.smaller()
        if changed is None:
            raise OutOfRoomError(
                f"Memory ran out at step {self.state.step + 1}, and nothing smaller is left.",
                fix="Try --method lora, a smaller model, or a smaller --max-length.",
            )
        plan, how = changed
        told = f"Memory ran out at step {self.state.step + 1}: {how}."
        if plan.precision != self.plan.precision:
            told = f"{told} {emulation_warning(plan.precision, self.device)}".rstrip()
        return plan, told

    def _change(self, plan: TrainPlan, told: str) -> None:
        """Continue with another plan; `told` is recorded and shown."""
        self.plan = plan
        events = [*self.run.info.get("events", []), told]
        self.run.update(plan=plan.as_json(), events=events)
        self.observer.on_message(told)
        self.replica.change(plan)

    def step(self, batch: Batch) -> QueuedStep:
        """Queue one optimizer step over a batch, without waiting for the device."""
        state, plan, begun = self.state, self.plan, time.perf_counter()
        rate = plan.schedule.rate(state.step, plan.steps) * state.rate_factor
        loss, norm = None, None
        if state.step != state.left_out_step:
            loss, norm = self.replica.step(batch, state.step, rate)
        taken = QueuedStep(state.step, begun, rate, loss, norm, batch)
        state.step += 1
        return taken

    def read_steps(self, late: int = 0) -> None:
        """Read and record all queued steps but the newest `late`; raises DivergedError."""
        while len(self.queued) > late:
            taken = self.queued.pop(0)
            loss, norm = taken.read()
            # Twice what guessing every token alike would cost: no model that learns is there.
            if loss is not None and not loss < 2 * math.log(self.model.config.vocab_size):
                self._raise_diverged(taken.step, loss)
            if norm is not None and not (math.isfinite(norm) or self.replica.scaler.is_enabled()):
                self._raise_diverged(taken.step, norm)
            self._record(taken, loss, norm)

    def _raise_diverged(self, step: int, value: float) -> NoReturn:
        """Raise DivergedError for a step; the steps queued after it are forgotten."""
        self.queued.clear()
        self.state.step = step
        self.saver.wait()  # so that the checkpoint named is the newest
        last = self.run.pointed("latest")
        kept = f" The last good checkpoint is {last}." if last else ""
        rate = self.plan.schedule.learning_rate
        raise DivergedError(
            f"The loss or its gradient came to {value:g} at step {step + 1}, so training "
            f"stopped.{kept}",
            fix=f"Try --learning-rate {rate / 3:.1e}, or --precision fp32.",
        )

    def _record(self, taken: QueuedStep, loss: float | None, norm: float | None) -> None:
        """Append a step's figures to the metrics, and tell the observer."""
        state, now = self.state, time.perf_counter()
        seconds, self._last_read = now - max(taken.begun, self._last_read), now
        tokens = int((taken.batch.documents_BT >= 0).sum())
        state.grad_norm = norm if norm is not None else state.grad_norm
        state.tokens += tokens
        state.seconds += seconds
        record = {
            "kind": "step",
            "step": taken.step + 1,
            "loss": loss,
            "lr": taken.rate,
            "grad_norm": norm,
            "tokens": taken.batch.n_learned,
            "tokens_seen": state.tokens,
            **self.meter.read(tokens, taken.batch.n_learned, seconds),
            "seconds": state.seconds,
            "epoch": (taken.step + 1) / self.plan.steps_per_epoch,
        }
        self._append_metrics(record)
        self.observer.on_step(record)

    def _check_weights(self) -> None:
        """Raise DivergedError when the weights, after all queued steps, are not finite."""
        self.read_steps()
        value = float(self.replica.weights_norm())
        if not math.isfinite(value):
            self._raise_diverged(self.state.step - 1, value)

    def _roll_back(self, error: DivergedError) -> None:
        """Go back to the last good checkpoint with half the rate; once only, then raise."""
        if self.state.left_out_step >= 0:
            raise error
        poisoned = self.state.step
        self.saver.wait()
        folder = newest_sound(self.run, self.observer.on_message) if self.run.steps() else None
        self.go_back_to(folder)
        self.state.rate_factor, self.state.left_out_step = 0.5, poisoned
        told = (
            f"The loss or its gradient was no sound number at step {poisoned + 1}: back to "
            f"step {self.state.step}, with half the learning rate and without that batch."
        )
        self.run.update(events=[*self.run.info.get("events", []), told])
        self.observer.on_message(told)

    def go_back_to(self, folder: Path | None) -> None:
        """Take up the run at a checkpoint, or after the first measurement for None.

        Metrics and samples that were written later are dropped, and the checkpoints' pointers are
        put right.
        """
        self.state = load_state(folder) if folder else TrainState(records=-1)
        self.restore(folder)
        if self.state.loss_scale:
            self.replica.scaler.load_state_dict(self.state.loss_scale)
        self.state.records = self.run.forget_after(self.state.step, self.state.records)
        if folder:
            tidy(self.run, self.state, self.plan.keep)

    def restore(self, folder: Path | None, *, optimizer: bool = True) -> None:
        """Go back to a checkpoint's weights, or to the first, and to its optimizer's state."""
        read = read_state if optimizer else None
        self.replica.restore(self.load_model, folder, read, self.state.grad_norm)

    def evaluate(self) -> bool:
        """Measure on the held-out part; returns whether it is the best so far."""
        state, start = self.state, time.perf_counter()
        score = self.replica.score(self.measured).total
        improved = score.loss < state.best_loss
        if improved:
            state.best_loss, state.best_step, state.worse_in_a_row = score.loss, state.step, 0
        else:
            state.worse_in_a_row += 1
        state.seconds += time.perf_counter() - start
        self._record_score(score, state.step, full=self.measured is self.held_out, best=improved)
        return improved

    def score_all(self, step: int) -> Losses:
        """Score the full held-out part with the current weights, which are those of `step`."""
        losses = self.replica.score(self.held_out)
        self._record_score(losses.total, step, full=True, best=False)
        return losses

    def _record_score(self, score: Score, step: int, *, full: bool, best: bool) -> None:
        record = {
            "kind": "eval",
            "step": step,
            "loss": score.loss,
            "perplexity": score.perplexity,
            "bits_per_byte": score.bits_per_byte,
            "tokens": score.tokens,
            "full": full,
            "best": best,
            "seconds": self.state.seconds,
        }
        self._append_metrics(record)
        self.observer.on_evaluate(record)

    def _append_metrics(self, record: dict[str, Any]) -> None:
        self.run.append_metrics(record)
        self.state.records += 1

    def sample(self) -> None:
        """Write samples with the current weights."""
        with autocast(self.device, self.plan.precision):
            samples = self.write_samples(self.replica.written_by())
        self.run.write_samples(self.state.step, samples)
        self.observer.on_samples(self.state.step, samples)

    def save(self) -> None:
        """Begin to write a checkpoint of this step."""
        if self.replica.scaler.is_enabled():
            self.state.loss_scale = self.replica.scaler.state_dict()
        self.saver.save(self.state, self.replica)
        self._last_save = time.monotonic()

    def _save_is_due(self) -> bool:
        waited = time.monotonic() - self._last_save
        return _is_due(self.state.step, self.plan.save_every) or (
            0 < self.plan.save_seconds <= waited
        )


def _is_due(step: int, every: int, last: int = 0) -> bool:
    return step == last or (every > 0 and step % every == 0)
