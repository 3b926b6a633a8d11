"""The verb inspect, and how an examination and a model are printed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from penwright.cli.options import Json, Opened, warn
from penwright.config import InspectConfig
from penwright.wording import count

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from penwright.doctor import Examination, PreviewRow
    from penwright.weights.describing import Description

_BAR = 32
_PLACES = 3
_SHOWN = 160
"""Number of characters to show at each end of a long text."""


def inspect(
    *data: str,
    options: Annotated[InspectConfig, Opened] = InspectConfig(),  # noqa: B008 - frozen
    json_: Json = False,
) -> None:
    """Look at a text or a model: what is in it, what is wrong, and what training will see.

    Parameters
    ----------
    data
        Files, folders or globs; or one model: a run, a folder, a size (124M), or base.
    """
    from penwright.verbs.describe import describe, names_model

    if len(data) == 1 and names_model(data[0]):
        model = describe(data[0])
        print(json.dumps(model.as_json()) if json_ else describe_model(model))
        return
    from rich.console import Console

    from penwright.verbs.inspect import run_inspect
    from penwright.weights import choose_model

    options = replace(options, model=str(choose_model(options.model, warn)))
    # What was told while reading is among the findings; a program gets them there too.
    found = run_inspect(data, options, lambda _: None)
    if json_:
        print(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        show_inspection(found, Console(highlight=False, soft_wrap=True))
    if options.html is not None:
        from penwright.report.examination import write

        warn(f"The page is {write(options.html, found.as_json())}")


def describe_model(model: Description) -> str:
    """Return a summary of a model."""
    types = ", ".join(f"{count:,} in {name}" for name, count in model.dtypes.items())
    rows = [
        ("path", str(model.path)),
        ("parameters", f"{model.parameters:,}" + (f" ({types})" if types else "")),
        ("files", f"{model.bytes / 1e6:,.1f} MB of weights in {len(model.tensors):,} tensors"),
    ]
    if model.layers:
        layers, heads = count(model.layers, "layer"), count(model.heads or 0, "head")
        shape = f"{layers} of width {model.width:,}, {heads}"
        rows.append(("shape", f"{shape}{'' if model.tied else ', its head apart'}"))
        rows.append(("context", f"{model.context:,} tokens"))
        rows.append(("tokenizer", f"{model.vocabulary:,} tokens"))
    if model.base_model:
        rows.append(("adapts", model.base_model))
    lines = [f"{model.name} is a model: {model.model_type}, a {model.kind}"]
    return "\n".join([*lines, *(f"{name:<12}{value}" for name, value in rows)])


def show_inspection(found: Examination, console: Console) -> None:
    """Print an examination."""
    from rich.text import Text

    for choice in found.files[:5]:
        line = Text(choice.path, style="bold")
        line.append(f": {choice.kind}; {choice.says}", style="not bold")
        console.print(line)
    if len(found.files) > 5:
        console.print(f"... and {count(len(found.files) - 5, 'more file')}")
    console.print()
    for name, value in list_facts(found):
        console.print(Text.assemble((f"{name:<13}", "dim"), value))
    show_histogram(found, console)
    show_findings(found, console)
    for number, window in enumerate(found.windows, 1):
        console.print(f"\n[dim]window {number}: learned is green, only read is grey[/dim]")
        console.print(colour(window))


def list_facts(found: Examination) -> list[tuple[str, str]]:
    """Return the figures with their names."""
    repeated, lengths, longer = found.duplicates.count, found.lengths, found.cut.longer
    rows = [
        ("documents", f"{found.documents:,}" + (f", {repeated:,} repeated" if repeated else "")),
        ("words", f"{found.words:,}"),
        (
            "tokens",
            f"{found.tokens:,}, and 1 for the end of each document; {found.learned:,} of all are "
            "learned",
        ),
    ]
    if found.documents > 1:
        spread = f"{lengths.shortest:,} to {lengths.longest:,} tokens"
        rows.append(("a document", f"{spread}, half of them at most {lengths.median:,}"))
        rows.append(("shortest", _extremes(found, found.extremes.shortest)))
        rows.append(("longest", _extremes(found, found.extremes.longest)))
    share = f" ({longer / found.documents:.0%} of the documents are longer)" if longer else ""
    rows.append(("cut", found.cut.says + share))
    rows.append(("white space", f"{found.white_space:.1%} of the tokens"))
    if found.costly:
        shown = ", ".join(
            f"{item.character} ({item.tokens} tokens, {count(item.count, 'time')})"
            for item in found.costly[:5]
        )
        rows.append(("costly", shown))
    return rows


def _extremes(found: Examination, extremes: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(f"{_place(found, place)} ({tokens:,})" for place, tokens in extremes[:_PLACES])


def _place(found: Examination, place: str) -> str:
    """Return a place as `path:3`, or as `line 3` in the only file, which is named above."""
    only = f"{found.files[0].path}:" if len(found.files) == 1 else ""
    return place.replace(only, "line ") if only else place


def show_findings(found: Examination, console: Console) -> None:
    """Print the findings: the fault, its places and the remedy."""
    from rich.text import Text

    if not found.findings:
        console.print("\nNothing looks wrong with it.")
        return
    console.print(f"\n[bold]To look at[/bold] ({len(found.findings)})")
    for finding in found.findings:
        console.print(Text.assemble(("  • ", "yellow"), finding.says))
        if finding.places:
            more = finding.count - len(finding.places[:_PLACES])
            rest = f", and {more:,} more" if more > 0 else ""
            places = ", ".join(_place(found, place) for place in finding.places[:_PLACES])
            console.print(Text(f"    {places}{rest}", style="bright_black"))
        if finding.fix:
            console.print(Text(f"    {finding.fix}"))


def show_histogram(found: Examination, console: Console) -> None:
    """Print a histogram of the documents' lengths."""
    bins = found.lengths.histogram
    if len(bins) < 2:
        return
    most = max(item.count for item in bins)
    console.print()
    for item in bins:
        bar = "█" * round(_BAR * item.count / most)
        span = f"{item.low:,} to {item.high:,}"
        console.print(f"[dim]{span:>17} tokens[/dim] {bar} {item.count:,}")


def colour(window: PreviewRow) -> Text:
    """Return a window as coloured text: learned green, context grey, a rule between documents.

    A long text is shown by its beginning and end; the JSON and the page have all of it.
    """
    from rich.text import Text

    text = Text()
    for number, document in enumerate(window.documents):
        if number:
            text.append("\n" + "-" * _BAR + "\n", style="dim")
        for piece in document:
            style = "green" if piece.learned else "bright_black"
            left_out = len(piece.text) - 2 * _SHOWN
            if left_out <= _SHOWN:
                text.append(piece.text, style=style)
                continue
            text.append(piece.text[:_SHOWN], style=style)
            text.append(f" [{count(left_out, 'character')}] ", style="dim")
            text.append(piece.text[-_SHOWN:], style=style)
    if window.padding:
        text.append(f" ({count(window.padding, 'padding token')})", style="dim")
    return text
