"""Rank 0 leads the other ranks of a run.

Rank 0 runs the loop and does all else: it reads the data, prints, measures and saves. The others
follow: rank 0 sends them the model and the plan, then each step's batch, of which a rank computes
its rows; so they need no files.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from penwright.compute import autocast
from penwright.errors import OutOfRoomError, RankError, RankLostError
from penwright.model import GPT2, GPT2Config, evaluating
from penwright.score import Losses, score_windows, token_losses
from penwright.tokens import Batch, Split
from penwright.train.methods import LoadModel
from penwright.train.parallel import Sharded, World, exchange
from penwright.train.plan import TrainPlan
from penwright.train.replica import ReadState, Replica, plain_model

Result = TypeVar("Result")


def lead(world: World, body: Callable[[], Result]) -> Result:
    """Run `body` at rank 0, and tell the other ranks its result, or that there is none."""
    result: Result | None = None
    try:
        result = body()
    except RankLostError:
        raise
    except BaseException:
        with suppress(RankLostError):
            world.tell("end", None)
        raise
    world.tell("end", result)
    return result


def follow(world: World) -> Any:
    """Do what rank 0 tells until it ends the run; return the result of rank 0.

    Raises SystemExit when rank 0 has none, or has ended: it is the one that says why.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # rank 0 decides, and saves before it stops
    try:
        result = _obey(world)
    except RankLostError:
        raise SystemExit(1) from None
    except OutOfRoomError as error:
        raise RankError(error.message, fix=error.fix) from None
    if result is None:
        raise SystemExit(0)
    return result


def _obey(world: World) -> Any:
    """Have this rank's replica do what rank 0 tells, until the end; return what comes with it."""
    replica: Replica | None = None
    while True:
        name, arguments = world.receive()
        if name == "end":
            return arguments[0]
        with exchange(), torch.random.fork_rng([]):
            if name == "begin":
                replica = _begin(world, *arguments)
            elif name == "losses":
                assert replica is not None
                _share_losses(world, replica, *arguments)
            else:
                getattr(replica, name)(*arguments)


def _begin(
    world: World, config: GPT2Config, plan: TrainPlan, dropout: float, frozen: set[str]
) -> Replica:
    model = GPT2(config)  # its zeros take no memory until rank 0's weights arrive
    model.set_dropout(dropout)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in frozen)
    return Replica(model, plan, world.device, world.devices(plan))


class Leader(Replica):
    """Rank 0's replica, which has the other ranks do what it does."""

    def __init__(self, world: World, model: GPT2, plan: TrainPlan, device: torch.device) -> None:
        self.world = world
        dropout = next((m.p for m in model.modules() if isinstance(m, nn.Dropout)), 0.0)
        frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
        world.tell("begin", model.config, plan, dropout, frozen)
        with exchange():
            super().__init__(model, plan, device, world.devices(plan))

    @property
    def is_halfway(self) -> bool:
        return True  # the other ranks are

    def change(self, plan: TrainPlan) -> None:
        raise NotImplementedError("the plan of several ranks is fixed")

    def step(self, batch: Batch, number: int, rate: float) -> tuple[Tensor, Tensor]:
        self.world.tell("step", batch, number, rate)
        with exchange():
            return super().step(batch, number, rate)

    def weights_norm(self) -> Tensor:
        self.world.tell("weights_norm")
        with exchange():
            return super().weights_norm()

    def score(self, part: Split) -> Losses:
        return score_windows(self.model, part, spread=self._losses)

    def _losses(self, items: Iterable[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
        """Yield the losses of batches, of which each rank computes one at a time."""
        waiting: list[tuple[Tensor, Tensor]] = []
        for item in items:
            waiting.append(item)
            if len(waiting) == self.world.size:
                yield from self._share(waiting)
                waiting = []
        if waiting:
            yield from self._share(waiting)

    def _share(self, items: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
        self.world.tell("losses", items)
        with exchange():
            return _share_losses(self.world, self, items)

    def written_by(self) -> GPT2:
        return plain_model(self.model.config, self.tensors()) if self.devices.shards else self.model

    def restore(
        self,
        load_model: LoadModel | None,
        folder: Path | None,
        read_state: ReadState | None,
        norm: float = 0.0,
    ) -> None:
        self.world.tell("restore", None, folder, read_state and _read_nothing, norm)
        with exchange():
            super().restore(load_model, folder, read_state, norm)

    def tensors(self) -> dict[str, Tensor]:
        if self.devices.shards:
            self.world.tell("tensors")
        with exchange():
            return super().tensors()

    def write_state(self, folder: Path, state: dict[str, Tensor] | None = None) -> None:
        if self.devices.shards:
            self.world.tell("write_state", folder)
        with exchange():
            super().write_state(folder, state)


def _read_nothing(folder: Path) -> dict[str, Tensor]:
    """Return no state: rank 0 reads it, and sends it."""
    del folder
    return {}


def _share_losses(
    world: World, replica: Replica, items: Sequence[tuple[Tensor, Tensor]]
) -> list[Tensor]:
    """Compute this rank's losses of `items`; return all of them at rank 0."""
    # Every rank gathers sharded weights, so one without a batch of its own takes the last.
    mine = items[min(world.rank, len(items) - 1)]
    arithmetic = autocast(world.device, replica.plan.precision)
    with evaluating(replica.model), torch.no_grad(), arithmetic:
        losses_BT = token_losses(replica.model, *mine)
    if isinstance(replica.devices, Sharded):
        replica.devices.free_gathered(replica.model)
    found: list[Any] | None = [None] * world.size if world.rank == 0 else None
    dist.gather_object(losses_BT, found, 0, world.control)
    return (found or [])[: len(items)]
