"""One thread a test process, since they share the cores; and no test is a matter of speed."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from hypothesis import settings

settings.register_profile("at any speed", deadline=None)
settings.load_profile("at any speed")
