"""Encode in other processes.

The processes are started as programs of their own, not through multiprocessing: that would run
the caller's script again in each, unless it is written with that in mind. They speak over their
standard input and output, in frames of marshalled tuples, and end when their input does; a parent
that is killed leaves none behind.
"""

from __future__ import annotations

import contextlib
import importlib
import marshal
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

import penwright
from penwright import errors
from penwright.tokens.blocks import Block, Text, encode_block
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.store import token_dtype
from penwright.tokens.vocabulary import Vocabulary

Job = TypeVar("Job")
_AHEAD = 1
"""Jobs that wait for each worker."""


def usable_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Pool:
    """So many processes that encode; use it as a context, so that they end."""

    def __init__(self, tokenizer: Tokenizer, markers: Sequence[str], workers: int) -> None:
        self._tokenizer = tokenizer
        self._markers = tuple(markers)
        self._dtype = "<u2" if token_dtype(tokenizer.vocab_size) == "U16" else "<u4"
        self._here = threading.local()
        self._started: list[subprocess.Popen[bytes]] = []
        self._threads = ThreadPoolExecutor(workers)
        self._most = workers * (1 + _AHEAD)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in self._started:
            process.kill()
        self._threads.shutdown(wait=True)
        for process in self._started:
            process.communicate()

    def encode(
        self, jobs: Iterable[Job], texts_of: Callable[[Job], Sequence[Text]]
    ) -> Iterator[tuple[Job, Future[Block]]]:
        """The jobs with their blocks, in order; only a few jobs are taken ahead of their turn."""
        waiting: deque[tuple[Job, Future[Block]]] = deque()
        for job in jobs:
            waiting.append((job, self._threads.submit(self._ask, texts_of(job))))
            if len(waiting) >= self._most:
                yield waiting.popleft()
        yield from waiting

    def _ask(self, texts: Sequence[Text]) -> Block:
        """Have this thread's own process encode `texts`."""
        if not hasattr(self._here, "process"):
            self._here.process = self._start()
        process = self._here.process
        try:
            _send(process.stdin, list(texts))
            answer = _receive(process.stdout)
        except (OSError, EOFError):
            raise errors.OutOfRoomError(
                f"A process that encoded text ended (code {process.wait()}).",
                fix="Memory may have run out: try again with fewer workers.",
            ) from None
        if answer[0] == "error":
            raise getattr(errors, answer[1])(answer[2], fix=answer[3])
        n_tokens, tokens, learn, ends, learned, size = answer[1:]
        bits = np.unpackbits(np.frombuffer(learn, np.uint8), count=n_tokens, bitorder="little")
        return Block(
            np.frombuffer(tokens, self._dtype),
            bits.view(np.bool_),
            np.frombuffer(ends, np.int64),
            np.frombuffer(learned, np.int64),
            np.frombuffer(size, np.int64),
        )

    def _start(self) -> subprocess.Popen[bytes]:
        package = str(Path(penwright.__file__).resolve().parent.parent)
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "TOKENIZERS_PARALLELISM": "false",
            "OPENBLAS_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-c", "from penwright.tokens.worker import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._started.append(process)
        kind, words = type(self._tokenizer), self._tokenizer.vocabulary
        content = (dict(words.ids), words.merges, dict(words.markers), words.end_of_text)
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # a process that ended at once is met when asked
            _send(process.stdin, (kind.__module__, kind.__name__, content, self._markers))
        return process


def _send(stream: IO[bytes], content: Any) -> None:
    frame = marshal.dumps(content)
    stream.write(len(frame).to_bytes(8, "little"))
    stream.write(frame)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    size = stream.read(8)
    frame = stream.read(int.from_bytes(size, "little")) if len(size) == 8 else b""
    if len(size) < 8 or len(frame) < int.from_bytes(size, "little"):
        raise EOFError
    return marshal.loads(frame)


def main() -> None:
    """Encode what comes in until nothing does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, target = sys.stdin.buffer, sys.stdout.buffer
    try:
        module, name, content, markers = _receive(source)
        tokenizer = getattr(importlib.import_module(module), name)(Vocabulary(*content))
        while True:
            _send(target, _answer(tokenizer, _receive(source), markers))
    except (EOFError, BrokenPipeError):
        # The parent has what it wanted, or is gone; nothing is left to flush.
        os._exit(0)


def _answer(tokenizer: Tokenizer, texts: list[Text], markers: tuple[str, ...]) -> tuple[Any, ...]:
    try:
        block = encode_block(tokenizer, texts, markers)
    except errors.PenwrightError as error:
        return "error", type(error).__name__, error.message, error.fix
    return (
        "block",
        len(block.tokens_N),
        block.tokens_N.tobytes(),
        np.packbits(block.learn_N, bitorder="little").tobytes(),
        block.ends_D.tobytes(),
        block.learned.tobytes(),
        block.bytes.tobytes(),
    )
