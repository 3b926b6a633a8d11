"""Write the result of `penwright inspect` as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penwright.files import write_text
from penwright.report.page import Chapter, Html, definitions, flags, html, page, table
from penwright.wording import count

_PLACES = 5
_FILES = 50
"""Files listed at most."""
_SHOWN = 4000
"""Characters of a window shown at most."""


def write(path: Path, found: Mapping[str, Any]) -> Path:
    """Write the page of an examination; raises OutOfRoomError when it cannot be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, render(found))
    return path


def render(found: Mapping[str, Any]) -> str:
    """Return the page for the values of `Examination.as_json`; equal values give equal pages."""
    files = [Path(str(choice["path"])).name for choice in found["files"]]
    name = files[0] if len(files) == 1 else f"{files[0]} and {count(len(files) - 1, 'other')}"
    lede = _lede(found)
    sections = [
        Chapter("findings", "To look at", "What to look at", _findings(found["findings"])),
        Chapter("lengths", "Lengths", "How long the documents are", _lengths(found)),
        Chapter("files", "Files", "How the files are read", _files(found["files"])),
        Chapter("windows", "Windows", "What training will see", _windows(found["windows"])),
    ]
    if found["costly"]:
        title = "Characters that cost many tokens"
        sections.insert(3, Chapter("costly", "Characters", title, _costly(found["costly"])))
    return page(
        title=f"{name} · Penwright",
        description=lede,
        header=html(
            '<p class="kicker"><b>Penwright</b> examination of a text</p>\n'
            '<h1 dir="auto">{name}</h1>\n<p class="lede">{lede}</p>\n{facts}',
            name=name,
            lede=lede,
            facts=definitions(_facts(found)),
        ),
        sections=sections,
        footer="Written by Penwright. This page loads nothing from the network.",
    )


def _lede(found: Mapping[str, Any]) -> str:
    told = f"{count(found['documents'], 'document')}, {count(found['tokens'], 'token')}."
    wrong = len(found["findings"])
    if not wrong:
        return f"{told} Nothing looks wrong with it."
    return f"{told} {count(wrong, 'matter')} to look at."


def _facts(found: Mapping[str, Any]) -> list[tuple[str, object]]:
    lengths, cut = found["lengths"], found["cut"]
    repeated = found["duplicates"]["count"]
    longer = cut["longer"] / max(found["documents"], 1)
    return [
        ("Documents", f"{found['documents']:,}"),
        ("Words", f"{found['words']:,}"),
        ("Tokens", f"{found['tokens']:,}"),
        ("Learned", count(found["learned"], "token")),
        ("Half of them have", f"at most {count(lengths['median'], 'token')}"),
        ("Longer than a row", f"{longer:.0%} of the documents"),
        ("White space", f"{found['white_space']:.1%} of the tokens"),
        ("Repeated", count(repeated, "document") if repeated else "none"),
    ]


def _findings(findings: Sequence[Mapping[str, Any]]) -> Html:
    if not findings:
        return html('<p class="note">Nothing looks wrong with this text.</p>')
    items = [
        html(
            "<li><b>{says}</b><br>{fix}{places}</li>\n",
            says=finding["says"],
            fix=flags(finding["fix"]),
            places=_places(finding),
        )
        for finding in findings
    ]
    return html('<ul class="remarks">{items}</ul>\n', items=items)


def _places(finding: Mapping[str, Any]) -> Html:
    places = [str(place) for place in finding["places"][:_PLACES]]
    if not places:
        return Html("")
    more = finding["count"] - len(places)
    rest = f", and {more:,} more" if more > 0 else ""
    return html('<p class="files">{places}{rest}</p>', places=", ".join(places), rest=rest)


def _lengths(found: Mapping[str, Any]) -> Html:
    bins = found["lengths"]["histogram"]
    most = max(item["count"] for item in bins)
    rows = [
        html(
            '<div class="bar"><dt>{low} to {high}</dt><dd>'
            '<span class="fill" style="width:{width}%"></span><b>{count}</b></dd></div>\n',
            low=f"{item['low']:,}",
            high=f"{item['high']:,}",
            width=f"{max(0.5, 100 * item['count'] / most):.1f}",
            count=f"{item['count']:,}",
        )
        for item in bins
    ]
    extremes = [
        (place, word, f"{tokens:,}")
        for word in ("shortest", "longest")
        for place, tokens in found["extremes"][word]
    ]
    return html(
        '<dl class="bars lengths">{rows}</dl>\n'
        '<p class="note">Documents by their tokens. Cut into {cut}.</p>\n{extremes}',
        rows=rows,
        cut=found["cut"]["says"],
        extremes=table("Shortest and longest documents", ("Place", "Among the", "Tokens"), extremes)
        if found["documents"] > 1
        else "",
    )


def _files(choices: Sequence[Mapping[str, Any]]) -> Html:
    shown = [
        html(
            "<p><b>{path}</b><br>{kind}; {says}.</p>\n",
            path=choice["path"],
            kind=", ".join(filter(None, (choice["format"], choice["encoding"], _ends(choice)))),
            says=choice["says"],
        )
        for choice in choices[:_FILES]
    ]
    more = len(choices) - len(shown)
    note = html('<p class="note">And {more} more.</p>', more=f"{more:,}") if more else Html("")
    return html("{shown}{note}", shown=shown, note=note)


def _ends(choice: Mapping[str, Any]) -> str:
    ends = choice["line_ends"]
    return f"{ends} line ends" if ends not in ("", "LF") else ""


def _costly(costly: Sequence[Mapping[str, Any]]) -> Html:
    rows = [(item["character"], f"{item['tokens']}", f"{item['count']:,}") for item in costly]
    return table("Costly characters", ("Character", "Tokens each", "Times"), rows)


def _windows(windows: Sequence[Mapping[str, Any]]) -> Html:
    shown = [
        html(
            '<li class="leaf"><h4>window {number}</h4>'
            '<p class="text" dir="auto">{pieces}</p>'
            '<p class="ending">{ending}</p></li>\n',
            number=number,
            pieces=_pieces(window["documents"]),
            ending=count(window["padding"], "padding token") if window["padding"] else "",
        )
        for number, window in enumerate(windows, 1)
    ]
    return html(
        '<p class="note">Loss falls on what is not underlined; what is underlined is only read. '
        "Documents are set apart by stars, and none of them sees another.</p>\n"
        '<div class="strip"><div class="scroll" tabindex="0" role="region" aria-label="Windows">'
        '<ol class="leaves windows">{shown}</ol></div></div>\n',
        shown=shown,
    )


def _pieces(documents: Sequence[Sequence[Sequence[Any]]]) -> list[Html]:
    """Return the text of a window's documents, up to a page, with the prompts underlined."""
    parts: list[Html] = []
    left = _SHOWN
    for number, document in enumerate(documents):
        if number:
            parts.append(Html("\n* * *\n"))
        for text, learned in document:
            shown = text if len(text) <= left else text[:left] + " […]"
            parts.append(
                html("{text}" if learned else '<span class="given">{text}</span>', text=shown)
            )
            left -= len(shown)
            if left <= 0:
                return parts
    return parts
