"""One thread a test process, since they share the cores; and no test is a matter of speed.

PyTorch writes, so that texts are the same on every machine; tests of the native decoder load it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("PENWRIGHT_NATIVE", "torch")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings

settings.register_profile("at any speed", deadline=None)
settings.load_profile("at any speed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each slow test half an hour, on a busy machine too."""
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Chromium, driven by Playwright; the tests are skipped where either is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs chromium")
    api.expect.set_options(timeout=30_000)  # milliseconds; a busy machine is slow
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture(autouse=True, scope="session")
def no_waiting_for_disks() -> Iterator[None]:
    """No file that a test writes has to survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory) -> Path:
    """A model of one layer with the vocabulary of `base`, for runs whose texts do not matter."""
    from penwright import weights
    from penwright.model import GPT2, GPT2Config, init_weights
    from penwright.tokens import Tokenizer
    from penwright.weights.names import base_folder

    tokenizer = Tokenizer.from_folder(base_folder())
    end = tokenizer.eot_id
    shape = {"n_positions": 512, "n_embd": 16, "n_layer": 1, "n_head": 2}
    ends = {"bos_token_id": end, "eos_token_id": end}
    model = GPT2(GPT2Config(vocab_size=tokenizer.vocab_size, **shape, **ends))
    init_weights(model, seed=1)
    folder = tmp_path_factory.mktemp("tiny")
    weights.save(folder, model, tokenizer, card="", penwright={})
    return folder


@pytest.fixture
def known_speed(monkeypatch) -> None:
    """The machine's speed, which each new cache would have measured, is a made-up one."""
    from penwright.train.calibrate import Rates

    rates = Rates(
        block_token=1e-5,
        head_token=1e-5,
        head_pass=1e-3,
        adamw_weight=1e-9,
        adamw8bit_weight=2e-9,
    )
    monkeypatch.setattr("penwright.train.calibrate.measure", lambda *_: rates)
    monkeypatch.setattr("penwright.verbs.starting.peak_flops", lambda *_: 1e12)


@pytest.fixture
def small_base(tiny_base, known_speed, monkeypatch) -> Callable[[], Path]:  # noqa: ARG001
    """`base` is a tiny model, on a machine of known speed: for runs whose texts do not matter."""
    from penwright.weights import names

    real = names.base_folder
    monkeypatch.setattr(names, "base_folder", lambda: tiny_base)
    return real


@pytest.fixture
def real_base(small_base, monkeypatch) -> None:
    """`base` is itself, in a module whose other tests have the tiny model."""
    monkeypatch.setattr("penwright.weights.names.base_folder", small_base)
