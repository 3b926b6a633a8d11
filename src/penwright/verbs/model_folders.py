"""Make model folders: train a tokenizer, make an untrained model, export, merge, push, download."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penwright import formats, weights
from penwright.config import NewConfig, TokenizerConfig, build
from penwright.errors import UsageError, suggest
from penwright.files import atomic_folder, refuse_existing
from penwright.model import GPT2, SIZES, init_weights
from penwright.tokens import Tokenizer
from penwright.weights.describing import MIND
from penwright.weights.huggingface import SHARD_BYTES
from penwright.wording import Warn, log, parse_size


def train_tokenizer(
    *data: str | Path, output: str | Path, warn: Warn = log, **options: Any
) -> Tokenizer:
    """Learn a byte-level BPE from the texts in `data` and write it to the new folder `output`.

    `options` are those of `penwright tokenizer train`. Raises DataError and UsageError.
    """
    return run_train_tokenizer(data, build(TokenizerConfig, options | {"output": output}), warn)


def run_train_tokenizer(
    paths: Sequence[str | Path], config: TokenizerConfig, warn: Warn
) -> Tokenizer:
    """Train a tokenizer, as `config` asks."""
    output = config.output
    refuse_existing(output)
    documents = formats.read(paths, config.data, warn)
    tokenizer = Tokenizer.train((document.text for document in documents), config.vocab_size)
    with atomic_folder(output) as folder:
        tokenizer.save(folder)
    if tokenizer.vocab_size < config.vocab_size:
        warn(f"The text has room for {tokenizer.vocab_size:,} tokens only.")
    return tokenizer


def new(output: str | Path, **options: Any) -> int:
    """Make an untrained model in the new folder `output`; returns its number of parameters.

    `options` are those of `penwright new`. Raises UsageError, and TokenizerError for a folder
    without a tokenizer.
    """
    return run_new(build(NewConfig, options | {"output": output}))


def run_new(config: NewConfig) -> int:
    """Make a model, as `config` asks; returns its number of parameters."""
    output = config.output
    refuse_existing(output)
    if config.size not in SIZES:
        near = suggest(config.size, SIZES) or f"The sizes are {', '.join(SIZES)}."
        raise UsageError(f"There is no size '{config.size}'.", fix=near)
    folder = config.tokenizer
    tokenizer = Tokenizer.gpt2() if folder is None else Tokenizer.from_folder(folder)
    shape = SIZES[config.size]
    model = GPT2(
        dataclasses.replace(
            shape,
            vocab_size=tokenizer.vocab_size,
            n_positions=config.context or shape.n_positions,
            n_layer=config.layers or shape.n_layer,
            n_embd=config.width or shape.n_embd,
            n_head=config.heads or shape.n_head,
            bos_token_id=tokenizer.eot_id,
            eos_token_id=tokenizer.eot_id,
        )
    )
    init_weights(model, config.seed)
    card = (
        f"# {output.name}\n\nAn untrained model of {model.n_parameters:,} parameters, made with "
        f"Penwright. It writes nonsense until it has read something.\n\n{MIND}\n"
    )
    with atomic_folder(output) as folder:
        weights.save(folder, model, tokenizer, card=card, penwright={})
    return model.n_parameters


def run_export(
    model: str | Path,
    to: str,
    output: Path,
    *,
    dtype: str | None = None,
    shard_size: str | None = None,
    check: bool = False,
) -> weights.Exported:
    """Write `model` for another runtime; see `penwright.weights.export`."""
    size = SHARD_BYTES if shard_size is None else parse_size(shard_size)
    return weights.export(model, to, output, dtype=dtype, shard_bytes=size, check=check)


def merge(model: str | Path, adapter: str | Path, output: Path) -> Path:
    """Merge a LoRA adapter into its model, and write the result to `output`."""
    return weights.merge(model, adapter, output)


def push(model: str | Path, repository: str, *, private: bool = False) -> str:
    """Upload a model and its card to the Hugging Face Hub; return the address."""
    return weights.push(model, repository, private=private)


def download(name: str) -> Path:
    """Download a model into the Hub's cache, and return its folder."""
    return weights.download(name)
