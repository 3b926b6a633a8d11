"""`penwright merge`"""

from __future__ import annotations

from pathlib import Path


def merge(model: str, adapter: str, *, output: Path) -> None:
    """Write a model with a LoRA adapter merged into its weights.

    Parameters
    ----------
    model
        The model that the adapter was made for.
    adapter
        A folder in PEFT's format.
    output
        The new folder.
    """
    from penwright import weights

    print(weights.merge(model, adapter, output))
