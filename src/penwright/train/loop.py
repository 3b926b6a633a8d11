"""The one training loop.

A step is a pure function of (weights, optimizer state, seed, step): batches come from the step's
number, dropout from (seed, step, micro-step). A run that is stopped and continued is therefore
the run that was never stopped. B batch, T time, C channels.

Within a step nothing is read from the device. On a GPU what a step came to is read only after the
next one is queued, so that batches are made and brought there while it works.
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
from penwright.model import GPT2, bring, chunked_cross_entropy, documents
from penwright.runs import RUNS, Run
from penwright.score import Score, score_part
from penwright.seeds import combine
from penwright.tokens import Batch, Split, split_micro
from penwright.train.checkpoint import (
    Saver,
    TrainState,
    load_optimizer,
    load_state,
    newest_sound,
    tidy,
)
from penwright.train.compiled import compile_failure
from penwright.train.interrupt import Interrupt
from penwright.train.machine import settle
from penwright.train.meter import Meter
from penwright.train.methods import change_method, make_method
from penwright.train.observer import Observer
from penwright.train.plan import TrainPlan
from penwright.train.shrink import is_out_of_memory, smaller
from penwright.train.taken import Taken


class Interrupted(Exception):
    """The user stopped the run; everything up to `step` is saved in `folder`."""

    def __init__(self, step: int, folder: Path) -> None:
        super().__init__(f"stopped after step {step}")
        self.step = step
        self.folder = folder

    @property
    def how_to_resume(self) -> str:
        """The command that continues the run."""
        under_runs = self.folder.parent == RUNS
        where = f"--name {self.folder.name}" if under_runs else f"--output-dir {self.folder}"
        return f"penwright finetune --resume {where}"


@dataclass
class Trainer:
    """Everything that one run works on; `train()` runs it from `state.step` to the end.

    `save_model(folder, model)` writes the model folder of a checkpoint and `load_model(folder)`
    reads one, or the model that the run began with for None; `write_samples()` returns what the
    model writes now. They are handed in, since they belong to other rooms. `peak_flops` is what
    the machine could compute in a second, if that is known.
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
    write_samples: Callable[[], list[dict[str, Any]]]
    state: TrainState = field(default_factory=TrainState)
    peak_flops: float | None = None

    def __post_init__(self) -> None:
        self.model.to(self.device)
        settle()
        self.method = make_method(self.model, self.plan)
        scaled = self.plan.precision == "fp16" and self.device.type == "cuda"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=scaled)
        self.batches = self.plan.batches(self.training)
        self.measured = self.plan.measured(self.held_out)
        self.saver = Saver(self.run, self.plan.keep, self.save_model)
        self.meter = Meter(self.model.config, self.plan, self.device, self.peak_flops)
        self._last_save = time.monotonic()
        self._taken: list[Taken] = []
        self._late = 1 if self.device.type == "cuda" else 0
        self._last_read = time.perf_counter()

    def train(self) -> TrainState:
        """Take every step that is left.

        A loss that is no number or explodes is answered once by going back to the last
        checkpoint, leaving out the batch and halving the rate. Raises Interrupted after Ctrl-C,
        DivergedError when it happens again, and OutOfRoomError; a checkpoint to continue from
        exists in each case, unless not one step was taken.
        """
        try:
            with Interrupt() as interrupt:
                while not self.finished:
                    try:
                        self._advance(interrupt)
                    except DivergedError as error:
                        self._roll_back(error)
        finally:
            self.saver.wait()
        return self.state

    def _advance(self, interrupt: Interrupt) -> None:
        """One step and all that is due after it."""
        state, plan = self.state, self.plan
        self._step_that_fits(self.batches.batch(state.step))
        self._read(self._late)
        measure = plan.evaluate_every and _is_due(state.step, plan.evaluate_every, plan.steps)
        sample = plan.sample_every and _is_due(state.step, plan.sample_every)
        if measure or sample:
            self._check_weights()
        improved = self.evaluate() if measure else False
        if sample:
            self.sample()
        stop = interrupt.requested  # it may have come while measuring or sampling
        if improved or stop or self.finished or self._save_is_due():
            self._check_weights()
            self.save()
        if stop and not self.finished:
            raise Interrupted(state.step, self.run.folder)

    @property
    def finished(self) -> bool:
        """Whether all steps are taken, or measurements have not become better for too long."""
        waited = 0 < self.plan.patience <= self.state.worse_in_a_row
        return waited or self.state.step >= self.plan.steps

    def _step_that_fits(self, batch: Batch) -> None:
        """One step, with less memory each time that it does not fit; raises OutOfRoomError."""
        while True:
            try:
                self._taken.append(self._step(batch))
                return
            except (MemoryError, RuntimeError) as error:
                failure = compile_failure(error) if not is_out_of_memory(error) else None
                if failure == "" or (failure and self.method.is_halfway):
                    raise
            # Only here are the tensors gone that the traceback held.
            self._change(*(self._shrink() if failure is None else self._without_compiling(failure)))

    def _shrink(self) -> tuple[TrainPlan, str]:
        """The plan that takes less memory from now on, and what to say; raises OutOfRoomError."""
        changed = None if self.method.is_halfway else smaller(self.plan)
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

    def _without_compiling(self, failure: str) -> tuple[TrainPlan, str]:
        told = f"Layers could not be compiled ({failure}), so they run as they are."
        return replace(self.plan, compile=False), told

    def _change(self, plan: TrainPlan, told: str) -> None:
        """Go on by another plan, and say and record it."""
        self.plan = plan
        self.method.forget_gradients()
        events = [*self.run.info.get("events", []), told]
        self.run.update(plan=plan.as_json(), events=events)
        self.observer.on_message(told)
        self.method = change_method(self.method, plan)

    def _step(self, batch: Batch) -> Taken:
        """One optimizer step over one batch, queued: nothing waits for the device here."""
        state, plan, begun = self.state, self.plan, time.perf_counter()
        rate = plan.schedule.rate(state.step, plan.steps) * state.rate_factor
        for group in self.method.optimizer.param_groups:
            group["lr"] = rate
        loss, norm = None, None
        if state.step != state.left_out_step:
            before = self._norm_before()
            if self.method.waits_for_norm and before is None:
                self._accumulate(batch, None)
                before = self.method.update(self.scaler, plan.optim.clip)
            loss = self._accumulate(batch, before)
            norm = self.method.update(self.scaler, plan.optim.clip)
        taken = Taken(state.step, begun, rate, loss, norm, batch)
        state.step += 1
        return taken

    def _accumulate(self, batch: Batch, norm: torch.Tensor | None) -> torch.Tensor:
        """Add up the gradient over a batch; returns its loss in nats, of all tokens together."""
        # Windows over long stretches of context may hold nothing to learn.
        n_learned = max(1, batch.n_learned)
        self.model.train()
        loss = torch.zeros((), device=self.device)
        micros = split_micro(batch, self.plan.micro_batch)
        for index, micro in enumerate(micros):
            self.method.begin(last=index + 1 == len(micros), norm=norm)
            torch.manual_seed(combine(self.plan.seed, self.state.step, index))
            loss_sum = batch_loss(self.model, micro, self.device, self.plan.precision)
            self.scaler.scale(loss_sum / n_learned).backward()  # type: ignore[no-untyped-call]
            loss += loss_sum.detach()
        return loss

    def _norm_before(self) -> torch.Tensor | None:
        """The gradient's norm in the step before, None where there was none."""
        if self._taken:
            return self._taken[-1].norm
        norm = self.state.grad_norm
        return torch.full((), norm, device=self.device) if norm else None

    def _read(self, late: int = 0) -> None:
        """Read what steps came to, all but the newest `late`; raises DivergedError."""
        while len(self._taken) > late:
            taken = self._taken.pop(0)
            loss, norm = taken.read()
            # Twice what guessing every token alike would cost: no model that learns is there.
            if loss is not None and not loss < 2 * math.log(self.model.config.vocab_size):
                self._go_back_to(taken.step, loss)
            if norm is not None and not (math.isfinite(norm) or self.scaler.is_enabled()):
                self._go_back_to(taken.step, norm)
            self._record(taken, loss, norm)

    def _go_back_to(self, step: int, value: float) -> NoReturn:
        """Raise DivergedError for a step, as if no other had been taken since."""
        self._taken.clear()
        self.state.step = step
        raise self._diverged(value)

    def _record(self, taken: Taken, loss: float | None, norm: float | None) -> None:
        """Write down what a step came to, and tell the observer."""
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
        """Raise DivergedError when a step left what is no number, up to the one just taken."""
        self._read()
        norms = torch._foreach_norm([p.detach() for p in self.method.trained.values()])
        value = float(torch.stack(norms).sum())
        if not math.isfinite(value):
            self._go_back_to(self.state.step - 1, value)

    def _diverged(self, value: float) -> DivergedError:
        self.saver.wait()  # so that the checkpoint named is the newest
        last = self.run.pointed("latest")
        rate = self.plan.schedule.learning_rate
        kept = f" The last good checkpoint is {last}." if last else ""
        return DivergedError(
            f"The loss or its gradient came to {value:g} at step {self.state.step + 1}, so "
            f"training stopped.{kept}",
            fix=f"Try --learning-rate {rate / 3:.1e}, or --precision fp32.",
        )

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
            self.scaler.load_state_dict(self.state.loss_scale)
        self.state.records = self.run.forget_after(self.state.step, self.state.records)
        if folder:
            tidy(self.run, self.state, self.plan.keep)

    def restore(self, folder: Path | None, *, optimizer: bool = True) -> None:
        """Go back to a checkpoint's weights, or to the first, and to its optimizer's state."""
        self.method.forget_gradients()
        self.method.restore(self.load_model, folder)
        if not optimizer:
            return
        self.method.optimizer.state.clear()
        if folder:
            load_optimizer(folder, self.method)

    def evaluate(self) -> bool:
        """Measure on the held-out part; returns whether it is the best so far."""
        state, start = self.state, time.perf_counter()
        score = self._score(self.measured)
        improved = score.loss < state.best_loss
        if improved:
            state.best_loss, state.best_step, state.worse_in_a_row = score.loss, state.step, 0
        else:
            state.worse_in_a_row += 1
        state.seconds += time.perf_counter() - start
        self._record_score(score, state.step, full=self.measured is self.held_out, best=improved)
        return improved

    def score_all(self, step: int) -> Score:
        """Score the full held-out part with the weights as they are, which are those of `step`."""
        score = self._score(self.held_out)
        self._record_score(score, step, full=True, best=False)
        return score

    def _score(self, part: Split) -> Score:
        arithmetic = autocast(self.device, self.plan.precision)
        return score_part(self.model, part, autocast=arithmetic)

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
        """Write samples with the weights as they are."""
        with autocast(self.device, self.plan.precision):
            samples = self.write_samples()
        self.run.write_samples(self.state.step, samples)
        self.observer.on_samples(self.state.step, samples)

    def save(self) -> None:
        """Begin to write a checkpoint of this step."""
        if self.scaler.is_enabled():
            self.state.loss_scale = self.scaler.state_dict()
        self.saver.save(self.state, self.method)
        self._last_save = time.monotonic()

    def _save_is_due(self) -> bool:
        waited = time.monotonic() - self._last_save
        return _is_due(self.state.step, self.plan.save_every) or (
            0 < self.plan.save_seconds <= waited
        )


def batch_loss(model: GPT2, batch: Batch, device: torch.device, precision: str) -> torch.Tensor:
    """The cross-entropy summed over a batch's learned tokens, in nats: a scalar with a gradient."""
    targets_N = bring(batch.targets_BT, device).flatten()
    with autocast(device, precision):
        hidden_BTC = model(
            bring(batch.tokens_BT, device),
            bring(batch.positions_BT, device),
            documents(batch.documents_BT, device),
        )
        return chunked_cross_entropy(hidden_BTC.flatten(0, 1), model.head_weight_VC, targets_N)


def _is_due(step: int, every: int, last: int = 0) -> bool:
    return step == last or (every > 0 and step % every == 0)
