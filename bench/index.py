"""Building the index of a token store, and looking a thousand samples up in it.

    python bench/index.py FILE ... [--rounds 3] [--json] [--keep]

Builds the suffix array of the store's tokens by ours and by pydivsufsort (libdivsufsort over the
tokens' bytes) in turn, each in a process of its own, and checks that both are the same. Then builds
the index as `penwright copied` does, and looks up 1,000 samples of 200 tokens: passages of the text
with every 40th token replaced, so that they copy a lot.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import keeping
from penwright.index.suffix_array import sort_suffixes
from penwright.index.suffix_index import SuffixIndex
from penwright.tokens import Store, Tokenizer, prepare
from watching import Peak, anonymous

WAYS = ("ours", "pydivsufsort")
SAMPLES, SAMPLE_TOKENS, REPLACED = 1000, 200, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--way", choices=(*WAYS, "index"), help=argparse.SUPPRESS)
    keeping.add_options(parser)
    options = parser.parse_args()
    if options.way == "index":
        print(json.dumps(measure_index(Store.open(options.files[0]), options.files[1])))
        return
    if options.way:
        print(json.dumps(sort(Store.open(options.files[0]), options.way, options.files[1])))
        return
    result = keeping.describe("the index of a token store", ("numpy", "pydivsufsort"))
    with tempfile.TemporaryDirectory() as scratch:
        store = encode(options.files, Path(scratch, "store"))
        result["tokens"] = store.n_tokens
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                found[way].append(child(way, store.folder, Path(scratch, f"{way}.npy")))
        arrays = [np.load(Path(scratch, f"{way}.npy"), mmap_mode="r") for way in WAYS]
        result["equal"] = bool(np.array_equal(*arrays))
        for way in WAYS:
            result[way] = {key: [one[key] for one in found[way]] for key in found[way][0]}
        result["index"] = child("index", store.folder, Path(scratch, "index"))
    ours, theirs = (statistics.median(result[way]["seconds"]) for way in WAYS)
    result["ratio"] = theirs / ours
    print(json.dumps(result, indent=2))
    if options.keep:
        keeping.keep("index", result)
    if options.json:
        index = result["index"]
        kept = ("build_seconds", "build_mb", "bytes_per_token", "lookup_seconds")
        print(json.dumps({"ratio": result["ratio"], **{name: index[name] for name in kept}}))


def encode(files: list[Path], folder: Path) -> Store:
    """The files as one store of GPT-2's tokens, a document a file."""
    from penwright.document import Document, Source, Span

    texts = (path.read_text(encoding="utf-8-sig") for path in files)
    documents = (
        Document((Span(text, True),), Source(str(path), 1))
        for path, text in zip(files, texts, strict=True)
    )
    return prepare(documents, Tokenizer.gpt2(), folder)


def child(way: str, *paths: Path) -> dict[str, float]:
    command = [sys.executable, __file__, *map(str, paths), "--way", way]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def sort(store: Store, way: str, out: Path) -> dict[str, float]:
    """Sort the suffixes of a store's line of tokens."""
    line = store.tokens(0, store.n_tokens)
    before, peak, start = anonymous(), Peak(), time.perf_counter()
    if way == "ours":
        order = sort_suffixes(line)
    else:
        from pydivsufsort import divsufsort

        width = line.dtype.itemsize
        order = divsufsort(line.astype(line.dtype.newbyteorder(">")).view(np.uint8))
        order = (order[order % width == 0] // width).astype(np.uint32)
    seconds = time.perf_counter() - start
    megabytes = (peak.bytes() - before) / 1e6
    np.save(out, order)
    return {"seconds": seconds, "mb": megabytes}


def measure_index(store: Store, folder: Path) -> dict[str, Any]:
    """Build the index of all documents, open it, and look samples up."""
    ranges = np.stack([store.offsets[:-1], store.offsets[1:]], axis=1)
    peak, start = Peak(), time.perf_counter()
    SuffixIndex.build(store, ranges, folder)
    build_seconds, build_mb = time.perf_counter() - start, peak.bytes() / 1e6
    size = sum(path.stat().st_size for path in folder.iterdir())
    chance = np.random.default_rng(0)
    starts = chance.integers(0, store.n_tokens - SAMPLE_TOKENS, SAMPLES)
    samples = np.stack([store.tokens(at, at + SAMPLE_TOKENS) for at in starts.tolist()])
    samples = samples.astype(np.int64)
    samples[:, ::REPLACED] = chance.integers(0, store.vocab_size, samples[:, ::REPLACED].shape)
    separated = np.pad(samples, ((0, 0), (0, 1)), constant_values=store.vocab_size).reshape(-1)
    start = time.perf_counter()
    index = SuffixIndex.open(store, ranges, folder)
    lengths = index.longest_matches(separated, at_least=20).lengths
    return {
        "build_seconds": build_seconds,
        "build_mb": build_mb,
        "bytes_per_token": size / store.n_tokens,
        "lookup_seconds": time.perf_counter() - start,
        "samples": SAMPLES,
        "share_in_matches": float((lengths > 0).mean()),
    }


if __name__ == "__main__":
    main()
