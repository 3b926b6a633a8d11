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
        The folder of the new store; NAME.zip is one compressed file, to keep or to send.
    """
    from penwright.report.words import count
    from penwright.verbs.prepare import run_prepare

    store = run_prepare(data, output, options, warn)
    documents, tokens = count(store.n_documents, "document"), count(store.n_tokens, "token")
    print(f"{documents}, {tokens} in {output}")
