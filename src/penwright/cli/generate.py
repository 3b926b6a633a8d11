"""`penwright generate`"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from penwright.cli.options import Json, Opened
from penwright.config import GenerateConfig


def generate(
    model: str,
    *,
    options: Annotated[GenerateConfig, Opened] = GenerateConfig(),  # noqa: B008 - frozen
    json_: Annotated[Json, Parameter(name="--json")] = False,
    output: Path | None = None,
) -> None:
    """Write text.

    Parameters
    ----------
    model
        A run, a folder, a size (124M), a Hub name, or base.
    output
        Write to this file instead; one that ends in .jsonl gets JSON. {seed} in its name stands
        for the seed.
    """
    from penwright.files import refuse_existing
    from penwright.verbs.generate import Text, read_prompts, write_texts
    from penwright.verbs.writer import load

    prompts = read_prompts(options)
    if output is not None:
        output = Path(str(output).replace("{seed}", str(options.sampling.seed)))
        refuse_existing(output)
    as_json = json_ or (output is not None and output.suffix == ".jsonl")
    writer = load(model, device=options.compute.device, precision=options.compute.precision)
    alone = output is None and len(prompts) * options.n == 1
    live = alone and not as_json and not writer.sections and not options.strip
    if live:
        sys.stdout.write(prompts[0])
        sys.stdout.flush()

    def show(_index: int, piece: str) -> None:
        sys.stdout.write(piece)
        sys.stdout.flush()

    def rendered(texts: list[Text]) -> str:
        if as_json:
            return "\n".join(json.dumps(text.as_json(), ensure_ascii=False) for text in texts)
        return ("\n" + "=" * 20 + "\n").join(text.whole for text in texts)

    texts = write_texts(writer, options, show if live else None)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(rendered(texts) + "\n", encoding="utf-8", newline="\n")
        print(f"{len(texts):,} texts in {output}", file=sys.stderr)
    else:
        print("" if live else rendered(texts))
