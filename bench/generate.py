"""Tokens a second of writing, beside llama.cpp, CTranslate2 and transformers, in turn in one run.

    python bench/generate.py [CASE ...] [--rounds 7] [--batch-rounds 3] [--json] [--keep]

The cases are
    single   one text of a 124M-shaped model with random weights
    batch    64 prompts of different lengths, same model
    base     one text and 64 texts with the bundled model, ours only, beside ours in torch
    busy     as single, with another torch process busy on all cores, beside the idle machine
Prompts have about 32 tokens, texts 128; temperature 0.8, top-k 40. Every round runs each runtime
once; the medians over the rounds are compared. `busy` alone is kept in a file of its own.
PENWRIGHT_NATIVE=avx2 with ATEN_CPU_CAPABILITY=avx2 measures ours on the smaller instruction set.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

import keeping
import writers
from penwright import native, weights
from penwright.model import GPT2, SIZES, init_weights
from penwright.tokens.bpe import Tokenizer

CASES = ("single", "batch", "base", "busy")
ROWS, NEW, PROMPT = 64, 128, 32
PAIRS = {"float32": "f32", "bf16": "bf16", "int8": "q8_0", "int4": "q4_0"}
"""Our types of weights, and llama.cpp's that each is compared with."""
SPIN = "import torch; a = torch.rand(512, 512)\nwhile True: a @ a"

Rates = dict[str, float]


def make_prompts(tokenizer: Tokenizer, rows: int) -> list[str]:
    """Return pieces of a text: one of PROMPT tokens, or many of 4 to 2 PROMPT."""
    text = (Path(weights.__file__).parents[1] / "assets/samples/screenplay.txt").read_text("utf-8")
    ids = tokenizer.encode(text[:200_000])
    lengths = [PROMPT] if rows == 1 else [4 + i * (2 * PROMPT - 4) // rows for i in range(rows)]
    starts = [100 * i % (len(ids) - 2 * PROMPT) for i in range(rows)]
    return [
        tokenizer.decode(ids[start : start + length])
        for start, length in zip(starts, lengths, strict=True)
    ]


def measure(
    runtimes: Mapping[str, writers.Write], prompts: Sequence[str], rounds: int
) -> tuple[Rates, dict[str, list[float]]]:
    """Return the median tokens a second of each runtime, and all of them."""
    found: dict[str, list[float]] = {name: [] for name in runtimes}
    for round_ in range(rounds + 1):
        for name, write in runtimes.items():
            begin = time.perf_counter()
            n = write(prompts, NEW if round_ else 8)  # the first warms up
            if round_:
                found[name].append(round(n / (time.perf_counter() - begin), 1))
        print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {name: statistics.median(rates) for name, rates in found.items()}, found


def open_all(opened: weights.OpenedModel, folder: Path, rows: int) -> dict[str, writers.Write]:
    """Return ours and every runtime that is installed."""
    made = {f"penwright {kind}": partial(writers.open_ours, opened, kind) for kind in PAIRS}
    made["penwright torch"] = partial(writers.open_ours, opened, "torch")
    for kind in PAIRS.values():
        made[f"llama.cpp {kind}"] = partial(writers.open_llama, opened, folder, kind, rows)
    for kind in ("float32", "int8"):
        made[f"CTranslate2 {kind}"] = partial(writers.open_ctranslate2, opened, folder, kind)
    made["transformers float32"] = partial(writers.open_transformers, opened, folder)
    found = {}
    for name, make in made.items():
        try:
            found[name] = make()
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
    return found


@contextmanager
def busy_machine():
    """Keep all cores busy with another process."""
    other = subprocess.Popen([sys.executable, "-c", SPIN])
    time.sleep(4)
    try:
        yield
    finally:
        other.kill()
        other.wait()


def compare(case: str, rates: Rates) -> Rates:
    """Return the ratios that matter, by name."""
    ours = {name.split()[1]: rate for name, rate in rates.items() if name.startswith("penwright")}
    theirs = {name: rate for name, rate in rates.items() if not name.startswith("penwright")}
    ratios = {f"{case} {name} / torch": ours[name] / ours["torch"] for name in PAIRS}
    if case == "single":
        for name, their in PAIRS.items():
            if f"llama.cpp {their}" in theirs:
                ratios[f"{case} {name} / llama.cpp {their}"] = (
                    ours[name] / theirs[f"llama.cpp {their}"]
                )
    if case == "batch" and theirs:
        best = max(theirs.values())
        ratios |= {f"{case} {name} / best peer": ours[name] / best for name in PAIRS}
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch-rounds", type=int, default=3)
    keeping.add_options(parser)
    options = parser.parse_args()
    head = keeping.describe(f"writing {NEW} tokens", ("torch", "transformers"))
    print(head["machine"], head["instructions"], native.describe(), file=sys.stderr)
    rates: dict[str, Rates] = {}
    seconds: dict[str, dict[str, list[float]]] = {}
    ratios: Rates = {}

    def run(
        case: str, runtimes: Mapping[str, writers.Write], rows: int, prompts: list[str]
    ) -> None:
        rounds = options.rounds if rows == 1 else options.batch_rounds
        rates[case], seconds[case] = measure(runtimes, prompts, rounds)
        for name, rate in rates[case].items():
            print(f"{case:10} {name:24} {rate:9.1f} tokens/s", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = options.cases or CASES
        if {"single", "batch", "busy"} & set(chosen):
            model = GPT2(SIZES["124M"])
            init_weights(model, 1)
            weights.save(folder, model, Tokenizer.gpt2(), card="", penwright={})
            opened = weights.open(folder, dtype=torch.float32)
            for case, rows in (("single", 1), ("batch", ROWS)):
                if case in chosen or (case == "single" and "busy" in chosen):
                    runtimes = open_all(opened, folder, rows)
                    prompts = make_prompts(opened.tokenizer, rows)
                    run(case, runtimes, rows, prompts)
                    ratios |= compare(case, rates[case])
                if case == "single" and "busy" in chosen:
                    few = {n: w for n, w in runtimes.items() if "penwright" in n or "llama" in n}
                    with busy_machine():
                        run("busy", few, rows, prompts)
                    for name in few:
                        ratios[f"busy {name}"] = rates["busy"][name] / rates["single"][name]
        if "base" in chosen:
            base = weights.open("base", dtype=torch.float32)
            mine = {f"penwright {k}": writers.open_ours(base, k) for k in (*PAIRS, "torch")}
            for case, rows in (("base", 1), ("base batch", ROWS)):
                run(case, mine, rows, make_prompts(base.tokenizer, rows))
                ratios |= compare(case, rates[case])
    ratios = {name: round(ratio, 3) for name, ratio in ratios.items()}
    for name, ratio in ratios.items():
        print(f"{name:44} {ratio:7.2f}")
    if options.keep:
        result = {**head, "tokens_per_s": rates, "rounds": seconds, "ratios": ratios}
        name = "generate-busy" if options.cases == ["busy"] else "generate"
        keeping.keep(name, {"native": native.describe().partition(" (")[0], **result})
    if options.json:
        print(json.dumps(ratios))


if __name__ == "__main__":
    main()
