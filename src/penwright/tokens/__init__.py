"""Documents become token ids, a memory-mapped store of them, and batches.

bpe          text <-> token ids (byte-level BPE); text_encoder does the work
encode       documents -> a store on disk
store        the store, opened by memory map
store_split  a store -> training and held-out split
batches      a split -> batches of tensors; with mixing, the only module that imports torch

Names are loaded when they are first used: generation needs the tokenizer alone, and processes
that encode need no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penwright.tokens.batches import Batch as Batch
    from penwright.tokens.batches import BatchSchedule as BatchSchedule
    from penwright.tokens.batches import fit_length as fit_length
    from penwright.tokens.batches import split_micro as split_micro
    from penwright.tokens.bpe import Tokenizer as Tokenizer
    from penwright.tokens.encode import prepare as prepare
    from penwright.tokens.store import Store as Store
    from penwright.tokens.store_split import Split as Split
    from penwright.tokens.store_split import split as split

_HOMES = {
    "Batch": "batches",
    "Split": "store_split",
    "BatchSchedule": "batches",
    "Store": "store",
    "Tokenizer": "bpe",
    "fit_length": "batches",
    "prepare": "encode",
    "split": "store_split",
    "split_micro": "batches",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
