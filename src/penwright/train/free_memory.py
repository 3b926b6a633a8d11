"""Find how much memory a run may use: the free part of the GPU, the machine and its limits."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import torch

_UNKNOWN = 4 << 30
"""Bytes to plan for where the system does not say what is free."""
_ENDLESS = 1 << 60
"""Limits of control groups from here on are none."""


def free_memory(
    device: torch.device, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")
) -> int:
    """Return the bytes that are free on the GPU, or for this process on the machine.

    On a CPU, the least of: what the system has free, what the control groups (a container's, a
    systemd scope's) leave, and what `ulimit` leaves of address space and data. Without /proc,
    psutil says what is free; without psutil, half of the machine's memory counts as free.
    """
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = [*_of_system(proc), *_of_groups(proc, groups), *_of_process(proc)]
    return max(min(free, default=_UNKNOWN), 0)


def _of_system(proc: Path) -> Iterator[int]:
    """Yield the free bytes of the machine, if the system says."""
    if (found := _field(proc / "meminfo", "MemAvailable")) is not None:
        yield found
    elif importlib.util.find_spec("psutil"):
        import psutil

        yield int(psutil.virtual_memory().available)
    elif "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _of_groups(proc: Path, groups: Path) -> Iterator[int]:
    """Yield what each control group that holds this process leaves, of version 1 and 2."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, names = groups, ("memory.max", "memory.current")
        if controllers:
            root, names = groups / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        # In a container the group's own path may not be visible, but its limits lie at the root.
        inside = Path(place.lstrip("/"))
        for group in (inside, *inside.parents):
            limit, used = (_number(root / group / name) for name in names)
            if limit is not None and limit < _ENDLESS:
                yield limit - (used or 0)


def _of_process(proc: Path) -> Iterator[int]:
    """Yield what `ulimit -v` and `ulimit -d` leave."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, field in ((resource.RLIMIT_AS, "VmSize"), (resource.RLIMIT_DATA, "VmData")):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit - (_field(proc / "self" / "status", field) or 0)


def _field(path: Path, name: str) -> int | None:
    """Return a line of /proc, such as `MemAvailable:  1024 kB`, in bytes."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith(f"{name}:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None


def _number(path: Path) -> int | None:
    """Return the number in a file; None if there is none, or `max`."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def budget_of(memory: int | None, device: torch.device, devices: int) -> int:
    """Return the bytes that a rank may take: as asked, or its share of what is free here."""
    if memory is not None:
        return memory
    free = free_memory(device)
    return free if device.type == "cuda" else free // devices
