from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from penwright import compute
from penwright.compute import choose_device, choose_precision
from penwright.errors import UsageError

CPU = torch.device("cpu")


def test_the_precision_is_measured_once(tmp_path, monkeypatch):
    kept = tmp_path / "calibration.json"
    monkeypatch.setattr(compute, "is_emulated", lambda *_: False)
    monkeypatch.setattr(compute, "product_seconds", lambda dtype, _: float(dtype.itemsize))
    assert choose_precision("auto", CPU, 64, kept) == "bf16"
    monkeypatch.setattr(compute, "product_seconds", lambda *_: 1.0)
    assert choose_precision("auto", CPU, 64, kept) == "bf16"
    assert choose_precision("auto", CPU, 64) == choose_precision("auto", CPU, 32, kept) == "fp32"
    assert choose_precision("bf16", CPU, 32, kept) == "bf16"


def test_a_missing_device_is_refused_with_those_that_exist():
    missing = next(d for d in ("mps", "cuda") if not getattr(torch, d).is_available())
    with pytest.raises(UsageError, match=f"no device '{missing}'") as error:
        choose_device(missing)
    assert "cpu" in str(error.value.fix)


def test_an_emulated_precision_is_never_chosen_and_never_timed_at_full_size(monkeypatch):
    monkeypatch.setattr(compute, "is_emulated", lambda name, _: name != "fp32")
    monkeypatch.setattr(compute, "product_seconds", lambda *_: pytest.fail("timed"))
    assert choose_precision("auto", CPU, 1600) == "fp32"
    assert "has no bf16 arithmetic" in compute.emulation_warning("bf16", CPU)
    assert compute.emulation_warning("fp32", CPU) == ""


@pytest.mark.parametrize("isa", ["AVX2", "DEFAULT"])
def test_a_limit_on_the_instructions_counts(isa):
    """ONEDNN_MAX_CPU_ISA is read once, when oneDNN is loaded."""
    code = (
        "import torch; from penwright.compute import is_emulated as e; c = torch.device('cpu')\n"
        "print(e('fp32', c), e('bf16', c), e('fp16', c))"
    )
    env = os.environ | {"ONEDNN_MAX_CPU_ISA": isa}
    said = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    emulated = said.stdout.split()
    assert emulated[0] == "False"
    if isa == "AVX2":
        assert emulated[1:] == ["True", "True"]
