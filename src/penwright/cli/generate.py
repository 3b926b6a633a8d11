"""The verb generate: texts from prompts, printed or written to files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from penwright.cli.options import Json, Opened, warn
from penwright.config import GenerateFilesConfig
from penwright.wording import count, duration

if TYPE_CHECKING:
    from penwright.verbs.bulk import Prompts
    from penwright.verbs.generate import Text, Writer

_SECONDS_BETWEEN_LINES = 10.0
Verbose = Annotated[
    bool, Parameter(negative="", help="Print the speed, and how near it is to the machine's limit.")
]


def generate(
    model: str | None = None,
    *,
    options: Annotated[GenerateFilesConfig, Opened] = GenerateFilesConfig(),  # noqa: B008 - frozen
    json_: Json = False,
    verbose: Verbose = False,
) -> None:
    """Write texts from prompts.

    Parameters
    ----------
    model
        A run, a folder, a size (124M), a Hub name, or base.
    """
    from penwright.verbs.bulk import check_output, collect_prompts
    from penwright.verbs.generate import check, load_with
    from penwright.verbs.provenance import refuse_existing_text
    from penwright.verbs.speed import measure_speed

    check(options)
    output = options.output
    if output is not None:
        output = Path(str(output).replace("{seed}", str(options.sampling.seed)))
    as_json = json_ or (output is not None and output.suffix == ".jsonl")
    if output is not None:
        (check_output if as_json else refuse_existing_text)(output)
    with collect_prompts(options, warn) as prompts:
        writer = load_with(model, options.compute, warn)
        if output is None:
            _print_texts(writer, prompts, options, as_json=as_json, verbose=verbose)
        elif as_json:
            _append_texts(writer, prompts, options, output)
        else:
            _save_texts(writer, prompts, options, output, verbose=verbose)
        if verbose:
            warn(str(measure_speed(writer)))
        prompts.require_all()


def _print_texts(
    writer: Writer, prompts: Prompts, options: GenerateFilesConfig, *, as_json: bool, verbose: bool
) -> None:
    """Print each text as soon as it is written; a single one piece by piece."""
    from penwright.verbs.bulk import write_texts

    alone = prompts.total * options.n == 1
    live = alone and not as_json and not writer.sections and not options.strip
    # The prompt waits for the first piece, so that what is told before stands on a line of its own.
    waiting = [next(iter(prompts)).prompt] if live and not options.drop_prompt else []

    def show(number: int, piece: str) -> None:
        _show(number, waiting.pop() + piece if waiting else piece)

    texts = write_texts(writer, prompts, options, on_text=show if live else None, warn=warn)
    for number, text in enumerate(texts):
        if live:
            show(0, "\n")
        elif as_json:
            print(_line(text, writer if verbose else None), flush=True)
        else:
            print(
                _SEPARATOR.lstrip() * bool(number) + text.shown(drop_prompt=options.drop_prompt),
                flush=True,
            )
        if alone and text.seams is not None:
            warn(str(text.seams))


def _append_texts(
    writer: Writer, prompts: Prompts, options: GenerateFilesConfig, output: Path
) -> None:
    """Write a row for each text, behind those that are in the file from an interrupted run."""
    from penwright.verbs.bulk import continue_file, identify, write_texts

    total = prompts.total * options.n
    with continue_file(output, identify(writer, prompts, options)) as (done, rows):
        if done:
            warn(f"Continuing {output}: {done:,} of {count(total, 'text')} are there.")
        try:
            with _progress(total, done) as tell:
                for text in write_texts(writer, prompts, options, skip=done, warn=warn):
                    rows.write(_line(text) + "\n")
                    rows.flush()
                    done += 1
                    tell(done, text.tokens)
        except KeyboardInterrupt:
            warn(f"{count(done, 'text')} of {total:,} in {output}. The same command continues it.")
            raise
    warn(f"{count(total, 'text')} in {output}")


def _save_texts(
    writer: Writer, prompts: Prompts, options: GenerateFilesConfig, output: Path, *, verbose: bool
) -> None:
    """Write a file with the whole texts, and its label beside it."""
    from penwright.verbs.bulk import write_texts
    from penwright.verbs.provenance import write_labelled
    from penwright.verbs.speed import measure_speed

    total = prompts.total * options.n
    found: list[str] = []
    with _progress(total, 0) as tell:
        for text in write_texts(writer, prompts, options, warn=warn):
            found.append(text.shown(drop_prompt=options.drop_prompt))
            tell(len(found), text.tokens)
    speed = {"speed": measure_speed(writer).as_json()} if verbose else {}
    label = writer.label(options.sampling) | speed
    write_labelled(output, _SEPARATOR.join(found) + "\n", label)
    warn(f"{count(total, 'text')} in {output}")


_SEPARATOR = "\n" + "=" * 20 + "\n"


def _line(text: Text, measured: Writer | None = None) -> str:
    """Return a text as a line of JSON; with `measured`, its speed so far is among the keys."""
    from penwright.verbs.provenance import json_line
    from penwright.verbs.speed import measure_speed

    speed = {"speed": measure_speed(measured).as_json()} if measured else {}
    return json_line(text.as_json() | speed)


def _show(_index: object, piece: str) -> None:
    sys.stdout.write(piece)
    sys.stdout.flush()


@contextmanager
def _progress(total: int, done: int) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that takes the number of finished texts and the tokens of the newest.

    It shows the throughput and the time left on standard error: a line that is redrawn in a
    terminal, or else a new line every ten seconds.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text as Line

    console = Console(stderr=True, highlight=False)
    live = Live(console=console, refresh_per_second=4, transient=True)
    started = last_line = time.monotonic()
    first, tokens = done, 0

    def tell(done: int, newest: int) -> None:
        nonlocal tokens, last_line
        tokens += newest
        seconds = time.monotonic() - started
        pace = (done - first) / seconds
        line = Line(
            f"{done:,}/{total:,} texts  {pace:,.1f} texts/s  {tokens / seconds:,.0f} tokens/s  "
            f"left {duration((total - done) / pace)}"
        )
        if console.is_terminal:
            live.update(line)
        elif time.monotonic() - last_line >= _SECONDS_BETWEEN_LINES:
            last_line = time.monotonic()
            console.print(line, soft_wrap=True)

    if not console.is_terminal:
        yield tell
        return
    with live:
        yield tell
