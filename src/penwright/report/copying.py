"""Show what texts copied from the training text: each copied span beside its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penwright.report.page import Chapter, Html, fold, html, page, table
from penwright.wording import count

_MOST = 500  # texts of the page


def copied_page(found: Mapping[str, Any]) -> str:
    """Return the whole page of `penwright copied --html`, given its JSON."""
    head = html(
        '<p class="kicker"><b>Penwright</b> · copied text</p><h1>{name}</h1>\n'
        '<p class="lede">{lede}</p>',
        name=found["run"],
        lede=summary(found),
    )
    chapters = [
        Chapter("figures", "Figures", "How much", figures(found)),
        Chapter("texts", "Texts", "Which spans, and from where", texts(found, _MOST)),
    ]
    return page(
        title=f"{found['run']} · copied text · Penwright",
        description=summary(found),
        header=head,
        sections=chapters,
        footer="Written by Penwright. The texts are machine-written; their sources are not. "
        "This page loads nothing from the network.",
    )


def copied_text(found: Mapping[str, Any]) -> Html:
    """Return the report's chapter: the figures, and the texts that copied most."""
    said = html('<p class="say">{words}</p>\n', words=summary(found))
    return html("{said}{figures}{texts}", said=said, figures=figures(found), texts=texts(found, 6))


def summary(found: Mapping[str, Any]) -> str:
    """Return one sentence: how much is copied, and whether people's text has as much."""
    said = f"{found['share']:.1%} of what it wrote stands word for word in the training text"
    human = found["held_out"]
    if human is None:
        return said + "."
    return f"{said}; of held-out text that people wrote, {human['share']:.1%} does."


def figures(found: Mapping[str, Any]) -> Html:
    """Return the table of figures, the samples' beside held-out text's."""
    samples = found["samples"]
    rows: list[Sequence[object]] = [
        ("this model's", f"{len(samples):,}", f"{found['share']:.1%}", _tokens(found["longest"]))
    ]
    if human := found["held_out"]:
        row = ("held out", f"{human['texts']:,}", f"{human['share']:.1%}")
        rows.append((*row, _tokens(human["longest"])))
    note = (
        f"A span counts from {count(found['min_tokens'], 'token')} that hold a letter or a digit. "
        "Stock phrases are normal in a genre: compare with the held-out text."
    )
    return html(
        '{table}<p class="note">{note}</p>\n',
        table=table("Copied text", ("texts", "number", "copied", "longest span"), rows),
        note=note,
    )


def texts(found: Mapping[str, Any], most: int) -> Html:
    """Return the texts with their copied spans marked, those that copied most first."""
    samples = sorted(found["samples"], key=lambda sample: -float(sample["share"]))
    copying = [sample for sample in samples if sample["spans"]]
    clean = [sample for sample in samples if not sample["spans"]]
    parts = [_text(sample) for sample in copying[:most]]
    said = []
    if len(copying) > most:
        said.append(f"{count(len(copying) - most, 'more text')} with copied spans left out here.")
    if clean:
        parts.append(
            fold(
                f"{count(len(clean), 'text')} without a copied span", list(map(_text, clean[:most]))
            )
        )
    if not copying:
        said.append(f"No text has a span of {count(found['min_tokens'], 'token')} that is copied.")
    return html(
        "{said}{parts}", said=[html('<p class="note">{s}</p>', s=s) for s in said], parts=parts
    )


def _text(sample: Mapping[str, Any]) -> Html:
    text, spans = sample["text"], sample["spans"]
    pieces, at = [], 0
    for number, span in enumerate(spans, 1):
        start = max(at, span["start"])
        pieces.append(html("{text}", text=text[at:start]))
        pieces.append(
            html(
                "<mark>{text}</mark><sup>{number}</sup>",
                text=text[start : span["end"]],
                number=number,
            )
        )
        at = max(at, span["end"])
    pieces.append(html("{text}", text=text[at:]))
    return html(
        '<article class="copied"><div class="wrote"><h3>{title}</h3>'
        '<p dir="auto"><span class="prompt">{prompt}</span>{pieces}</p></div>'
        '<ol class="sources">{sources}</ol></article>\n',
        title=f"{sample['share']:.0%} copied",
        prompt=sample["prompt"],
        pieces=pieces,
        sources=[_source(span, text) for span in spans],
    )


def _source(span: Mapping[str, Any], text: str) -> Html:
    return html(
        '<li><b>{place}</b> <span class="what">{tokens}</span>'
        '<p dir="auto">{before}<mark>{span}</mark>{after}</p></li>',
        place=span["source"],
        tokens=_tokens(span["tokens"]),
        before=span["before"],
        span=text[span["start"] : span["end"]],
        after=span["after"],
    )


def _tokens(number: int) -> str:
    return count(number, "token")
