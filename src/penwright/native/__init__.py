"""Run GPT-2 on a CPU in C: one library for all instruction sets, compiled where it is used.

Names are imported on first use, so that compiling the library needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penwright.native.build import Library as Library
    from penwright.native.build import describe as describe
    from penwright.native.build import load as load
    from penwright.native.decoder import MOST_REFUSED as MOST_REFUSED
    from penwright.native.decoder import Choice as Choice
    from penwright.native.decoder import NativeDecoder as NativeDecoder
    from penwright.native.guesses import MOST_GUESSES as MOST_GUESSES
    from penwright.native.guesses import Corpus as Corpus
    from penwright.native.guesses import Guessed as Guessed
    from penwright.native.guesses import GuessPlan as GuessPlan
    from penwright.native.packed import WEIGHTS as WEIGHTS
    from penwright.native.packed import PackedModel as PackedModel

_HOMES = {
    "Choice": "decoder",
    "Corpus": "guesses",
    "GuessPlan": "guesses",
    "Guessed": "guesses",
    "Library": "build",
    "MOST_GUESSES": "guesses",
    "MOST_REFUSED": "decoder",
    "NativeDecoder": "decoder",
    "PackedModel": "packed",
    "WEIGHTS": "packed",
    "describe": "build",
    "load": "build",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
