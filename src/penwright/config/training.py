"""Options of training, and of the device that computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from penwright.config.data import DataConfig
from penwright.config.fields import Names, Numbers, Spelling, Texts
from penwright.errors import UsageError

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["fp32", "bf16", "fp16"]
WeightsName = Literal["float32", "bf16", "int8", "int4"]
ScheduleName = Literal["constant", "linear", "cosine", "step", "wsd"]
OptimizerName = Literal["adamw", "adamw8bit", "adafactor", "muon", "sgd"]
LoggerName = Literal["tensorboard", "wandb"]
CompileName = Literal["auto", "on", "off"]
MethodName = Literal["full", "lean", "lora"]
KernelsName = Literal["torch", "native", "onednn"]
BatchShape = Literal["packed", "windows", "rows"]
ParallelName = Literal["ddp", "fsdp"]


def require_positive(options: object, *names: str) -> None:
    """Raise UsageError for an option that is given and not above 0."""
    for name in names:
        value = getattr(options, name)
        if value is not None and value <= 0:
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} cannot be {value:g}.", fix="Give a number above 0.")


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """Device and precision."""

    device: Device = "auto"
    """Device to compute on. Default: the fastest one here."""
    precision: Literal["auto", Precision] = "auto"
    """Precision of matrix products. Default: the best that this device does well."""


@dataclass(frozen=True, kw_only=True)
class LoadConfig(ComputeConfig):
    """Device, precision and weights of a model that writes."""

    weights: Literal["auto", WeightsName] = "auto"
    """Type of the weights while writing on a CPU. auto: the fastest here that writes as well,
    measured once for each model; float32 gives the same texts on every machine."""
    drafts: Literal["auto", "off"] = "auto"
    """Guess the next tokens from the text so far and the training text, which `copied` has to
    index if it is long. Changes the speed only; auto stops where it does not pay."""


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The learning rate over the run."""

    learning_rate: float | None = None
    """Peak learning rate."""
    schedule: Literal["auto", ScheduleName] = "auto"
    """Learning rate over the run: constant, or falling as linear, cosine, step or wsd (constant,
    then linearly to 0). auto is cosine."""
    warmup: float = 0.05
    """Steps over which the rate rises: a share of all steps (below 1), or a number."""
    decay_factor: float = 0.1
    """step: multiply the rate by this; cosine and linear: end at this share of the rate."""
    decay_share: float = 0.4
    """For --schedule wsd: share of the steps in which the rate falls."""
    decay_epochs: Numbers = ()
    """For --schedule step: epochs after which the rate is multiplied."""

    def __post_init__(self) -> None:
        require_positive(self, "learning_rate")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer and its settings."""

    optimizer: OptimizerName = "adamw"
    """adamw8bit and adafactor take less memory than adamw; sgd the least, but learns slowly; muon
    orthogonalises each matrix's update, for training from nothing."""
    weight_decay: float = 0.01
    """Weight decay of matrices; biases and layer norms have none."""
    beta1: float = 0.9
    """AdamW's decay of the mean gradient."""
    beta2: float = 0.999
    """AdamW's decay of the mean squared gradient."""
    eps: float = 1e-8
    """AdamW's epsilon."""
    clip: float = 1.0
    """Clip the norm of the gradient to this. 0: no clipping."""


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Settings of the method lora."""

    quantize: bool = False
    """Keep the frozen weights in int8, one byte each."""
    lora_rank: int = 8
    """Rank of the LoRA matrices."""
    lora_alpha: float = 16.0
    """LoRA's output is scaled by this over the rank."""
    lora_dropout: float = 0.0
    """Dropout before the LoRA matrices."""
    lora_targets: Names = ("c_attn", "c_proj", "c_fc")
    """Matrices that get LoRA: c_attn, c_proj, c_fc; attn.c_proj and mlp.c_proj name one of two."""


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig:
    """Options of `finetune`; `None` and "auto" are chosen by the size of the model and data."""

    model: str | None = None
    """The model to start from: a size (124M), a Hub name, a folder, a run, or base."""
    name: str | None = None
    """The run's name, a folder under runs/."""
    output_dir: Path | None = None
    """The run's folder, if not under runs/."""
    resume: bool = False
    """Continue the run exactly where it stopped."""
    checkpoint: str | None = None
    """With --resume: continue from this checkpoint (step-000500) instead of the latest."""
    overwrite: bool = False
    """Replace an existing run of the same name."""
    data: DataConfig = field(default_factory=DataConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)

    epochs: float | None = None
    """Passes through the data. Default: chosen by the amount of data."""
    steps: int | None = None
    """Number of optimizer steps, instead of epochs."""
    steps_per_epoch: int | None = None
    """Steps that count as one epoch. Default: one pass through the data."""
    batch_size: int | None = None
    """Sequences in one optimizer step."""
    micro_batch: int | None = None
    """Sequences computed at once. Fewer take less memory and give the same gradient."""
    max_length: int | None = None
    """Tokens in a sequence. Default: the model's context, or less if the data is shorter."""
    shape: Literal["auto", BatchShape] = "auto"
    """packed: documents one after another; windows: random crops; rows: one document per row."""
    held_out: float | None = None
    """Share of the documents to hold out and measure on. 0: train on everything."""
    held_out_data: tuple[str, ...] = ()
    """Files to measure on, instead of a share of the documents. May be given several times."""
    fix: bool = False
    """Train on held-out documents whose text is also in the training part, instead of measuring on
    them."""
    drop_repeats: int | None = None
    """Leave out passages of at least this many words that the data holds already, keeping the
    first of each."""
    mix: Numbers = ()
    """Share of each data set in the training, such as 0.7,0.3; smaller sets are repeated. 1: equal
    shares."""
    mix_end: Numbers = ()
    """Shares at the last step, such as 0.2,0.8; they change linearly from those of --mix."""
    add_token: Texts = ()
    """Text that becomes one token, such as "<sep>". May be given several times."""

    rates: ScheduleConfig = field(default_factory=ScheduleConfig)
    optim: OptimizerConfig = field(default_factory=OptimizerConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)

    method: Literal["auto", MethodName] = "auto"
    """full: all weights in float32; lean: all weights in bfloat16, with little memory; lora: small
    matrices beside a frozen model. auto: the first of these that fits in memory."""
    memory: str | None = None
    """Largest amount of memory to use, such as 8GB. Default: what is free."""
    devices: int | None = None
    """Number of GPUs, or of processes on a CPU, that train together. Default: one, or all that
    torchrun has started."""
    parallel: Literal["auto", ParallelName] = "auto"
    """With several devices. ddp: each holds the whole model; fsdp: each holds a part of every
    weight (FSDP2). auto: ddp where it fits in memory."""
    recompute: bool = False
    """Gradient checkpointing: recompute activations in the backward pass, to save memory."""
    compile: CompileName = "auto"
    """torch.compile one block, which takes half a minute on a GPU. auto: where the run is long
    enough to gain."""
    train_only: Literal["all", "layers"] = "all"
    """layers: train the blocks only; embeddings and the last norm stay frozen."""
    freeze_layers: int = 0
    """Freeze the first N blocks."""
    dropout: float = 0.0
    """Dropout of embeddings, attention and residuals."""
    seed: int = 42
    """Seed of the data order and of everything random."""

    evaluate_every: int | None = None
    """Steps between measurements on held-out text. Default: often enough to cost a tenth of the
    time."""
    patience: int = 5
    """Stop after this many measurements without improvement. 0: never stop early."""
    save_every: str | int | None = None
    """Steps (500) or time (10min) between checkpoints. Default: 10 minutes."""
    keep: int = 2
    """Number of checkpoints to keep, besides the best."""
    sample_every: int | None = None
    """Steps between samples. 0: none."""
    sample_prompts: Texts = ()
    """Prompts for the samples; \\n is a new line. Default: beginnings of held-out documents."""
    sample_tokens: int = 80
    """Length of a sample in tokens."""
    log: Annotated[tuple[LoggerName, ...], Spelling.LIST] = ()
    """Also log to tensorboard (a folder in the run's folder) or wandb (Weights & Biases)."""

    def __post_init__(self) -> None:
        require_positive(self, "epochs", "steps", "steps_per_epoch", "batch_size", "micro_batch")
        if self.held_out is not None and not 0 <= self.held_out < 1:
            raise UsageError(
                f"--held-out cannot be {self.held_out:g}.",
                fix="It is a share: --held-out 0.1 measures on a tenth of the text.",
            )


MAY_CHANGE = (
    "steps", "epochs", "micro_batch", "device", "devices", "parallel", "compile", "save_every",
    "keep", "patience", "log", "sample_every", "sample_prompts", "sample_tokens",
)  # fmt: skip
"""Options that may have another value when a run is resumed."""
ABOUT_THE_CALL = ("model", "name", "output_dir", "resume", "checkpoint", "overwrite")
"""Options that choose a run or its place, and are not compared when it is resumed."""
RIVALS = {"steps": "epochs", "epochs": "steps"}
"""Options that replace another one, which a recipe or an older run may have."""


def override(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `values` with those of `given` in place, and without what these replace."""
    replaced = {RIVALS[name] for name in given if name in RIVALS}
    return {name: value for name, value in values.items() if name not in replaced} | dict(given)


@dataclass(frozen=True, kw_only=True)
class CrossTrainConfig(FinetuneConfig):
    """Options of `cross-train`."""

    falling: float = 0.5
    """Multiply the learning rate by this from each data set to the next."""


@dataclass(frozen=True, kw_only=True)
class RecipeConfig:
    """Options of `recipe` beside those of `finetune`."""

    data: tuple[str, ...] = ()
    """Your data instead of the bundled sample. May be given several times."""
    prompt: Texts = ()
    """Text to continue at the end, instead of the recipe's own prompts. May be given several
    times."""


@dataclass(frozen=True, kw_only=True)
class PlanConfig:
    """Options of `plan`."""

    memory: str | None = None
    """Largest amount of memory to use, such as 8GB. Default: what is free."""
    epochs: float | None = None
    """Passes through the data. Default: chosen by the amount of data."""
    steps: int | None = None
    """Number of optimizer steps, instead of epochs."""
    batch_size: int | None = None
    """Sequences in one optimizer step."""
    max_length: int | None = None
    """Tokens in a sequence."""
    devices: int | None = None
    """Number of GPUs, or of processes on a CPU, that train together. Memory is that of one."""
    data: DataConfig = field(default_factory=DataConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)


@dataclass(frozen=True, kw_only=True)
class NewConfig:
    """Options of `new`."""

    output: Path
    """The new model's folder."""
    size: str = "tiny"
    """tiny (7M parameters with a vocabulary of 8,192), small (30M), or GPT-2's 124M, 355M, 774M or
    1558M."""
    tokenizer: Path | None = None
    """Folder of a tokenizer. Default: GPT-2's."""
    context: int | None = None
    """Context length in tokens. Default: 512 for tiny, 1024 for the others."""
    layers: int | None = None
    """Number of layers, instead of the size's."""
    width: int | None = None
    """Width of the hidden states, instead of the size's."""
    heads: int | None = None
    """Attention heads in a layer, instead of the size's. Must divide the width."""
    seed: int = 0
    """Seed of the random weights."""
