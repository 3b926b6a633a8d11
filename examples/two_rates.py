"""Train with two learning rates and ask which run is better.

python examples/two_rates.py story.txt --model base --steps 100
"""

from __future__ import annotations

import argparse

import penwright


def main() -> None:
    """Train twice on the same text and compare on what both held out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--model", default="base")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rates", type=float, nargs=2, default=[3e-4, 1e-3])
    given = parser.parse_args()
    names = []
    for rate in given.rates:
        run = penwright.finetune(
            given.data,
            model=given.model,
            steps=given.steps,
            learning_rate=rate,
            held_out=0.1,
            name=f"rate-{rate:g}",
            overwrite=True,
        )
        print(f"{rate:g}: perplexity {run.perplexity_before:.1f} -> {run.perplexity_after:.1f}")
        names.append(run.folder.name)
    found = penwright.compare(*names, prompts=2)
    print(found.differences)
    print("The texts side by side:", found.page)


if __name__ == "__main__":
    main()
