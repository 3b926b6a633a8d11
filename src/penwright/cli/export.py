"""`penwright export`"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from penwright.cli.options import Json


def export(
    model: str,
    *,
    to: Literal["huggingface", "gguf", "ctranslate2", "adapter"],
    output: Path,
    dtype: str | None = None,
    shard_size: str | None = None,
    check: Annotated[bool, Parameter(negative="")] = False,
    json_: Annotated[Json, Parameter(name="--json")] = False,
) -> None:
    """Write a model for another runtime: transformers, llama.cpp, CTranslate2, PEFT.

    Parameters
    ----------
    model
        A run, a folder, a size (124M), a Hub name, or base.
    to
        What to write.
    output
        The new folder; for gguf it may be the file.
    dtype
        The type of the weights: f32, f16, bf16, int8, q8_0 or q4_0, as the format allows.
    shard_size
        Largest file of a huggingface folder, such as 2GB.
    check
        Run prompts through what was written and through ours, and print the largest difference.
    """
    from dataclasses import asdict

    from penwright.verbs.export import run_export

    made = run_export(model, to, output, dtype=dtype, shard_size=shard_size, check=check)
    if json_:
        print(json.dumps(asdict(made) | {"path": str(made.path)}))
        return
    print(f"{made.path}: {made.to}, {made.dtype}, {made.bytes / 1e6:,.1f} MB")
    if made.checked:
        print(made.checked)
