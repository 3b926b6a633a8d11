"""`penwright prepare`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from penwright.cli.options import Opened, warn
from penwright.config import PrepareConfig


def prepare(
    *data: str,
    output: Path,
    options: Annotated[PrepareConfig, Opened] = PrepareConfig(),  # noqa: B008 - frozen
) -> None:
    """Encode a text once, into a token store that `finetune` and `evaluate` take directly.

    Parameters
    ----------
    data
        Files, folders or globs.
    output
        The folder of the new store.
    """
    from penwright.verbs.prepare import run_prepare

    store = run_prepare(data, output, options, warn)
    print(f"{store.n_documents:,} documents, {store.n_tokens:,} tokens in {output}")
