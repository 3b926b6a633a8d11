"""Train on several devices and machines, applied from outside to the model and the loop.

Each rank is a process with one device that torchrun started; train/ranks.py has rank 0 lead them.

DDP (Li et al., "PyTorch Distributed", 2020): each rank holds everything; gradients are summed.
FSDP2 (`fully_shard`; Zhao et al., "PyTorch FSDP", 2023): each rank holds a shard of each weight,
gradient and average; a block's weights are gathered while it computes.

The loss is a sum over the rows of all ranks, divided by the number of learned tokens in the whole
batch, so that a step equals that of one rank but for the order in which numbers are added.
"""

from __future__ import annotations

import atexit
import functools
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from penwright.document import IGNORED
from penwright.errors import OutOfRoomError, RankError, RankLostError, UsageError
from penwright.model import GPT2
from penwright.tokens import Batch
from penwright.train.checkpoint import STATE_SHARDS
from penwright.train.memory import BUCKET_BYTES, is_out_of_memory
from penwright.train.one_device import OneDevice
from penwright.train.plan import TrainPlan

_PATIENCE = timedelta(days=1)
"""How long ranks wait for rank 0, which may measure, sample or save meanwhile."""


class World:
    """The ranks of a run; rank 0 tells the others what to do."""

    def __init__(self, device: torch.device) -> None:
        self.restarts = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
        """How often torchrun has started the ranks anew after one of them ended."""
        # torchrun's store outlives a restart, with the addresses of ranks that are gone.
        store, rank, size = next(rendezvous("env://"))
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=PrefixStore(f"restart-{self.restarts}", store),
            rank=rank,
            world_size=size,
        )
        self.device = device
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.control = dist.new_group(backend="gloo", timeout=_PATIENCE)

    def tell(self, name: str, *arguments: Any) -> None:
        """Have every other rank call its replica's method of that name."""
        with exchange():
            dist.broadcast_object_list([(name, arguments)], 0, self.control)

    def receive(self) -> tuple[str, tuple[Any, ...]]:
        """Wait for what rank 0 tells."""
        told: list[Any] = [None]
        with exchange():
            dist.broadcast_object_list(told, 0, self.control)
        return told[0]  # type: ignore[no-any-return]

    def devices(self, plan: TrainPlan) -> Replicated:
        """Return the way in which the ranks exchange weights and gradients under a plan."""
        return Sharded(self, plan) if plan.parallel == "fsdp" else Replicated(self)


def count_ranks(asked: int | None) -> int:
    """Return the number of processes that torchrun started for this run, 1 without torchrun.

    Raises UsageError where another number was asked for.
    """
    started = int(os.environ["WORLD_SIZE"]) if "LOCAL_RANK" in os.environ else 1
    if asked is not None and asked != started:
        raise UsageError(
            f"devices is {asked}, but this is one of {started} processes."
            if started > 1
            else f"devices is {asked}, but nothing has started that many processes.",
            fix="Leave it out under torchrun; `penwright finetune --devices 2` starts torchrun.",
        )
    return started


def need_one_process(what: str) -> None:
    """Raise UsageError where torchrun has started several processes; `what` needs one."""
    if count_ranks(None) > 1:
        raise UsageError(
            f"{what} trains on one device.",
            fix="Start it without torchrun, or train each stage by `penwright finetune`.",
        )


def join(device: torch.device) -> World:
    """Join the other ranks of the run, once in a process; raises RankError without a GPU left."""
    local = int(os.environ["LOCAL_RANK"])
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise RankError(
                f"This machine has {torch.cuda.device_count()} GPUs, so none is left for its "
                f"process {local + 1}.",
                fix="Start fewer processes, or give --device cpu.",
            )
        torch.cuda.set_device(local)
    return _join(device.type)


@functools.cache
def _join(kind: str) -> World:
    world = World(torch.device(kind))
    atexit.register(dist.destroy_process_group)
    return world


class Replicated(OneDevice):
    """Ranks that each hold the whole model: gradients are summed (DDP)."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.rank, self.size = world.rank, world.size

    def place(self, model: GPT2, held: dict[str, nn.Parameter]) -> dict[str, nn.Parameter]:
        tensors = [*model.parameters(), *model.buffers(), *held.values()]
        for tensor in {id(tensor): tensor for tensor in tensors}.values():
            dist.broadcast(tensor.detach(), 0)
        return held

    def rows(self, batch: Batch) -> Batch:
        count = len(batch.tokens_BT)
        each = -(-count // self.size)
        rows_B = torch.arange(self.rank * each, (self.rank + 1) * each)
        own_B = rows_B.clamp(max=count - 1)  # a row too many is computed, but teaches nothing
        targets_BT = batch.targets_BT[own_B]
        targets_BT[rows_B >= count] = IGNORED
        return Batch(
            batch.tokens_BT[own_B],
            targets_BT,
            batch.positions_BT[own_B],
            batch.documents_BT[own_B],
            batch.n_learned,
        )

    def reduce(self, parameters: Iterable[Tensor], others: Iterable[Tensor] = ()) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        for bucket in _buckets([*gradients, *others]):
            if len(bucket) == 1 and bucket[0].is_contiguous():
                dist.all_reduce(bucket[0])
                continue
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            dist.all_reduce(flat)
            parts = torch.split(flat, [gradient.numel() for gradient in bucket])
            for gradient, part in zip(bucket, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def total(self, value: Tensor) -> Tensor:
        value = value.clone()
        dist.all_reduce(value)
        return value

    def fill(self, held: Tensor, value: Tensor | None) -> None:
        if value is not None:
            held.copy_(value)
        dist.broadcast(held.detach(), 0)

    def spread_state(
        self, tensors: Mapping[str, Tensor], trained: Mapping[str, nn.Parameter]
    ) -> Mapping[str, Tensor]:
        listed: list[Any] = [[(n, t.shape, t.dtype) for n, t in tensors.items()]]
        dist.broadcast_object_list(listed, 0, self.world.control)
        found = {}
        for name, shape, dtype in listed[0]:
            tensor = tensors[name] if tensors else torch.empty(shape, dtype=dtype)
            dist.broadcast(tensor, 0, self.world.control)
            parameter = trained.get(name.rpartition(":")[0])
            found[name] = tensor if parameter is None else self.part(parameter, tensor)
        return found

    def part(self, held: Tensor, value: Tensor) -> Tensor:
        """Return this rank's part of the whole `value` of a held tensor, or of its state."""
        del held
        return value


class Sharded(Replicated):
    """Ranks that each hold a shard of every weight, by rows (FSDP2).

    The optimizer sees a rank's shards as plain parameters, which share the memory of FSDP's.
    """

    shards = True

    def __init__(self, world: World, plan: TrainPlan) -> None:
        from torch.distributed.fsdp import MixedPrecisionPolicy

        super().__init__(world)
        self.mesh = init_device_mesh(world.device.type, (world.size,))
        narrow = torch.bfloat16 if plan.precision == "bf16" and plan.method == "full" else None
        self.policy = MixedPrecisionPolicy(
            param_dtype=narrow, reduce_dtype=torch.float32, cast_forward_inputs=False
        )
        self.whole_of: dict[Tensor, Any] = {}

    def move(self, model: GPT2, device: torch.device) -> None:
        """Leave the model where it is: `place` moves block after block, and frees each."""

    def place(self, model: GPT2, held: dict[str, nn.Parameter]) -> dict[str, nn.Parameter]:
        from torch.distributed.fsdp import fully_shard

        apart = {id(p) for p in model.parameters()}
        names = [name for name, p in held.items() if id(p) in apart]
        factors = {name: p for name, p in held.items() if id(p) not in apart}
        held.clear()  # or every whole weight would be kept
        for block in model.blocks:
            self._send(block)
            if self.policy.param_dtype is not None:  # norms compute in float32
                for norm in (block.get_submodule("ln_1"), block.get_submodule("ln_2")):
                    _sum_up(fully_shard(norm, mesh=self.mesh))
            _sum_up(fully_shard(block, mesh=self.mesh, mp_policy=self.policy))
        self._send(model)
        _sum_up(fully_shard(model, mesh=self.mesh, reshard_after_forward=False))
        for factor in factors.values():
            factor.data = factor.data.to(self.world.device)
            dist.broadcast(factor.detach(), 0)
        sharded: dict[str, Any] = dict(model.named_parameters())
        found = {}
        for name in names:
            whole = sharded[name]
            found[name] = nn.Parameter(whole.detach().to_local(), whole.requires_grad)
            self.whole_of[found[name]] = whole
        return found | factors

    def _send(self, module: nn.Module) -> None:
        """Put what is not sharded yet of a module on the device, as rank 0 has it."""
        for parameter in module.parameters():
            if not hasattr(parameter, "placements"):
                parameter.data = parameter.data.to(self.world.device)
                dist.broadcast(parameter.detach(), 0)

    def reduce(self, parameters: Iterable[Tensor], others: Iterable[Tensor] = ()) -> None:
        """Take over the shards' gradients, which FSDP has summed; sum all others."""
        rest = []
        for parameter in parameters:
            if parameter not in self.whole_of:
                rest.append(parameter)
            elif self.whole_of[parameter].grad is not None:
                parameter.grad = self.whole_of[parameter].grad.to_local()
        super().reduce(rest, others)

    def norm(self, norms: Tensor) -> Tensor:
        squares = torch.linalg.vector_norm(norms) ** 2
        return (self.total(squares) if self.whole_of else squares).sqrt()

    def fill(self, held: Tensor, value: Tensor | None) -> None:
        if held not in self.whole_of:
            super().fill(held, value)
            return
        whole = self.whole_of[held]
        sent = torch.empty(whole.shape, dtype=held.dtype, device=held.device)
        if value is not None:
            sent.copy_(value)
        dist.broadcast(sent, 0)
        held.copy_(self.part(held, sent))

    def part(self, held: Tensor, value: Tensor) -> Tensor:
        if held not in self.whole_of or value.shape != self.whole_of[held].shape:
            return value
        each = -(-len(value) // self.size)
        return value[self.rank * each : (self.rank + 1) * each].clone()

    def whole(self, held: Tensor) -> Tensor:
        """Return the whole tensor, at rank 0 in main memory; elsewhere without content."""
        whole: Any = self.whole_of.get(held, held).detach()
        if hasattr(whole, "full_tensor"):
            whole = whole.full_tensor()
        moved: Tensor = whole.to("cpu" if self.rank == 0 else "meta")
        return moved

    def free_gathered(self, model: Any) -> None:
        """Free the weights that a forward pass without a backward pass has left gathered."""
        model.reshard()

    def write_state(
        self, tensors: Mapping[str, Tensor], trained: Mapping[str, nn.Parameter], folder: Path
    ) -> None:
        if not self.whole_of:
            if self.rank == 0:
                super().write_state(tensors, trained, folder)
            return
        if not folder.is_dir():  # rank 0 made it; shards elsewhere would be lost
            raise RankError(
                f"Rank {self.rank} does not see {folder}, where the checkpoint is written.",
                fix="Put the run on storage that all machines share, or give --parallel ddp.",
            )
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
        from torch.distributed.checkpoint.state_dict_saver import save
        from torch.distributed.tensor import DTensor, Shard

        def divided(name: str, value: Tensor) -> Tensor:
            held = trained[name.rpartition(":")[0]]
            if value.shape != held.shape:
                return value
            whole = self.whole_of[held]
            return DTensor.from_local(
                value, self.mesh, [Shard(0)], shape=whole.shape, stride=whole.stride()
            )

        writer = HuggingFaceStorageWriter(str(folder / STATE_SHARDS), save_distributed=True)
        state = {name: divided(name, value) for name, value in tensors.items()}
        save(state, storage_writer=writer, process_group=self.world.control)


def _sum_up(module: Any) -> None:
    """Have FSDP sum gradients instead of averaging them, which gloo cannot do either."""
    module.set_gradient_divide_factor(1.0)
    module.set_force_sum_reduction_for_comms(True)


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield tensors of one type together, up to BUCKET_BYTES of them."""
    for dtype in sorted({tensor.dtype for tensor in tensors}, key=str):
        bucket: list[Tensor] = []
        for tensor in (tensor for tensor in tensors if tensor.dtype == dtype):
            if bucket and sum(t.nbytes for t in bucket) + tensor.nbytes > BUCKET_BYTES:
                yield bucket
                bucket = []
            bucket.append(tensor)
        yield bucket


@contextmanager
def exchange() -> Iterator[None]:
    """Raise RankLostError or OutOfRoomError for what fails among ranks."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise OutOfRoomError(
                f"Memory ran out at rank {dist.get_rank()}.",
                fix="Continue with --resume and a smaller --micro-batch, or with more devices.",
            ) from None
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        if threading.current_thread() is threading.main_thread():
            # torchrun stops all ranks now; this one has yet to say why.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise RankLostError(
            "Another process of this run has ended, so training stopped.",
            fix="Continue from the last checkpoint with --resume.",
        ) from None
