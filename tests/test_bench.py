"""The list of benches names every one, keeping a result loses no other, and a grown model is as
the small one."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import torch

from penwright.weights import open as open_model

BENCH = Path(__file__).parents[1] / "bench"


def test_the_list_names_every_bench():
    listed = set(re.findall(r"`(\w+\.py)`", (BENCH / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in BENCH.glob("*.py")}


def import_bench(name: str):
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_results_are_kept_by_kind_of_processor(tmp_path, monkeypatch):
    keeping = import_bench("keeping")
    monkeypatch.setattr(keeping, "RESULTS", tmp_path)
    head = keeping.describe("a test", ("numpy",))
    assert {"penwright", "python", "numpy"} == set(head["versions"])
    keeping.keep("one", {"a": head})
    path = keeping.keep("one", {"b": 2}, add=True)
    assert json.loads(path.read_text()) == {"a": head, "b": 2}
    assert path.parent.name == keeping.kind() == head["instructions"]
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert keeping.kind() in ("avx2", "neon", "generic")


def test_a_grown_model_computes_what_the_small_one_does(tmp_path, tiny_base):
    import_bench("grow").grow(str(tiny_base), tmp_path / "grown", 3, 2)
    small, large = (open_model(str(place)).model for place in (tiny_base, tmp_path / "grown"))
    assert large.config.n_embd == 3 * small.config.n_embd
    assert large.config.n_layer == small.config.n_layer + 2
    tokens_BT = torch.arange(40).view(2, 20) % small.config.vocab_size
    with torch.no_grad():
        expected, found = (model.logits(model(tokens_BT)) for model in (small, large))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
