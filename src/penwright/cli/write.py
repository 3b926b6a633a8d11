"""`penwright write`"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

from penwright.cli.options import Opened
from penwright.config import GenerateConfig


def write(
    model: str,
    *,
    options: Annotated[GenerateConfig, Opened] = GenerateConfig(),  # noqa: B008 - frozen
) -> None:
    """Write at a prompt, again and again; Ctrl-D ends, Ctrl-C stops a text.

    Parameters
    ----------
    model
        A run, a folder, a size (124M), a Hub name, or base.
    """
    from penwright.verbs.writer import load

    writer = load(model, device=options.compute.device, precision=options.compute.precision)
    print(f"{writer.name} is ready. Type how the text begins; Ctrl-D ends.", file=sys.stderr)
    number = 0
    while True:
        try:
            prompt = input("\n> ") if sys.stdin.isatty() else input()
        except EOFError:
            print(file=sys.stderr)
            return
        for _ in range(options.n):
            sampling = replace(options.sampling, seed=options.sampling.seed + number)
            number += 1
            sys.stdout.write(prompt)
            try:
                for piece in writer.stream_with(prompt, replace(options, sampling=sampling)):
                    sys.stdout.write(piece)
                    sys.stdout.flush()
            except KeyboardInterrupt:
                sys.stdout.write(" ...")
            print()
