"""Verbs that write: write, generate."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from penwright.cli.options import Json, Opened, warn
from penwright.config import GenerateFilesConfig, WriteConfig

if TYPE_CHECKING:
    from penwright.verbs.generate import Text


def write(
    model: str | None = None,
    *,
    options: Annotated[WriteConfig, Opened] = WriteConfig(),  # noqa: B008 - frozen
) -> None:
    """Write interactively: type a beginning, read how it goes on. Ctrl-D ends, Ctrl-C stops a text.

    Parameters
    ----------
    model
        A run, a folder, a size (124M), a Hub name, or base.
    """
    from penwright.verbs.generate import check
    from penwright.verbs.writer import load

    check(options)
    writer = load(
        model, device=options.compute.device, precision=options.compute.precision, warn=warn
    )
    warn(f"{writer.name} is ready. Type how the text begins; Ctrl-D ends.")
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
            one = replace(options, sampling=sampling)
            try:
                for piece in writer.stream_with(prompt, one, warn):
                    _show("", piece)
            except KeyboardInterrupt:
                sys.stdout.write(" ...")
            print()


def generate(
    model: str | None = None,
    *,
    options: Annotated[GenerateFilesConfig, Opened] = GenerateFilesConfig(),  # noqa: B008 - frozen
    json_: Json = False,
) -> None:
    """Write texts from prompts.

    Parameters
    ----------
    model
        A run, a folder, a size (124M), a Hub name, or base.
    """
    from penwright.files import refuse_existing
    from penwright.verbs.generate import check, read_prompts, write_texts
    from penwright.verbs.writer import load

    check(options)
    output = options.output
    if output is not None:
        output = Path(str(output).replace("{seed}", str(options.sampling.seed)))
        refuse_existing(output)
    prompts = read_prompts(options, warn)
    options = replace(options, prompt=prompts, prompts=None)
    as_json = json_ or (output is not None and output.suffix == ".jsonl")
    writer = load(
        model, device=options.compute.device, precision=options.compute.precision, warn=warn
    )
    alone = output is None and len(prompts) * options.n == 1
    live = alone and not as_json and not writer.sections and not options.strip
    if live:
        _show("", prompts[0])
    texts = write_texts(writer, options, _show if live else None, warn)
    if output is not None:
        from penwright.wording import count

        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(_render(texts, as_json) + "\n", encoding="utf-8", newline="\n")
        warn(f"{count(len(texts), 'text')} in {output}")
    else:
        print("" if live else _render(texts, as_json))


def _show(_index: object, piece: str) -> None:
    sys.stdout.write(piece)
    sys.stdout.flush()


def _render(texts: list[Text], as_json: bool) -> str:
    if as_json:
        return "\n".join(json.dumps(text.as_json(), ensure_ascii=False) for text in texts)
    return ("\n" + "=" * 20 + "\n").join(text.whole for text in texts)
