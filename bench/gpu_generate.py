"""Tokens a second of writing on an NVIDIA GPU: Penwright, transformers and a compiled loop.

    python bench/gpu_generate.py [--sizes 124M 1558M] [--batches 1 64 256 1024 2048] [--tokens 128]

NEEDS A GPU: without one it says so and measures nothing. All three write the same number of tokens
from one short prompt, in bf16, with random weights of the sizes' shapes; they alternate, and the
medians of `--rounds` are compared. Penwright's step is a CUDA graph over its cache. The compiled
loop is transformers' with a static cache and `torch.compile(mode="reduce-overhead")`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import torch
import transformers

import keeping
from penwright import sample
from penwright.config import SamplingConfig
from penwright.model import GPT2, SIZES, init_weights
from penwright.tokens import Tokenizer

PROMPT = "The old house stood at the end of the lane. Nobody had lived in it for years, and yet"


def as_transformers(model: GPT2) -> transformers.GPT2LMHeadModel:
    names = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
    shape = {name: getattr(model.config, name) for name in names}
    peer = transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape)).to("cuda", torch.bfloat16)
    peer.load_state_dict(model.state_dict(), strict=False)
    peer.tie_weights()
    return peer.eval()


def seconds(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    begin = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begin


def contenders(size: str, rows: int, tokens: int) -> dict[str, Callable[[], object]]:
    model = GPT2(SIZES[size])
    init_weights(model, seed=0)
    model = model.to("cuda", torch.bfloat16).eval()
    tokenizer = Tokenizer.gpt2()
    sampling = SamplingConfig(max_new_tokens=tokens, min_new_tokens=tokens, top_k=40, top_p=1.0)
    peer = as_transformers(model)
    ids_BT = torch.tensor([tokenizer.encode_prompt(PROMPT)] * rows, device="cuda")
    options = {
        "max_new_tokens": tokens,
        "min_new_tokens": tokens,
        "do_sample": True,
        "top_k": 40,
        "temperature": sampling.temperature,
        "pad_token_id": tokenizer.eot_id,
        "attention_mask": torch.ones_like(ids_BT),
    }

    def compiled() -> object:
        return peer.generate(ids_BT, cache_implementation="static", **options)

    return {
        "penwright": lambda: sample.generate(
            model, tokenizer, [PROMPT], rows, sampling, batch_size=rows
        ),
        "transformers": lambda: peer.generate(ids_BT, **options),
        "compiled": compiled,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["124M", "1558M"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 64, 256, 1024, 2048])
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    keeping.add_options(parser)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("This machine has no NVIDIA GPU; nothing is measured.")
    found = keeping.describe("writing on a GPU", ("torch", "transformers"))
    found |= {"gpu": torch.cuda.get_device_name(), "tokens": options.tokens, "results": []}
    for size in options.sizes:
        for rows in options.batches:
            works = contenders(size, rows, options.tokens)
            times: dict[str, list[float]] = {name: [] for name in works}
            for round_ in range(options.rounds + 1):
                for name, work in works.items():
                    spent = seconds(work)
                    if round_:  # the first warms up
                        times[name].append(spent)
            pace = {n: rows * options.tokens / statistics.median(t) for n, t in times.items()}
            print(size, rows, "  ".join(f"{name} {value:,.0f}" for name, value in pace.items()))
            found["results"].append({"size": size, "rows": rows, "tokens_per_s": pace})
    if options.keep:
        keeping.keep("generate", found, of="cuda")
    if options.json:
        print(json.dumps(found["results"]))


if __name__ == "__main__":
    main()
