"""Documents become token ids, a memory-mapped store of them, and batches.

bpe         text <-> token ids (byte-level BPE)
prepare     documents -> a store on disk
store       the store, opened by memory map
part        which stretches of a store are trained on, and which are held out
batches     a part -> batches of tensors; the only file here that needs torch, so that the
            processes that encode need not load it
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penwright.tokens.bpe import Tokenizer
from penwright.tokens.hashing import fingerprint, hash_file, hash_files
from penwright.tokens.part import Part, split
from penwright.tokens.prepare import prepare
from penwright.tokens.store import Store

if TYPE_CHECKING:
    from penwright.tokens.batches import Batch, Plan, fit_length, split_micro

__all__ = [
    "Batch",
    "Part",
    "Plan",
    "Store",
    "Tokenizer",
    "fingerprint",
    "fit_length",
    "hash_file",
    "hash_files",
    "prepare",
    "split",
    "split_micro",
]

_WITH_TORCH = ("Batch", "Plan", "fit_length", "split_micro")


def __getattr__(name: str) -> Any:
    if name in _WITH_TORCH:
        from penwright.tokens import batches

        return getattr(batches, name)
    raise AttributeError(f"module 'penwright.tokens' has no attribute '{name}'")
