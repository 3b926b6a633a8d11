"""Results of a bench: what they were measured on, and the file that keeps them.

Results lie in bench/results/KIND/NAME.json. KIND is the processor's best instruction set for what
is measured (avx512_bf16, avx512, avx2, neon or generic) or `cuda`: figures of different kinds are
never compared with each other.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
RESTRICTED = ", torch and Penwright restricted to AVX2"


def describe(what: str, packages: Sequence[str] = ("torch",)) -> dict[str, Any]:
    """Return the head of a result: what was measured, when, on what machine, with which versions.

    Call it before the measurement: `load` says what else ran when it began.
    """
    versions = {"python": platform.python_version()}
    versions |= {name: importlib.metadata.version(name) for name in ("penwright", *packages)}
    return {
        "what": what,
        "when": time.strftime("%Y-%m-%d"),
        "machine": f"{processor()}, {os.cpu_count()} cores" + (RESTRICTED if restricted() else ""),
        "instructions": kind(),
        "load": round(os.getloadavg()[0], 2),
        "versions": versions,
    }


def processor() -> str:
    """Return the processor's name as the system gives it."""
    names = [line for line in _cpuinfo() if line.startswith("model name")]
    return names[0].partition(":")[2].strip() if names else platform.machine()


def restricted() -> bool:
    """Return whether torch and our own code are told to use no more than AVX2."""
    return os.environ.get("ATEN_CPU_CAPABILITY") == "avx2"


def kind() -> str:
    """Return the processor's kind; ATEN_CPU_CAPABILITY=avx2 makes every x86 processor `avx2`."""
    flags = {word for line in _cpuinfo() if line.startswith("flags") for word in line.split()}
    if restricted():
        flags -= {"avx512_bf16", "avx512f"}
    for flag, name in (("avx512_bf16", "avx512_bf16"), ("avx512f", "avx512"), ("avx2", "avx2")):
        if flag in flags:
            return name
    return "neon" if platform.machine() in ("aarch64", "arm64") else "generic"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add --json and --keep."""
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--keep", action="store_true", help="keep the result in bench/results")


def keep(name: str, result: dict[str, Any], *, of: str | None = None, add: bool = False) -> Path:
    """Write a result and return its path; `add` keeps the other entries of the file as they are."""
    path = RESULTS / (of or kind()) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if add and path.exists():
        result = json.loads(path.read_text(encoding="utf-8")) | result
    text = json.dumps(result, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
    return path


def _cpuinfo() -> list[str]:
    info = Path("/proc/cpuinfo")
    return info.read_text(encoding="utf-8").splitlines() if info.exists() else []
