from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from penwright.train import calibrate, meter
from penwright.train.calibrate import card_flops, peak_flops
from penwright.train.memory import Counts
from penwright.train.meter import Busy, Meter, flops_a_token

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def at_every_look(monkeypatch):
    monkeypatch.setattr(meter, "_SECONDS_BETWEEN_LOOKS", 0.0)


def test_operations_are_those_that_torch_counts(make_trainer):
    trainer = make_trainer("run", steps=1, max_length=32)
    model, config = trainer.model, trainer.model.config
    batch, length = 2, 32
    with FlopCounterMode(display=False) as counter:
        hidden_BTC = model(torch.zeros(batch, length, dtype=torch.long))
        (hidden_BTC @ model.head_weight_VC.T).sum().backward()
    products = sum(
        count for op, count in counter.get_flop_counts()["Global"].items() if "mm" in str(op)
    )
    attention = 12 * config.n_layer * config.n_embd * length
    expected = (sum(flops_a_token(config, trainer.plan)) - attention) * batch * length
    assert products == pytest.approx(expected, rel=0.01)


def test_frozen_weights_have_no_gradients(make_trainer):
    full = make_trainer("full", steps=1)
    lora = make_trainer("lora", steps=1, method="lora")
    config = full.model.config
    weights = Counts.of(config).matrices + config.vocab_size * config.n_embd
    difference = sum(flops_a_token(config, full.plan)) - sum(flops_a_token(config, lora.plan))
    assert difference == 2 * weights


def test_the_share_of_the_peak_is_measured_in_percent(make_trainer):
    trainer = make_trainer("run", steps=1)
    config, plan = trainer.model.config, trainer.plan
    flops = flops_a_token(config, plan)
    peak = 20 * (50 * flops.body + 10 * flops.head)
    found = Meter(config, plan, CPU, peak).read(tokens=50, learned=10, seconds=0.5)
    assert found["mfu_percent"] == pytest.approx(10.0)
    assert found["tokens_per_s"] == 100
    assert found["memory_mb"] > 10
    assert "mfu_percent" not in Meter(config, plan, CPU, None).read(50, 10, 0.5)
    # Faster than the machine was thought to be: the most that was seen counts as all of it.
    meter = Meter(config, plan, CPU, 1.0)
    assert meter.read(50, 10, 0.5)["mfu_percent"] == 100
    assert meter.read(50, 10, 1.0)["mfu_percent"] == pytest.approx(50)


def test_every_step_is_metered(make_trainer):
    pytest.importorskip("psutil", reason="needs psutil")
    trainer = make_trainer("run", steps=3)
    trainer.meter = Meter(trainer.model.config, trainer.plan, CPU, 1e12)
    trainer.train()
    steps = [record for record in trainer.run.metrics() if record["kind"] == "step"]
    for record in steps:
        assert {"mfu_percent", "tokens_per_s", "memory_mb", "cpu_percent"} <= set(record)
        assert 0 <= record["cpu_percent"] <= 100


class FakeNvml:
    class NVMLError(Exception):
        pass

    def __init__(self, *, sliced=False, missing=False):
        self.sliced, self.missing = sliced, missing

    def nvmlInit(self):
        if self.missing:
            raise self.NVMLError("no driver")

    def nvmlDeviceGetHandleByUUID(self, name):
        assert name == "GPU-1234"
        return "card"

    def nvmlDeviceGetMemoryInfo(self, card):
        assert card == "card"
        return SimpleNamespace(used=3 * 2**30)

    def nvmlDeviceGetUtilizationRates(self, card):  # noqa: ARG002
        if self.sliced:
            raise self.NVMLError("not supported")
        return SimpleNamespace(gpu=87)


@pytest.mark.parametrize(
    ("nvml", "found"),
    [
        (FakeNvml(), {"gpu_percent": 87.0, "gpu_memory_mb": 3221.225472}),
        (FakeNvml(sliced=True), {"gpu_memory_mb": 3221.225472}),
        (FakeNvml(missing=True), {}),
        (None, {}),
    ],
)
def test_a_gpu_tells_what_it_can(monkeypatch, nvml, found):
    monkeypatch.setattr(meter, "_import", {"pynvml": nvml}.get)
    properties = lambda _: SimpleNamespace(uuid="1234")  # noqa: E731
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    assert Busy(torch.device("cuda", 0)).look() == found


def test_without_the_packages_nothing_is_told(monkeypatch):
    real = __import__

    def without(name, *rest):
        if name in ("psutil", "pynvml"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr("builtins.__import__", without)
    assert Busy(CPU).look() == {}


def test_the_machine_is_looked_at_once_in_a_while(monkeypatch):
    monkeypatch.setattr(meter, "_SECONDS_BETWEEN_LOOKS", 1e9)
    assert Busy(CPU).look() == {}


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10G", 70),
        ("Tesla T4", 65),
        ("NVIDIA GeForce RTX 4090", 165),
        ("NVIDIA H200 MIG 1g.18gb", None),
        ("Somebody's Card 9", None),
    ],
)
def test_cards_are_known_by_their_names(name, tera):
    assert card_flops(name) == (tera * 1e12 if tera else None)


def test_the_peak_of_a_processor_is_the_best_that_was_seen(tmp_path, monkeypatch):
    kept = tmp_path / "cache" / "calibration.json"
    for seconds, tera in ((1e-3, 2 * 1024**3 / 1e-3), (2e-3, 2 * 1024**3 / 1e-3)):
        monkeypatch.setattr(calibrate, "_best", lambda *_, seconds=seconds: seconds)
        assert peak_flops("fp32", CPU, kept) == pytest.approx(tera)
    assert list(json.loads(kept.read_text()).values()) == [pytest.approx(2 * 1024**3 / 1e-3)]
    kept.write_text("{damaged")
    assert peak_flops("fp32", CPU, kept) == pytest.approx(2 * 1024**3 / 2e-3)
    assert peak_flops("fp32", torch.device("mps"), kept) is None


def test_the_peak_is_really_measured(tmp_path):
    assert peak_flops("fp32", CPU, tmp_path / "calibration.json") > 1e8
