"""A page with a text coloured by how surprising each token is to a model."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penwright.report.page import Chapter, Html, data_block, definitions, html, page, table
from penwright.wording import amount, count

LEVELS = ((1.0, "above 50 %"), (4.0, "6 to 50 %"), (8.0, "0.4 to 6 %"), (12.0, "0.02 to 0.4 %"))
"""The largest surprise of each level in bits, and its probabilities; beyond is the last level."""
LAST_LEVEL = "below 0.02 %"

MOST_TOKENS = 30_000
"""Tokens shown on a page; more make a browser slow."""
_MOST_SURPRISING = 20
_BEFORE = 40
_NAT = 1 / math.log(2)


def level(logprob: float) -> int:
    """Return the level of surprise of a token, from 0 on."""
    return sum(-logprob * _NAT > most for most, _ in LEVELS)


def scores_page(
    name: str, model: str, documents: Sequence[Mapping[str, Any]], total: Mapping[str, Any]
) -> str:
    """Return the page of `penwright score --html`, given the JSON of documents and total."""
    said = (
        f"{model} reads this text with perplexity {amount(total['perplexity'])}: "
        f"{total['first']:.0%} of {count(total['tokens'], 'token')} were its first guess, "
        f"{total['first_ten']:.0%} among its first ten."
    )
    head = html(
        '<p class="kicker"><b>Penwright</b> · surprise by token</p><h1>{name}</h1>\n'
        '<p class="lede">{said}</p>\n{facts}',
        name=name,
        said=said,
        facts=definitions(
            [
                ("perplexity", amount(total["perplexity"])),
                ("bits per byte", amount(total["bits_per_byte"])),
                ("nats per token", amount(total["loss"])),
                ("documents", f"{total['documents']:,}"),
            ]
        ),
    )
    shown = sum(len(document["tokens"]) for document in documents)
    note = "Hover, tap, or press Tab and the arrow keys to see what the model expected at a place."
    if shown < total["tokens"]:
        note += (
            f" The first {count(shown, 'token')} are shown, of {total['tokens']:,}; "
            "--output has all."
        )
    text = html(
        '<p class="note">{note}</p>\n{legend}{documents}<aside class="token" aria-live="polite" '
        "hidden></aside>\n",
        note=note,
        legend=_legend(),
        documents=[_document(document) for document in documents],
    )
    return page(
        title=f"{name} · scores · Penwright",
        description=said,
        header=head,
        sections=[
            Chapter("text", "Text", "The text", text),
            Chapter("surprising", "Surprising", "What was least expected", _surprising(documents)),
        ],
        footer="Written by Penwright. This page loads nothing from the network.",
        extra="scores",
    )


def _legend() -> Html:
    names = [words for _, words in LEVELS] + [LAST_LEVEL]
    items = [
        html('<li><span class="s{n}">{words}</span></li>', n=number, words=words)
        for number, words in enumerate(names)
    ]
    return html(
        '<ul class="levels" aria-label="Probability of a token">{items}'
        '<li><span class="context">not scored</span></li></ul>\n',
        items=items,
    )


def _document(document: Mapping[str, Any]) -> Html:
    words: dict[str, int] = {}
    details: list[object] = []
    spans = []
    for token in document["tokens"][1:]:  # the first is the end-of-text token before the document
        if token["logprob"] is None:
            details.append(0)
            spans.append(html('<span class="context">{t}</span>', t=token["text"]))
            continue
        best = [
            [words.setdefault(other["text"], len(words)), _digits(math.exp(other["logprob"]))]
            for other in token["best"]
        ]
        details.append(
            [
                _digits(math.exp(token["logprob"])),
                token["rank"],
                round(-token["logprob"] * _NAT, 2),
                round(token["entropy"] * _NAT, 2),
                best,
            ]
        )
        spans.append(
            html(
                '<span class="s{n}">{t}</span>',
                n=level(token["logprob"]),
                t=_visible(token["text"]),
            )
        )
    return html(
        '<div class="scored" tabindex="0" role="group" aria-label="Document {number}" '
        'dir="auto">{data}{spans}</div>\n',
        number=document["document"],
        data=data_block({"words": [*words], "tokens": details}),
        spans=spans,
    )


def _visible(text: str) -> str:
    """Return a token with a mark where it would not be seen."""
    if text == "<|endoftext|>":
        return "∎"
    return text if text.strip() or not text else text.replace("\n", "↵\n")


def _digits(value: float) -> float:
    return float(f"{value:.3g}")


def _surprising(documents: Sequence[Mapping[str, Any]]) -> Html:
    found = heapq.nsmallest(_MOST_SURPRISING, _places(documents), key=lambda each: each[0])
    rows = [
        (
            repr(token["text"])[1:-1],
            f"{100 * math.exp(logprob):.2g} %",
            f"{token['rank']:,}",
            " · ".join(repr(other["text"])[1:-1] for other in token["best"][:3]),
            f"… {before}" if before else "",
        )
        for logprob, token, before in found
    ]
    heads = ("token", "probability", "rank", "expected", "after")
    return table("The least expected tokens", heads, rows)


def _places(
    documents: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[float, Mapping[str, Any], str]]:
    for document in documents:
        before = ""
        for number, token in enumerate(document["tokens"]):
            if token["logprob"] is not None and token["text"]:  # not half a character
                yield token["logprob"], token, " ".join(before.split())
            before = (before + token["text"])[-_BEFORE:] if number else ""
