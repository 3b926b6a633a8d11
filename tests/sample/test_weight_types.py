"""The type of the weights: measured once, within its limit of quality, and said."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch

from penwright import native
from penwright.config import LoadConfig
from penwright.errors import UsageError
from penwright.model import GPT2
from penwright.model.lora import TARGETS, add_low_rank
from penwright.native import PackedModel
from penwright.sample.decoder import TorchSource
from penwright.sample.weight_types import Measured, Measurements, choose_weights, open_source
from penwright.weights import peft, save
from tests.native.conftest import BEST, needs_library, pack
from tests.sample.conftest import build_model


def measured(**types: tuple[float, float]) -> Measurements:
    return Measurements({name: Measured(*pair) for name, pair in types.items()})


def test_the_fastest_type_within_its_limit():
    found = measured(float32=(0, 50), bf16=(1e-5, 80), int8=(0.004, 150), int4=(0.031, 300))
    assert found.best == "int8"
    assert "3.0 times as fast as float32 here, at 0.40 % more perplexity" in found.says
    assert measured(float32=(0, 50), int8=(0.006, 150), int4=(0.029, 140)).best == "int4"
    assert measured(float32=(0, 50), int8=(0.001, 49), int4=(0.2, 90)).best == "float32"


@needs_library
def test_measured_once_and_kept(tokenizer, tmp_path):
    model = build_model(tokenizer.vocab_size, std=0.3)
    packed: list[str] = []

    def make(weights: str) -> native.PackedModel:
        packed.append(weights)
        return pack(model, weights)

    kept = tmp_path / "calibration.json"
    chosen, found = choose_weights("digest", BEST, make, tokenizer, kept)
    assert packed == ["float32", "bf16", "int8", "int4"]
    assert chosen.weights == found.best
    losses = {name: one.perplexity for name, one in found.types.items()}
    assert losses["float32"] == 0 < losses["bf16"] < losses["int8"] < losses["int4"]
    again, known = choose_weights("digest", BEST, make, tokenizer, kept)
    assert (again.weights, known, packed[4:]) == (found.best, found, [found.best])
    choose_weights("another model", BEST, make, tokenizer, kept)
    assert len(packed) == 9


@needs_library
def test_a_model_in_int8_keeps_no_other_weights(monkeypatch):
    monkeypatch.setenv("PENWRIGHT_NATIVE", "")
    said: list[str] = []
    opened = open_source("base", LoadConfig(weights="int8"), said.append)
    assert opened.source.weights == "int8"
    parameters = opened.open_model().n_parameters
    assert opened.source.n_bytes < 1.1 * parameters
    assert open_source("base", LoadConfig(precision="bf16"), said.append).source.weights == "bf16"
    assert [line for line in said if "Compiled" not in line] == []


@needs_library
@pytest.mark.slow
def test_opening_and_closing_ten_models_returns_memory(monkeypatch):
    monkeypatch.setenv("PENWRIGHT_NATIVE", "")
    if not Path("/proc/self/statm").exists():
        pytest.skip("the memory of a process is read from /proc")

    def resident() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    sizes = []
    for _ in range(11):
        source = open_source("base", LoadConfig(weights="float32"), lambda _: None).source
        source.decoder().enter([[1] * 100] * 8)
        size = source.n_bytes
        del source
        sizes.append(resident())
    assert sizes[-1] - sizes[0] < size


def test_weights_that_cannot_be_had(monkeypatch):
    monkeypatch.setenv("PENWRIGHT_NATIVE", "torch")
    for name in ("int8", "int4"):
        with pytest.raises(UsageError, match="native decoder"):
            open_source("base", LoadConfig(weights=name), print)
    with pytest.raises(UsageError, match="contradict"):
        open_source("base", LoadConfig(weights="bf16", precision="fp32"), print)
    assert open_source("base", LoadConfig(), print).source.weights == "float32"


def write_adapter(folder: Path, base: str | Path, model: GPT2, seed: int) -> Path:
    """Write an adapter of `base` with random factors for every matrix."""
    factors = add_low_rank(model, rank=3, alpha=6, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    pairs = {
        name: peft.Pair(one.lora_A, torch.randn(one.lora_B.shape, generator=generator) / 9, 2.0)
        for name, one in factors.items()
    }
    settings = peft.lora_settings(str(base), 3, 6, list(TARGETS))
    peft.save_adapter(folder, peft.Adapter(pairs, str(base), settings))
    return folder


@pytest.mark.parametrize(
    ("decoder", "types"), [("", ["float32", "int8"]), ("torch", ["float32", "bf16"])]
)
def test_adapters_stay_beside_one_base(monkeypatch, tokenizer, tmp_path, decoder, types):
    if not decoder and BEST is None:
        pytest.skip("there is no C compiler")
    monkeypatch.setenv("PENWRIGHT_NATIVE", decoder)
    model = build_model(tokenizer.vocab_size, std=0.1)
    save(tmp_path / "base", model, tokenizer, card="", penwright={})
    names = [write_adapter(tmp_path / f"{n}", tmp_path / "base", build_model(9), n) for n in (1, 2)]
    tokens = [list(range(20, 33)), [5], list(range(40, 47))]
    for type_ in types:
        config = LoadConfig(weights=type_)
        opened = [
            open_source(name, config, print) for name in [names[0], tmp_path / "base", names[1]]
        ]
        first, base, second = (one.source for one in opened)
        read = {}
        for one, expected in ((opened[0], names[0]), (opened[2], names[1])):
            merged = TorchSource(one.open_model())
            assert merged.weights == "float32"
            found, exact = (s.decoder() for s in (one.source, merged))
            for each in (found, exact):
                each.enter([[] for _ in tokens])
            read[expected] = found.feed(tokens, every=True)
            error = (read[expected] - exact.feed(tokens, every=True)).abs().max()
            assert error < (1e-4 if type_ == "float32" else 0.2)
        assert (read[names[0]] - read[names[1]]).abs().max() > 1
        if isinstance(base, PackedModel):
            layers = [one.struct.layer[1] for one in (first, base, second)]
            assert len({layer.out.data for layer in layers}) == 1
        else:
            weights = [one.model.blocks[1].mlp.c_proj.weight for one in (first, base, second)]
            assert len({weight.data_ptr() for weight in weights}) == 1
