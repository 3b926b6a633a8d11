from __future__ import annotations

import pytest
import torch

from penwright import compute
from penwright.compute import choose_device, choose_precision
from penwright.errors import UsageError

CPU = torch.device("cpu")


def test_the_precision_is_measured_once(tmp_path, monkeypatch):
    kept = tmp_path / "calibration.json"
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
