"""Run GPT-2 on a CPU in C: one library for all instruction sets, compiled where it is used."""

from __future__ import annotations

from penwright.native.build import Library, describe, load
from penwright.native.decoder import Choice, NativeDecoder
from penwright.native.packed import WEIGHTS, PackedModel

__all__ = ["WEIGHTS", "Choice", "Library", "NativeDecoder", "PackedModel", "describe", "load"]
