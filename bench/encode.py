"""Text a second into a token store, beside tokenizers and tiktoken merely encoding it, in turn.

    python bench/encode.py FILE [--times 1] [--rounds 3] [--workers N] [--json]

FILE is plain UTF-8 text; `--times` repeats it, to make a large one of a small one. Ours reads the
text, encodes it with GPT-2's vocabulary and writes the store to disk, all of which is timed. The
peers are handed the same text in batches of pieces of the size that they like, on as many threads
as there are cores; only their encoding is timed. Everything runs in a process of its own, one
after another, so many rounds; the medians are compared, and the numbers of tokens must be equal.
Processor time is compared too, reading and starting included: on a machine that others use it
tells more.
Ours also says how much anonymous memory each of its processes took at most (on Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import keeping
from penwright import formats
from penwright.config import DataConfig, WorkConfig
from penwright.tokens import Tokenizer, prepare
from penwright.workers import usable_cores

PIECE = 1 << 15
BATCH = 256
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"""
"""tiktoken's own faster form of GPT-2's pattern."""
WAYS = ("ours", "tokenizers", "tiktoken")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--times", type=int, default=1, help="repeat the text so often")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, help="of ours; chosen by it unless given")
    keeping.add_options(parser)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(run(arguments.way, arguments.file, arguments.workers)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        text = Path(scratch) / "text.txt"
        with text.open("wb") as file:
            for _ in range(arguments.times):
                file.write(arguments.file.read_bytes())
        results = compare(text, arguments.rounds, arguments.workers)
    print(f"{results['megabytes']:.0f} MB, {results['cores']} cores")
    for way in WAYS:
        print(f"{way:<11} {results[way]['megabytes_per_s']:6.1f} MB/s")
    print(f"ours / the faster peer: {results['ratio']:.2f}")
    print(f"the same by processor time: {results['cpu_ratio']:.2f}")
    print(f"anonymous memory, MB: {results['ours']['memory']}")
    if arguments.keep:
        keeping.keep("encode", results)
    if arguments.json:
        print(json.dumps({name: results[name] for name in ("ratio", "cpu_ratio")}))


def compare(text: Path, rounds: int, workers: int | None) -> dict[str, object]:
    """Each way once a round, in a process of its own."""
    head = keeping.describe("encoding a text", ("tokenizers", "tiktoken", "numpy"))
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    cpu_seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    tokens: set[int] = set()
    memory: list[dict[str, int]] = []
    for _ in range(rounds):
        for way in WAYS:
            command = [sys.executable, __file__, str(text), "--way", way]
            command += ["--workers", str(workers)] if workers is not None else []
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            answer = json.loads(done.stdout)
            print(f"{way}: {answer['seconds']:.1f} s", file=sys.stderr)
            seconds[way].append(answer["seconds"])
            cpu_seconds[way].append(answer["cpu_seconds"])
            tokens.add(answer["tokens"])
            memory += [answer["memory"]] if way == "ours" else []
    if len(tokens) != 1:
        raise SystemExit(f"The numbers of tokens differ: {sorted(tokens)}")
    size = text.stat().st_size / 1e6
    medians = {way: statistics.median(seconds[way]) for way in WAYS}
    cpu = {way: statistics.median(cpu_seconds[way]) for way in WAYS}
    results: dict[str, object] = {
        **head,
        "megabytes": size,
        "tokens": tokens.pop(),
        "cores": usable_cores(),
        "ratio": min(medians["tokenizers"], medians["tiktoken"]) / medians["ours"],
        "cpu_ratio": min(cpu["tokenizers"], cpu["tiktoken"]) / cpu["ours"],
    }
    for way in WAYS:
        results[way] = {
            "megabytes_per_s": size / medians[way],
            "seconds": seconds[way],
            "cpu_seconds": cpu_seconds[way],
        }
    peaks = {key: max(one[key] for one in memory) for key in memory[0]}
    results["ours"] = {**results["ours"], "memory": peaks}  # type: ignore[dict-item]
    return results


def run(way: str, text: Path, workers: int | None) -> dict[str, object]:
    """Encode `text` in one way; seconds, tokens and memory."""
    os.environ["RAYON_NUM_THREADS"] = str(usable_cores())
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    if way == "ours":
        return run_ours(text, workers)
    seconds, tokens = (run_tokenizers if way == "tokenizers" else run_tiktoken)(text)
    return {"seconds": seconds, "cpu_seconds": cpu_seconds(), "tokens": tokens}


def run_ours(text: Path, workers: int | None) -> dict[str, object]:
    tokenizer = Tokenizer.gpt2()
    watch = MemoryWatch()
    with tempfile.TemporaryDirectory(dir=text.parent) as scratch:
        started = time.perf_counter()
        documents = formats.read([text], DataConfig(), lambda _: None)
        store = prepare(
            documents, tokenizer, Path(scratch) / "store", work=WorkConfig(workers=workers)
        )
        seconds = time.perf_counter() - started
        tokens = store.n_tokens - 2 * store.n_documents
    answer = {"seconds": seconds, "cpu_seconds": cpu_seconds(), "tokens": tokens}
    return {**answer, "memory": watch.stop()}


def cpu_seconds() -> float:
    """Processor time of this process and of those that it waited for, start included."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def run_tokenizers(text: Path) -> tuple[float, int]:
    engine = Tokenizer.gpt2().encoder.engine
    seconds, tokens = 0.0, 0
    for batch in batches(text):
        started = time.perf_counter()
        rows = [e.ids for e in engine.encode_batch_fast(batch, add_special_tokens=False)]
        seconds += time.perf_counter() - started
        tokens += sum(map(len, rows))
    return seconds, tokens


def run_tiktoken(text: Path) -> tuple[float, int]:
    import tiktoken

    ranks = Tokenizer.gpt2().vocabulary.token_bytes[:-1]
    encoding = tiktoken.Encoding(
        "gpt2-here",
        pat_str=PATTERN,
        mergeable_ranks={token: rank for rank, token in enumerate(ranks)},
        special_tokens={"<|endoftext|>": 50256},
    )
    seconds, tokens = 0.0, 0
    for batch in batches(text):
        started = time.perf_counter()
        rows = encoding.encode_ordinary_batch(batch, num_threads=usable_cores())
        seconds += time.perf_counter() - started
        tokens += sum(map(len, rows))
    return seconds, tokens


def batches(text: Path) -> Iterator[list[str]]:
    """The text as ours reads it, in pieces that begin where GPT-2's tokens do."""
    cut = re.compile(r"\S(?=[ \n])")
    batch: list[str] = []
    documents = formats.read([text], DataConfig(), lambda _: None)
    for block in (document.text for document in documents):
        start = 0
        while start < len(block):
            found = cut.search(block, start + PIECE)
            end = found.end() if found else len(block)
            batch.append(block[start:end])
            start = end
            if len(batch) == BATCH:
                yield batch
                batch = []
    yield batch


class MemoryWatch:
    """The most anonymous memory that this process and its children take, in MB."""

    def __init__(self) -> None:
        self._peaks = {"this": 0, "worker": 0}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> dict[str, int]:
        self._over.set()
        self._thread.join()
        return self._peaks

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self._note("this", "self")
            for children in Path("/proc/self/task").glob("*/children"):
                for child in self._read(children).split():
                    self._note("worker", child)

    def _note(self, whose: str, process: str) -> None:
        found = re.search(r"RssAnon:\s+(\d+) kB", self._read(Path(f"/proc/{process}/status")))
        if found:
            self._peaks[whose] = max(self._peaks[whose], int(found[1]) // 1024)

    @staticmethod
    def _read(path: Path) -> str:
        try:
            return path.read_text()
        except OSError:  # it has just ended, or this is not Linux
            return ""


if __name__ == "__main__":
    main()
