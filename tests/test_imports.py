"""Importing a part of Penwright loads only what that part needs."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("penwright.verbs.generate", "penwright.train"),
        ("penwright.verbs.generate", "penwright.formats"),
        ("penwright.verbs.token_scores", "penwright.train"),
        ("penwright.verbs.prepare", "torch"),
        ("penwright.verbs.describe", "torch"),
        ("penwright.tokens.encode", "torch"),
        ("penwright", "torch"),
    ],
)
def test_importing_loads_nothing_of(module: str, unwanted: str) -> None:
    program = (
        f"import sys, {module};"
        f"print(*[n for n in sys.modules if (n + '.').startswith({unwanted + '.'!r})])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert found.stdout.split() == []
