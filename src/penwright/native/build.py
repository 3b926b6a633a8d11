"""Find, compile and load the C library, and choose its instruction set.

A wheel may carry the library beside this file. Otherwise it is compiled at first use into
Penwright's cache, under a hash of its source and flags, when there is a C compiler. Without one,
PyTorch computes everything.

PENWRIGHT_NATIVE chooses the instruction set: generic, avx2 or avx512; `torch` switches the library
off.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import itertools
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from ctypes import c_double, c_float, c_int, c_long, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penwright.errors import OutOfRoomError, UsageError
from penwright.files import atomic_file, cache_folder, write_text

SOURCE = Path(__file__).parent / "c"
BUNDLED = Path(__file__).parent / "penwright_native.so"
VARIABLE = "PENWRIGHT_NATIVE"
OFF = "torch"
_X86 = platform.machine().lower() in ("x86_64", "amd64")
VARIANTS = {
    "generic": "",
    "avx2": "-mavx2 -mfma",
    "avx512": "-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mprefer-vector-width=512",
}
"""Instruction sets from the plainest to the best, and the compiler's flags for each; their
order is that of `pw_supports`. avx512 needs VNNI."""
FLAGS = ("-std=gnu11", "-O3", "-fPIC", "-ffp-contract=fast", "-fno-math-errno",
         "-fno-trapping-math", "-pthread")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Library:
    """The loaded library with its functions for one instruction set; see c/decode.c, c/train.c."""

    variant: str
    path: Path
    pool: Callable[[int], int | None]
    short_turns: Callable[[int, c_void_p], None]
    pack: Callable[..., None]
    multiply: Callable[..., int]
    feed: Callable[..., int]
    choose: Callable[..., int]
    write: Callable[..., int]
    guess: Callable[..., int]
    training: Mapping[str, Callable[..., Any]]
    """The functions of c/train.c, by name."""


class BuildError(Exception):
    """The library is not there and could not be compiled; the message is the reason."""


def load(say: Callable[[str], None] = lambda _: None) -> Library | None:
    """Return the library for this processor, or None where PyTorch has to compute.

    Compiles it if need be; `say` gets a sentence then, and when that fails. `describe` gives the
    reason for None. Raises UsageError for an unknown or unsupported value of PENWRIGHT_NATIVE.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted and wanted not in (OFF, *VARIANTS):
        raise UsageError(
            f"{VARIABLE} is {wanted!r}.", fix=f"Use {', '.join(VARIANTS)} or {OFF}, or unset it."
        )
    if wanted == OFF:
        return None
    try:
        return open_library(find() or compile_library(say), wanted)
    except BuildError:
        return None


def describe() -> str:
    """Return what computes generated text on this processor, and why if it is PyTorch."""
    if os.environ.get(VARIABLE) == OFF:
        return f"PyTorch ({VARIABLE}={OFF})"
    library = load()
    if library is not None:
        return f"native decoder, {library.variant} ({library.path})"
    try:
        compile_library()
    except BuildError as error:
        return f"PyTorch ({error})"
    return "PyTorch"


def find() -> Path | None:
    """Return the library that the wheel carries or the cache holds, if any."""
    if BUNDLED.is_file():
        return BUNDLED
    compiler = find_compiler()
    cached = cached_library(compiler) if compiler else None
    return cached if cached is not None and cached.is_file() else None


def find_compiler() -> list[str] | None:
    """Return the command of the C compiler: CC, or the first of cc, gcc and clang.

    None on Windows too: the source uses POSIX threads.
    """
    if sys.platform == "win32":
        return None
    if named := shlex.split(os.environ.get("CC", "")):
        return named if shutil.which(named[0]) else None
    return next(([name] for name in ("cc", "gcc", "clang") if shutil.which(name)), None)


def cached_library(compiler: Sequence[str]) -> Path:
    """Return the path in the cache of the library that this compiler makes of this source."""
    digest = hashlib.sha256(repr((compiler, FLAGS, VARIANTS, platform.machine())).encode())
    for file in sorted(SOURCE.iterdir()):
        digest.update(file.read_bytes())
    return cache_folder() / "native" / f"penwright-{digest.hexdigest()[:16]}.so"


def compile_library(say: Callable[[str], None] = lambda _: None) -> Path:
    """Compile the library into the cache; returns its path.

    Raises BuildError. A failure is kept in a file beside it, and not tried again.
    """
    compiler = find_compiler()
    if compiler is None:
        raise BuildError("there is no C compiler")
    path = cached_library(compiler)
    failed = path.with_suffix(".failed")
    if failed.is_file():
        raise BuildError(f"{failed.read_text(encoding='utf-8')}; delete {failed} to try again")
    try:
        with atomic_file(path) as temporary:
            compile_into(temporary, compiler)
    except OutOfRoomError as error:  # nor can the reason be kept
        raise BuildError(error.message) from error
    except BuildError as error:
        say(f"The native library could not be compiled, so PyTorch computes all: {error}.")
        write_text(failed, str(error))
        raise
    say(f"Compiled the native library, once, into {path}.")
    return path


def compile_into(path: Path, compiler: Sequence[str], extra: Sequence[str] = ()) -> None:
    """Compile the library to `path`, the variants side by side; raises BuildError."""
    variants = VARIANTS if _X86 else {"generic": ""}
    with tempfile.TemporaryDirectory() as folder:
        objects = [Path(folder) / "pool.o"]
        jobs = [[*FLAGS, *extra, "-c", str(SOURCE / "pool.c"), "-o", str(objects[0])]]
        for (name, flags), part in itertools.product(variants.items(), ("decode", "train")):
            objects.append(Path(folder) / f"{part}-{name}.o")
            what = [*flags.split(), f"-DVARIANT={name}", "-c", str(SOURCE / f"{part}.c")]
            jobs.append([*FLAGS, *extra, *what, "-o", str(objects[-1])])
        running = [
            subprocess.Popen([*compiler, *job], stderr=subprocess.PIPE, text=True) for job in jobs
        ]
        errors = [process.communicate()[1] for process in running]
        if not any(process.returncode for process in running):
            link = ["-shared", *extra, "-pthread", *map(str, objects), "-o", str(path), "-lm"]
            running = [subprocess.Popen([*compiler, *link], stderr=subprocess.PIPE, text=True)]
            errors = [running[0].communicate()[1]]
    if any(process.returncode for process in running):
        lines = [line for text in errors for line in text.splitlines() if "error" in line]
        raise BuildError(f"{compiler[0]} failed: {lines[0] if lines else 'it gave no reason'}")


@functools.cache
def open_library(path: Path, variant: str = "") -> Library:
    """Load a library; `variant` is its instruction set, the best one if empty.

    Raises UsageError for an instruction set that this processor does not have.
    """
    lib = ctypes.CDLL(str(path))
    names = list(VARIANTS) if _X86 else ["generic"]
    supported = [name for number, name in enumerate(names) if lib.pw_supports(number)]
    if variant and variant not in supported:
        raise UsageError(
            f"This processor cannot run {variant}.", fix=f"Set {VARIABLE} to {supported[-1]}."
        )
    variant = variant or supported[-1]
    lib.pw_pool.restype, lib.pw_short_turns.restype = c_void_p, None

    def find(name: str, arguments: Sequence[type], result: type | None = c_int) -> Any:
        function = getattr(lib, f"pw_{name}_{variant}")
        function.argtypes, function.restype = arguments, result
        return function

    functions = {name: find(name, arguments) for name, arguments in _ARGUMENTS.items()}
    training = {
        name: find(name, [c_void_p, *arguments], result)
        for name, (result, arguments) in _TRAINING.items()
    }
    return Library(variant, path, lib.pw_pool, lib.pw_short_turns, training=training, **functions)


_ARGUMENTS = {
    "pack": [c_void_p, c_void_p, c_void_p, c_long, c_long],
    "multiply": [c_void_p, c_void_p, c_void_p, c_int, c_void_p],
    "feed": [c_void_p, c_void_p, c_void_p, c_void_p, c_int, c_void_p],
    "choose": [c_void_p, c_void_p, c_long, c_int, c_void_p, c_int, c_void_p, c_int, c_void_p],
    "write": [c_void_p, c_void_p, c_void_p, c_void_p, c_int, c_void_p, c_int, c_void_p, c_int,
              c_void_p, c_void_p],
    "guess": [c_void_p, c_void_p, c_int, c_void_p],
}  # fmt: skip


_P, _I, _F = c_void_p, c_int, c_float
_TRAINING: dict[str, tuple[type | None, Sequence[type]]] = {
    "norm": (None, [_I, _I, _I, *[_P] * 6, _F, _P, _P]),
    "norm_backward": (_I, [_I, _I, _I, *[_P] * 10]),
    "gelu": (None, [_I, _I, _I, _I, *[_P] * 3]),
    "gelu_backward": (_I, [_I, _I, _I, _I, *[_P] * 5]),
    "sum_rows": (_I, [_I, _I, *[_P] * 3]),
    "narrow": (None, [_I, _I, *[_P] * 3]),
    "transpose": (None, [_I, _I, c_long, _P, _P]),
    "attend": (_I, [_I, _I, _I, _I, _F, *[_P] * 5]),
    "attend_backward": (_I, [_I, _I, _I, _I, _F, *[_P] * 8]),
    "loss": (None, [_I, _I, _I, *[_P] * 3]),
    "accumulate": (None, [c_long, _I, _P, _P]),
    "squares": (c_double, [_P, _I]),
    "update": (None, [_P, _I, _F, _F, _F, _F]),
}
"""Results and arguments of the functions in c/train.c, after the pool."""


class Pool:
    """The threads of a process that share the work of a call; one call runs at a time."""

    def __init__(self, library: Library, threads: int) -> None:
        self.lock = threading.Lock()
        self.address = library.pool(threads)
        if not self.address:
            raise OutOfRoomError("There is no memory for the native decoder's threads.")


@functools.cache
def open_pool(library: Library, threads: int, process: int) -> Pool:  # noqa: ARG001
    """Return the pool of a process, started once: a forked process does not inherit threads."""
    return Pool(library, threads)
