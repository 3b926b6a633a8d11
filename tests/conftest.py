"""One thread a test process, since they share the cores; and no test is a matter of speed.

PyTorch writes, so that texts are the same on every machine; tests of the native decoder load it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PENWRIGHT_NATIVE", "torch")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings

settings.register_profile("at any speed", deadline=None)
settings.load_profile("at any speed")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Chromium, driven by Playwright; the tests are skipped where either is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()
