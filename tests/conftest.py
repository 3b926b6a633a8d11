"""One thread a test process, since they share the cores; and no test is a matter of speed.

PyTorch writes, so that texts are the same on every machine; tests of the native decoder load it."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PENWRIGHT_NATIVE", "torch")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from hypothesis import settings

settings.register_profile("at any speed", deadline=None)
settings.load_profile("at any speed")
