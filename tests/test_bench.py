"""The list of benches names every one, and keeping a result loses no other."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench"


def test_the_list_names_every_bench():
    listed = set(re.findall(r"`(\w+\.py)`", (BENCH / "README.md").read_text(encoding="utf-8")))
    assert listed == {path.name for path in BENCH.glob("*.py")}


def test_results_are_kept_by_kind_of_processor(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("keeping", BENCH / "keeping.py")
    keeping = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(keeping)
    monkeypatch.setattr(keeping, "RESULTS", tmp_path)
    head = keeping.describe("a test", ("numpy",))
    assert {"penwright", "python", "numpy"} == set(head["versions"])
    keeping.keep("one", {"a": head})
    path = keeping.keep("one", {"b": 2}, add=True)
    assert json.loads(path.read_text()) == {"a": head, "b": 2}
    assert path.parent.name == keeping.kind() == head["instructions"]
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert keeping.kind() in ("avx2", "neon", "generic")
