"""Tokens a second of writing, beside transformers: same weights, same prompts, in turn.

    python bench/generate.py [--model base] [--tokens 200] [--rounds 5] [--json]

Both write exactly `--tokens` tokens for each prompt, in float32 and with a cache. Each round runs
every case once with each of the two; the medians over the rounds are compared, of seconds on the
clock and of processor seconds, which other work on the machine disturbs less. The first text of
the greedy cases must be the same from both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

import keeping
from penwright import sample, weights
from penwright.config import SamplingConfig

PROMPTS = ("The old house", "Nobody had told her", "It was raining", "He sold the boat")


@dataclass(frozen=True)
class Case:
    name: str
    rows: int
    sampling: SamplingConfig


def cases(tokens: int) -> list[Case]:
    kept = {"max_new_tokens": tokens, "min_new_tokens": tokens}
    return [
        Case("greedy, 1 text", 1, SamplingConfig(**kept, greedy=True)),
        Case("top-p 0.95, 1 text", 1, SamplingConfig(**kept)),
        Case("top-k 40, 1 text", 1, SamplingConfig(**kept, top_k=40, top_p=1.0)),
        Case("greedy, 16 texts", 16, SamplingConfig(**kept, greedy=True)),
        Case("top-p 0.95, 16 texts", 16, SamplingConfig(**kept)),
    ]


def write_ours(opened: weights.OpenedModel, case: Case) -> str:
    prompts = [PROMPTS[i % len(PROMPTS)] for i in range(case.rows)]
    written = sample.generate(
        opened.model, opened.tokenizer, prompts, 1, case.sampling, batch_size=case.rows
    )
    assert all(one.tokens == case.sampling.max_new_tokens for one in written)
    return written[0].text


def write_theirs(
    peer: transformers.GPT2LMHeadModel, opened: weights.OpenedModel, case: Case
) -> str:
    end = opened.tokenizer.eot_id
    texts = [[end, *opened.tokenizer.encode(PROMPTS[i % len(PROMPTS)])] for i in range(case.rows)]
    longest = max(map(len, texts))
    ids_BT = torch.tensor([[end] * (longest - len(text)) + text for text in texts])
    mask_BT = torch.tensor([[0] * (longest - len(text)) + [1] * len(text) for text in texts])
    sampling = case.sampling
    shape = {"do_sample": False}
    if not sampling.greedy:
        shape = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
        }
    out_BT = peer.generate(
        ids_BT,
        attention_mask=mask_BT,
        max_new_tokens=sampling.max_new_tokens,
        min_new_tokens=sampling.min_new_tokens,
        pad_token_id=end,
        **shape,
    )
    return opened.tokenizer.decode(out_BT[0, longest:].tolist())


def seconds(run: Callable[[], str]) -> tuple[float, float]:
    """On the clock, and of the processor (all threads)."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - begin, time.process_time() - begin_cpu


def as_transformers(opened: weights.OpenedModel) -> transformers.GPT2LMHeadModel:
    with tempfile.TemporaryDirectory() as folder:
        weights.save(Path(folder), opened.model, opened.tokenizer, card="", penwright={})
        peer = transformers.GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    return peer.eval()


def measure(options: argparse.Namespace) -> dict[str, object]:
    what = f"{options.model} writes {options.tokens} tokens"
    head = keeping.describe(what, ("torch", "transformers"))
    opened = weights.open(options.model, dtype=torch.float32)
    opened.model.eval()
    peer = as_transformers(opened)
    results = []
    for case in cases(options.tokens):
        ours, theirs = [], []
        for round_ in range(options.rounds + 1):
            pair = (
                seconds(lambda case=case: write_ours(opened, case)),
                seconds(lambda case=case: write_theirs(peer, opened, case)),
            )
            if round_ > 0:  # the first warms up
                ours.append(pair[0])
                theirs.append(pair[1])
        tokens = case.rows * options.tokens
        ours_s, ours_cpu = (statistics.median(column) for column in zip(*ours, strict=True))
        theirs_s, theirs_cpu = (statistics.median(column) for column in zip(*theirs, strict=True))
        results.append(
            {
                "case": case.name,
                "penwright_tokens_per_s": round(tokens / ours_s, 1),
                "transformers_tokens_per_s": round(tokens / theirs_s, 1),
                "ratio": round(theirs_s / ours_s, 2),
                "penwright_cpu_ms_per_token": round(1000 * ours_cpu / tokens, 3),
                "transformers_cpu_ms_per_token": round(1000 * theirs_cpu / tokens, 3),
                "ratio_cpu": round(theirs_cpu / ours_cpu, 2),
                "penwright_seconds": [round(wall, 4) for wall, _ in ours],
                "transformers_seconds": [round(wall, 4) for wall, _ in theirs],
            }
        )
        if case.sampling.greedy:
            assert write_ours(opened, case) == write_theirs(peer, opened, case)
    return {
        **head,
        "threads": torch.get_num_threads(),
        "rounds": options.rounds,
        "results": results,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="base")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="threads of PyTorch")
    keeping.add_options(parser)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers.logging.set_verbosity_error()
    found = measure(options)
    for result in found["results"]:  # type: ignore[attr-defined]
        print(
            f"{result['case']:24} penwright {result['penwright_tokens_per_s']:8.1f} tokens/s, "
            f"transformers {result['transformers_tokens_per_s']:8.1f}, ratio {result['ratio']:.2f} "
            f"(processor time {result['ratio_cpu']:.2f})"
        )
    print(found["machine"], found["versions"], file=sys.stderr)
    if options.keep:
        keeping.keep(f"generate-{options.model}", found)
    if options.json:
        print(json.dumps({result["case"]: result["ratio"] for result in found["results"]}))  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
