"""Verbs that pass a model on: export, merge, push."""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter

from penwright.cli.options import Json, Opened, warn
from penwright.config import ExportConfig, MergeConfig


def export(model: str, *, options: Annotated[ExportConfig, Opened], json_: Json = False) -> None:
    """Convert a model for another program: transformers, llama.cpp, CTranslate2, PEFT.

    Parameters
    ----------
    model
        A run, a folder, a size (124M), a Hub name, or base.
    """
    from dataclasses import asdict

    from penwright.verbs.model_folders import run_export

    made = run_export(
        model,
        options.to,
        options.output,
        dtype=options.dtype,
        shard_size=options.shard_size,
        check=options.check,
    )
    if json_:
        print(json.dumps(asdict(made) | {"path": str(made.path)}))
        return
    for note in made.notes:
        warn(note)
    print(f"{made.path}: {made.to}, {made.dtype}, {made.bytes / 1e6:,.1f} MB")
    if made.checked:
        print(made.checked)


def merge(model: str, adapter: str, *, options: Annotated[MergeConfig, Opened]) -> None:
    """Merge a LoRA adapter into its model, and write the result.

    Parameters
    ----------
    model
        The model that the adapter was made for.
    adapter
        A folder in PEFT's format.
    """
    from penwright.verbs.model_folders import merge as run_merge

    print(run_merge(model, adapter, options.output))


def push(
    model: str, repository: str, *, private: Annotated[bool, Parameter(negative="")] = False
) -> None:
    """Upload a model and its model card to the Hugging Face Hub.

    Parameters
    ----------
    model
        A run, or a model's folder.
    repository
        USER/NAME. You are identified by HF_TOKEN or a login of huggingface_hub.
    private
        Make the repository private.
    """
    from penwright.verbs.model_folders import push as run_push

    print(run_push(model, repository, private=private))
