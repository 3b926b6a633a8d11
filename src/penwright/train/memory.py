"""Predict the memory of a training step, by part, and choose a method that fits.

The figures follow from what each method holds and what autograd keeps for the backward pass; the
constants per token were counted from the operations of a block and are held against measurements
by bench/memory.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from penwright.config import FinetuneConfig, KernelsName, MethodName, OptimizerName
from penwright.errors import OutOfRoomError
from penwright.model import SIZES, GPT2Config
from penwright.model.loss import CHUNK_LOGITS, TILE
from penwright.train.optimizer import OPTIMIZER_OF, OPTIMIZERS
from penwright.weights.names import SIZES as PRETRAINED
from penwright.wording import data_size

# Bytes of a token's channel that a block keeps: 4 for each of two norms' inputs, then what the
# products and the GELU read, in the arithmetic's width.
_KEPT_BYTES = {2: 38, 4: 68}
_FUSED_BYTES = 28  # where each half of a block is one function: model/fused.py
_KERNELS_BYTES = {2: 25, 4: 41}  # where a block is one: native/training.py
_SIGNS = ("can't allocate memory", "out of memory", "bad_alloc", "could not allocate")
BUCKET_BYTES = 25 << 20
"""Gradients that ranks sum together, as in torch's DDP."""
_PROCESS = 270 << 20  # the interpreter, torch and its threads


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes at the peak of a step, by part."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    process: int

    @property
    def total(self) -> int:
        """Return the sum of all parts."""
        return sum(asdict(self).values())


@dataclass(frozen=True, kw_only=True)
class Load:
    """The settings that a step's memory depends on, besides the model."""

    method: MethodName
    width: int
    """Bytes of a number in the products: 2 for bf16, 4 for fp32."""
    micro_batch: int
    length: int
    batch_size: int
    optimizer: OptimizerName = "adamw"
    recompute: bool = False
    quantize: bool = False
    lora_rank: int = 8
    on_gpu: bool = False
    kernels: KernelsName = "torch"
    devices: int = 1
    """Number of ranks; the batch is that of one."""
    shard: bool = False
    """Whether a rank holds a shard of everything (FSDP2), or all of it (DDP)."""

    @classmethod
    def wanted(
        cls,
        config: FinetuneConfig,
        precision: str,
        batch_size: int,
        length: int,
        device: torch.device,
        kernels: KernelsName = "torch",
        devices: int = 1,
    ) -> Load:
        """Return the load of these options with the method full, the first choice."""
        batch_size = -(-batch_size // devices)
        return cls(
            method="full",
            width=4 if precision == "fp32" else 2,
            micro_batch=batch_size,
            length=length,
            batch_size=batch_size,
            optimizer=config.optim.optimizer,
            lora_rank=config.lora.lora_rank,
            on_gpu=device.type != "cpu",
            kernels=kernels,
            devices=devices,
        )


def predict(config: GPT2Config, load: Load) -> Memory:
    """Predict the peak memory of a step on a model of this shape."""
    counts = Counts.of(config)
    tokens = load.micro_batch * load.length
    head = config.vocab_size * config.n_embd
    logits = min(tokens * config.vocab_size, max(CHUNK_LOGITS, config.vocab_size)) * load.width
    logits += TILE * config.vocab_size * 4 + (head * 2 if load.width == 2 else 0)
    narrow = load.method == "full" and load.width == 2 and not load.shard
    if (
        load.kernels != "torch"
        and not load.shard
        and load.method != "lora"
        and not config.first_gpt
    ):
        each = _KERNELS_BYTES[load.width]
    else:
        each = _FUSED_BYTES if narrow and not load.on_gpu else _KEPT_BYTES[load.width]
    kept = tokens * config.n_embd * each
    through = tokens * config.n_embd * 4 * config.n_layer
    activations = through + kept if load.recompute else kept * config.n_layer
    optimizer = OPTIMIZERS[load.optimizer]
    if load.method == "lean":
        weights = 2 * (counts.matrices + counts.head) + 4 * counts.rest
        # The embedding's gradient is the only one that lives through a backward pass.
        gradients, state = 4 * head, optimizer.state_of(counts.all) + (8 << 20)
        if load.micro_batch < load.batch_size:
            gradients += 2 * counts.all
    elif load.method == "lora":
        trained = config.n_layer * 18 * config.n_embd * load.lora_rank
        width = 1 if load.quantize else load.width
        weights = width * counts.matrices + load.width * counts.head + 4 * counts.rest + 4 * trained
        gradients, state = 4 * trained, optimizer.state_of(trained)
        if load.shard:
            weights = (
                (weights - 4 * trained) // load.devices + _gathered(config, load) + 4 * trained
            )
    else:
        shards = load.devices if load.shard else 1
        weights = 4 * counts.all // shards + (2 * counts.matrices if narrow else 0)
        weights += _gathered(config, load) if load.shard else 0
        gradients = 4 * counts.all // shards
        state = optimizer.state_of(counts.all, counts.matrices) // shards
        # Activations go as gradients come, unless gradients of a micro-batch before are there.
        if load.micro_batch >= load.batch_size:
            gradients -= 2 * counts.matrices if narrow else 0
            activations = max(0, activations + logits - gradients)
            logits = min(logits, activations)
            activations -= logits
            gradients += 4 * head
        if load.shard:  # the embedding's gradient once more while ranks sum it
            gradients += 4 * head
    if load.devices > 1 and not load.shard and load.method != "lean":
        gradients += min(gradients, BUCKET_BYTES)
    return Memory(
        weights=weights,
        gradients=gradients,
        optimizer=state,
        activations=activations,
        logits=logits,
        process=0 if load.on_gpu else _PROCESS,
    )


def _gathered(config: GPT2Config, load: Load) -> int:
    """Return the bytes of whole weights that a rank holds at once: the embeddings, two blocks."""
    counts = Counts.of(config)
    wide = load.width if load.method == "lora" else 4
    embeddings = wide * counts.head + 4 * config.n_positions * config.n_embd
    return embeddings + 2 * load.width * counts.matrices // config.n_layer


@dataclass(frozen=True)
class Counts:
    """Parameter counts: the matrices of the blocks, the output matrix, and the rest."""

    matrices: int
    head: int
    rest: int

    @property
    def all(self) -> int:
        return self.matrices + self.head + self.rest

    @classmethod
    def of(cls, config: GPT2Config) -> Counts:
        """Count the parameters of a model of this shape."""
        width, inner = config.n_embd, config.inner
        matrices = config.n_layer * (4 * width * width + 2 * width * inner)
        heads = 1 if config.tie_word_embeddings else 2
        small = config.n_layer * (9 * width + inner) + 2 * width
        return cls(matrices, heads * config.vocab_size * width, config.n_positions * width + small)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _SIGNS)


_SHARE = 0.9  # of the memory that may be planned for
_NOTES = {
    "full": "trains every weight in float32",
    "lean": "trains every weight, rounded to bfloat16",
    "lora": "trains small additions to a frozen model",
}


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to train, and whether it fits."""

    load: Load
    memory: Memory
    fits: bool

    @property
    def name(self) -> str:
        """Return the method and its options, such as `full, recompute`."""
        words: list[str] = [self.load.method]
        words += ["fsdp"] if self.load.shard else []
        words += ["quantize"] if self.load.quantize else []
        words += ["recompute"] if self.load.recompute and self.load.method != "lean" else []
        return ", ".join(words)

    @property
    def note(self) -> str:
        """Return a short description of the method."""
        return _NOTES[self.load.method]


def list_options(config: GPT2Config, wanted: Load, budget: int) -> list[Option]:
    """List every method for a model of this shape, with the largest micro-batch that fits."""
    return [_fitted(config, load, budget) for load in _ways(wanted)]


def choose(
    config: GPT2Config,
    wanted: Load,
    budget: int,
    asked: FinetuneConfig,
    *,
    with_bf16: bool = True,
) -> tuple[Option, str]:
    """Return the first method that fits of those `asked` leaves open, and a sentence on why.

    Where nothing fits, the smallest is taken if the method was asked for; otherwise OutOfRoomError
    says what would fit.
    """
    options = [
        _fitted(config, load, budget, asked.micro_batch)
        for load in _ways(wanted)
        if asked.method in ("auto", load.method)
        and (not asked.recompute or load.recompute)
        and (not asked.lora.quantize or load.quantize)
        and (asked.method != "auto" or not _is_bound_to_full(asked) or load.method == "full")
        and (asked.method != "auto" or with_bf16 or load.method != "lean")
        and asked.parallel in ("auto", "fsdp" if load.shard else "ddp")
    ]
    for number, option in enumerate(options):
        if option.fits:
            first = options[0]
            why = (
                ""
                if number == 0
                else f"{first.name} would take {data_size(first.memory.total)} of the "
                f"{data_size(budget)} at hand, so {option.name} is taken: "
                f"{data_size(option.memory.total)}."
            )
            return option, why
    smallest = min(options, key=lambda option: option.memory.total)
    if asked.method != "auto" or asked.micro_batch:
        return smallest, (
            f"{smallest.name} is likely to take {data_size(smallest.memory.total)}, more than the "
            f"{data_size(budget)} at hand."
        )
    raise OutOfRoomError(
        f"Training this model takes {data_size(smallest.memory.total)} at the least, and "
        f"{data_size(budget)} are at hand.",
        fix=what_would_fit(wanted, budget),
    )


def what_would_fit(wanted: Load, budget: int) -> str:
    """Return a sentence that names the largest pretrained GPT-2 that fits in `budget` bytes."""
    for size in sorted(PRETRAINED, key=lambda name: -SIZES[name].n_layer * SIZES[name].n_embd):
        for option in list_options(SIZES[size], wanted, budget):
            if option.fits:
                return f"What fits: --model {size} with --method {option.load.method}."
    return "Shorter sequences (--max-length) and the small bundled model (--model base) take less."


def as_json(option: Option) -> dict[str, Any]:
    """Return an option as JSON values."""
    from dataclasses import asdict

    return {
        "name": option.name,
        "method": option.load.method,
        "precision": "fp32" if option.load.width == 4 else "bf16",
        "devices": option.load.devices,
        "parallel": "fsdp" if option.load.shard else "ddp",
        "recompute": option.load.recompute,
        "quantize": option.load.quantize,
        "micro_batch": option.load.micro_batch,
        "memory": asdict(option.memory) | {"total": option.memory.total},
        "fits": option.fits,
        "note": option.note,
    }


def _ways(wanted: Load) -> Iterator[Load]:
    """Yield every way to train, from the fastest and best to the smallest."""

    def way(
        method: MethodName, *, recompute: bool, quantize: bool = False, shard: bool = False
    ) -> Load:
        width = 2 if method == "lean" or quantize else wanted.width
        optimizer: OptimizerName = OPTIMIZER_OF["lean"] if method == "lean" else wanted.optimizer
        return replace(
            wanted,
            method=method,
            recompute=recompute,
            quantize=quantize,
            width=width,
            optimizer=optimizer,
            shard=shard,
        )

    can_shard = wanted.devices > 1 and OPTIMIZERS[wanted.optimizer].elementwise

    yield way("full", recompute=False)
    yield way("full", recompute=True)
    if can_shard:
        yield way("full", recompute=False, shard=True)
        yield way("full", recompute=True, shard=True)
    yield way("lean", recompute=True)
    yield way("lora", recompute=False)
    yield way("lora", recompute=True)
    if can_shard:
        yield way("lora", recompute=False, shard=True)
        yield way("lora", recompute=True, shard=True)
    yield way("lora", recompute=False, quantize=True)
    yield way("lora", recompute=True, quantize=True)


def _fitted(config: GPT2Config, load: Load, budget: int, micro_batch: int | None = None) -> Option:
    """Return the option with the given micro-batch, or the largest that fits, by halving."""
    rows = min(micro_batch or load.batch_size, load.batch_size)
    while True:
        tried = replace(load, micro_batch=rows)
        memory = predict(config, tried)
        fits = memory.total <= _SHARE * budget
        if fits or rows == 1 or micro_batch:
            return Option(load=tried, memory=memory, fits=fits)
        rows = -(-rows // 2)


def _is_bound_to_full(asked: FinetuneConfig) -> bool:
    """Whether only the method full can do what was asked for."""
    return (
        "lean" not in OPTIMIZERS[asked.optim.optimizer].methods or asked.compute.precision == "fp32"
    )
