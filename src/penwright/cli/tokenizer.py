"""`penwright tokenizer`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from penwright.cli.options import Opened, warn
from penwright.config import TokenizerConfig


def train(
    *data: str,
    output: Path,
    options: Annotated[TokenizerConfig, Opened] = TokenizerConfig(),  # noqa: B008 - frozen
) -> None:
    """Learn a tokenizer from a text, for another language or a small model.

    Parameters
    ----------
    data
        Files, folders or globs.
    output
        The new folder.
    """
    from penwright.verbs.new import run_train_tokenizer

    tokenizer = run_train_tokenizer(data, output, options, warn)
    print(f"{tokenizer.vocab_size:,} tokens in {output}")
    print(f"A model for it: penwright new --tokenizer {output} -o MODEL")
