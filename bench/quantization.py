"""Measure what bf16, int8 and int4 weights cost in quality, beside float32.

    python bench/quantization.py TEXT [TEXT ...] [--model base] [--tokens 20000] [--json] [--keep]

TEXT are plain text files that the model has not seen, cleaned as `base`'s training data. The first
`--tokens` tokens of each are read in windows of half the context. Printed for each type: the
perplexity, its change against float32, and the mean Kullback-Leibler divergence of a token's
distribution from float32's, in nats.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

import base
import keeping
from penwright import native, weights

AT_ONCE = 8
"""Windows read together."""


def read_windows(
    opened: weights.OpenedModel, paths: Sequence[Path], tokens: int
) -> list[list[int]]:
    """Return windows of the texts' tokens, each behind the end-of-text token."""
    length = opened.model.config.n_positions // 2
    windows = []
    for path in paths:
        ids = opened.tokenizer.encode(base.clean(path.read_text(encoding="utf-8-sig")))[:tokens]
        windows += [
            [opened.tokenizer.eot_id, *ids[i : i + length]] for i in range(0, len(ids), length)
        ]
    return windows


def predict(packed: native.PackedModel, windows: Sequence[list[int]]) -> Tensor:
    """Return the log-probabilities of every next token, [N, V], of some windows."""
    decoder = packed.decoder()
    decoder.enter([[]] * len(windows))
    return decoder.feed([window[:-1] for window in windows], every=True).log_softmax(-1)


def measure(opened: weights.OpenedModel, windows: Sequence[list[int]]) -> list[dict[str, object]]:
    library = native.load()
    if library is None:
        sys.exit(f"This needs the native decoder; now: {native.describe()}.")
    kinds = [native.PackedModel.of(opened.model, library, kind) for kind in native.WEIGHTS]
    losses, divergences = [0.0] * len(kinds), [0.0] * len(kinds)
    n = 0
    for begin in range(0, len(windows), AT_ONCE):
        some = windows[begin : begin + AT_ONCE]
        targets_N1 = torch.tensor([[token] for window in some for token in window[1:]])
        n += len(targets_N1)
        whole_NV = predict(kinds[0], some)
        for number, packed in enumerate(kinds):
            found_NV = predict(packed, some)
            losses[number] -= float(found_NV.gather(1, targets_N1).double().sum())
            divergences[number] += float((whole_NV.exp() * (whole_NV - found_NV)).double().sum())
    return [
        {
            "weights": packed.weights,
            "bytes": packed.n_bytes,
            "tokens": n,
            "perplexity": round(math.exp(loss / n), 3),
            "change": round(math.exp((loss - losses[0]) / n) - 1, 5),
            "kl_per_token": round(divergence / n, 6),
        }
        for packed, loss, divergence in zip(kinds, losses, divergences, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="+", type=Path)
    parser.add_argument("--model", default="base")
    parser.add_argument("--tokens", type=int, default=20_000, help="of each text, at most")
    keeping.add_options(parser)
    options = parser.parse_args()
    head = keeping.describe(f"quantised weights of {options.model} on held-out text")
    opened = weights.open(options.model, dtype=torch.float32)
    rows = measure(opened, read_windows(opened, options.texts, options.tokens))
    for row in rows:
        print(
            f"{row['weights']:8} {row['bytes']:12,} bytes  perplexity {row['perplexity']:8.3f} "
            f"({row['change']:+.2%})  KL {row['kl_per_token']:.6f} a token"
        )
    if options.json:
        print(json.dumps({row["weights"]: row["change"] for row in rows}))
    if options.keep:
        texts = [path.name for path in options.texts]
        types = {str(row.pop("weights")): row for row in rows}
        keeping.keep(f"quantization-{options.model}", {**head, "texts": texts, **types})


if __name__ == "__main__":
    main()
