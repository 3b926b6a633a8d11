"""Libraries for each instruction set of this machine, and packed models."""

from __future__ import annotations

import contextlib

import pytest

from penwright.errors import UsageError
from penwright.model import GPT2
from penwright.native import build
from penwright.native.build import Library
from penwright.native.packed import PackedModel


def libraries() -> dict[str, Library]:
    """Return the library for each instruction set that this machine runs."""
    try:
        path = build.find() or build.compile_library()
    except build.BuildError:
        return {}
    found = {}
    for variant in build.VARIANTS:
        with contextlib.suppress(UsageError):
            found[variant] = build.open_library(path, variant)
    return found


LIBRARIES = libraries()
BEST = next(reversed(LIBRARIES.values()), None)
needs_library = pytest.mark.skipif(not LIBRARIES, reason="there is no C compiler")
every_variant = pytest.mark.parametrize(
    "variant", LIBRARIES or [pytest.param("", marks=pytest.mark.skip)]
)


def pack(model: GPT2, weights: str = "float32", variant: str = "", threads: int = 2) -> PackedModel:
    state = model.state_dict()
    library = LIBRARIES[variant or next(reversed(LIBRARIES))]
    read = state.__getitem__
    return PackedModel(model.config, read, library, weights, threads, smallest=0)
