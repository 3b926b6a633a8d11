"""`penwright evaluate`"""

from __future__ import annotations

import json
from typing import Annotated

from cyclopts import Parameter

from penwright.cli.options import Json, Opened, warn
from penwright.config import EvaluateConfig


def evaluate(
    model: str,
    *data: str,
    options: Annotated[EvaluateConfig, Opened] = EvaluateConfig(),  # noqa: B008 - frozen
    json_: Annotated[Json, Parameter(name="--json")] = False,
) -> None:
    """Measure how well a model foresees a text: perplexity and bits per byte.

    Parameters
    ----------
    model
        A run, a folder, a size (124M), a Hub name, or base.
    data
        Files, folders or globs; or none, with --held-out-of.
    """
    from penwright.verbs.evaluate import run_evaluate

    result = run_evaluate(model, data, options, warn)
    if json_:
        print(json.dumps(result.as_json()))
        return
    interval = ""
    if result.low is not None and result.high is not None:
        interval = f"  95 %: {result.low:,.3f} to {result.high:,.3f}"
    how = "all tokens" if result.average == "token" else "the mean of batch losses"
    print(f"perplexity     {result.perplexity:,.3f}  ({how}){interval}")
    print(f"loss           {result.loss:.4f} nats a token")
    if result.bits_per_byte is not None:
        print(f"bits per byte  {result.bits_per_byte:.4f}")
    print(f"measured on    {result.tokens:,} tokens of {result.documents:,} documents")
    if result.measured is not None:
        print(f"\n{result.measured}")
