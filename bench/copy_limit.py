"""Cost of a limit on copying: longest copied spans and tokens a second with and without it.

    python bench/copy_limit.py RUN [--prompt TEXT] [--most 30] [--texts 1000] [--json] [--keep]

RUN is a run that has learned its text by heart, indexed by `penwright copied RUN`. For each type
of weights every round writes the texts without the limit and with it, in turn; the ratio is that of
the medians. Spans are counted as `penwright copied` counts them. `same text` is the limit's cost
while it refuses nothing, since the texts with a limit are others, and less certain ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import keeping
import penwright
from penwright.config import SamplingConfig
from penwright.dataset.training_text import open_training_text
from penwright.verbs.copied import Passage, find_copies

TYPES = ("int8", "int4", "float32")
NEVER = 100_000
"""A limit that no text reaches."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--prompt", default="")
    parser.add_argument("--most", type=int, default=30)
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=SamplingConfig().max_new_tokens)
    parser.add_argument("--temperature", type=float, default=SamplingConfig().temperature)
    parser.add_argument("--rounds", type=int, default=3)
    keeping.add_options(parser)
    options = parser.parse_args()
    found = keeping.describe(f"{options.texts} texts of {options.tokens} tokens with a copy limit")
    training, ratios = open_training_text(options.run), {}
    for weights in TYPES:
        writer = penwright.load(options.run, weights=weights)
        speeds: dict[int, list[float]] = {0: [], NEVER: [], options.most: []}
        longest = {}
        for round_ in range(options.rounds):
            for most, measured in speeds.items():
                begin = time.perf_counter()
                texts = writer.generate(
                    options.prompt,
                    options.texts,
                    max_new_tokens=options.tokens,
                    temperature=options.temperature,
                    max_copy=most,
                )
                seconds = time.perf_counter() - begin
                measured.append(sum(text.tokens for text in texts) / seconds)
                if not round_ and most != NEVER:
                    passages = [Passage(text.prompt, text.text) for text in texts]
                    longest[most] = find_copies(training, passages, 5).longest
        plain, same, limited = (statistics.median(speeds[most]) for most in speeds)
        ratios[weights] = round(limited / plain, 3)
        ratios[f"{weights}, same text"] = round(same / plain, 3)
        found[weights] = {
            "plain_tokens_per_s": round(plain),
            "limited_tokens_per_s": round(limited),
            "longest_plain": longest[0],
            "longest_limited": longest[options.most],
        }
        print(
            f"{weights:8} plain {plain:9,.0f} tokens/s, longest span {longest[0]:4}   "
            f"limited {limited:9,.0f} ({limited / plain:.2f}), {longest[options.most]:3}   "
            f"same text {same:9,.0f} ({same / plain:.2f})",
            flush=True,
        )
    if options.keep:
        keeping.keep("copy_limit", found | {"ratios": ratios})
    if options.json:
        print(json.dumps(ratios))


if __name__ == "__main__":
    main()
