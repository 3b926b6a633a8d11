"""Tokens a second with drafts and without: the text is the same, so only the speed is compared.

    python bench/drafts.py MODEL [--prompts FILE] [--weights int8] [--tokens 200] [--json]

MODEL is a run that has learned its corpus well, indexed first by `penwright copied MODEL`. Where no
large model was trained, let `grow.py` make one of a small one, and `finetune` it for a step.
Prompts are the beginnings of held-out documents of the run, or the lines of a file. Each round
writes a text for each prompt at temperature 0.7 with drafts and without, in turn; then the same at
temperature 1.5 from the whole distribution, which can hardly be guessed. The ratio is that of the
medians; both texts must be equal. Targets: 1.4 where the corpus is reproduced, 0.97 elsewhere.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import keeping
from penwright import sample
from penwright.config import LoadConfig, SamplingConfig
from penwright.dataset.tasks import sample_prompts
from penwright.dataset.training_text import open_training_text
from penwright.errors import PenwrightError
from penwright.sample.drafts import Drafter
from penwright.verbs.generate import Writer, load_with

PROMPTS = ["The old house", "Nobody had told her", "It was raining", "He sold the boat"]
CASES = {
    "temperature 0.7": SamplingConfig(temperature=0.7),
    "unpredictable": SamplingConfig(temperature=1.5, top_p=1.0),
}


class Corpus:
    """The index of a run's training text, built if need be."""

    says = ""

    def __init__(self, model: str) -> None:
        self.index, self.prompts = None, PROMPTS
        try:
            text = open_training_text(model)
        except PenwrightError as error:
            print(f"Drafts come from the text alone: {error.message}", file=sys.stderr)
            return
        self.index = text.index
        if len(text.held_out):
            self.prompts = sample_prompts(text.held_out, text.tokenizer)


def measure(
    writer: Writer, prompt: str, sampling: SamplingConfig, drafter: Drafter | None
) -> tuple[str, float]:
    begin = time.perf_counter()
    [one] = sample.generate(writer.source, writer.tokenizer, [prompt], 1, sampling, drafter=drafter)
    return one.text, one.tokens / (time.perf_counter() - begin)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--weights", default="int8")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    keeping.add_options(parser)
    options = parser.parse_args()
    found = keeping.describe(f"{options.model} writes {options.tokens} tokens", ("torch",))
    config = LoadConfig(weights=options.weights, drafts="off")
    writer = load_with(options.model, config, lambda line: print(line, file=sys.stderr))
    corpus = Corpus(options.model)
    prompts = options.prompts.read_text("utf-8").splitlines() if options.prompts else corpus.prompts
    ratios = {}
    for name, case in CASES.items():
        sampling = replace(case, max_new_tokens=options.tokens, min_new_tokens=options.tokens)
        drafter = Drafter(corpus)
        speeds: dict[bool, list[float]] = {False: [], True: []}
        for round_ in range(options.rounds + 1):
            texts: dict[bool, list[str]] = {False: [], True: []}
            for prompt in prompts[:4]:
                seeded = replace(sampling, seed=round_)
                for drafts in (False, True):
                    text, speed = measure(writer, prompt, seeded, drafter if drafts else None)
                    texts[drafts].append(text)
                    if round_:  # the first warms up
                        speeds[drafts].append(speed)
            if texts[False] != texts[True]:
                print("The texts differ; rounding may decide close choices.", file=sys.stderr)
        plain, drafted = (statistics.median(speeds[drafts]) for drafts in (False, True))
        ratios[name] = round(drafted / plain, 3)
        print(
            f"{name:16} plain {plain:8.1f}  with drafts {drafted:8.1f} tokens/s  ratio "
            f"{drafted / plain:.2f}  {drafter.accepted:,} of {drafter.drafted:,} guesses right"
        )
    if options.keep:
        keeping.keep("drafts", found | {"ratios": ratios, "weights": options.weights})
    if options.json:
        print(json.dumps(ratios))


if __name__ == "__main__":
    main()
