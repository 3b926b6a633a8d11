"""How much memory is free, where the system says it in different ways."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from penwright.train.free_memory import free_memory

resource = pytest.importorskip("resource", reason="needs POSIX")
CPU = torch.device("cpu")
MIB = 1 << 20


@pytest.fixture
def system(tmp_path):
    """`system(cgroup=..., files={...})` is a machine of 8 GiB with these control groups."""

    def make(cgroup: str = "", files: dict[str, str] | None = None) -> dict[str, Path]:
        proc, groups = tmp_path / "proc", tmp_path / "groups"
        (proc / "self").mkdir(parents=True)
        (proc / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 8388608 kB\n")
        (proc / "self" / "cgroup").write_text(cgroup)
        for name, text in (files or {}).items():
            (groups / name).parent.mkdir(parents=True, exist_ok=True)
            (groups / name).write_text(text)
        return {"proc": proc, "groups": groups}

    return make


def test_what_the_system_has_free(system):
    assert free_memory(CPU, **system()) == 8192 * MIB


def test_a_container_s_limit_lies_at_the_root(system):
    files = {"memory.max": f"{2048 * MIB}\n", "memory.current": f"{48 * MIB}\n"}
    assert free_memory(CPU, **system("0::/../../app\n", files)) == 2000 * MIB


def test_the_narrowest_group_counts(system):
    files = {
        "user.slice/memory.max": f"{4096 * MIB}", "user.slice/memory.current": f"{96 * MIB}",
        "user.slice/run.scope/memory.max": "max", "user.slice/run.scope/memory.current": "5",
    }  # fmt: skip
    assert free_memory(CPU, **system("0::/user.slice/run.scope\n", files)) == 4000 * MIB


def test_groups_of_version_1(system):
    files = {
        "memory/memory.limit_in_bytes": f"{(1 << 63) - 4096}",
        "memory/docker/memory.limit_in_bytes": f"{1024 * MIB}",
        "memory/docker/memory.usage_in_bytes": f"{24 * MIB}",
    }
    assert free_memory(CPU, **system("5:cpu:/docker\n4:memory:/docker\n", files)) == 1000 * MIB


def test_ulimit(system, monkeypatch):
    place = system()
    (place["proc"] / "self" / "status").write_text("VmSize: 1048576 kB\n")
    limits = {resource.RLIMIT_AS: 3072 * MIB}
    monkeypatch.setattr(
        resource, "getrlimit", lambda kind: (limits.get(kind, resource.RLIM_INFINITY), 0)
    )
    assert free_memory(CPU, **place) == 2048 * MIB
    limits[resource.RLIMIT_AS] = 512 * MIB
    assert free_memory(CPU, **place) == 0


def test_without_proc_it_still_knows(tmp_path):
    found = free_memory(CPU, proc=tmp_path, groups=tmp_path)
    assert 256 * MIB < found < 1 << 50
