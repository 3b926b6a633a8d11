"""The page around a report: nothing escapes from text into markup, nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penwright.report.chart import Line
from penwright.report.curves import KINDS
from penwright.report.page import (
    Chapter,
    Html,
    asset,
    command,
    data_block,
    definitions,
    fold,
    html,
    page,
    table,
    text,
)
from tests.report.helpers import Page

HOSTILE = (
    "</p></section><script>alert(1)</script><img src=x onerror=alert(1)>"
    "<style>*{display:none}</style>\"'><svg/onload=alert(1)><!-- <![CDATA[ ]]> &lt;&#0; {x} {0}"
)
anything = st.one_of(st.text(), st.text("<>&\"'/!-=sript{}$"), st.just(HOSTILE))


@given(anything)
@example("\x00\x08\x7f\x85\ud800\u202e\r\n\uffff")
def test_text_shows_as_text_and_is_no_markup(value: str) -> None:
    found = Page(html("<p title='{value}'>{value}</p>", value=value))
    assert [tag for tag, _ in found.elements] == ["p"]
    shown = value.replace("\r\n", "\n")
    expected = "".join(
        "\ufffd"
        if 0xD800 <= ord(c) < 0xE000 or 0x80 <= ord(c) < 0xA0 or ord(c) in (0xFFFE, 0xFFFF)
        else chr(0x2400 + ord(c)) if ord(c) < 32 and c not in "\t\n"
        else "\u2421" if c == "\x7f" else c
        for c in shown
    )  # fmt: skip
    assert found.elements[0][1]["title"] == expected
    text(value).encode("utf-8")


def test_markup_is_joined_and_not_escaped_again() -> None:
    parts = [html("<b>{x}</b>", x="<"), html("<i>{x}</i>", x=2)]
    assert html("<p>{parts}</p>", parts=parts) == "<p><b>&lt;</b><i>2</i></p>"
    assert isinstance(html("{x}", x=Html("<b>")), Html)


@given(st.dictionaries(anything, anything), st.lists(anything))
def test_data_for_the_script_cannot_end_its_element(
    values: dict[str, str], more: list[str]
) -> None:
    value = {"values": {key.encode("utf-8", "replace").decode(): 1 for key in values}, "more": more}
    found = Page(data_block(value))
    assert [tag for tag, _ in found.elements] == ["script"]
    assert json.loads(found.blocks["script"][0]) == value


@given(anything)
def test_every_part_holds_hostile_text(value: str) -> None:
    parts = [
        definitions([(value, value)]),
        fold(value, value),
        table(value, [value, value], [[value, value]]),
        command(value),
    ]
    whole = page(
        title=value,
        description=value,
        header=html("<h1>{x}</h1>", x=value),
        sections=[Chapter("one", value, value, Html("".join(parts)))],
        footer=value,
    )
    found = Page(whole)
    assert len(found.named("script")) == 1
    assert len(found.named("style")) == 1
    assert not found.named("img")
    assert not [a for _, attributes in found.elements for a in attributes if a.startswith("on")]


def test_the_page_allows_its_own_script_and_no_other() -> None:
    whole = page(title="t", description="d", header=Html(""), sections=[], footer="f")
    found = Page(whole)
    (script,) = found.blocks["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policies = [meta["content"] for meta in found.named("meta") if meta.get("http-equiv")]
    assert len(policies) == 1
    assert f"script-src 'sha256-{digest}'" in str(policies[0])
    assert "default-src 'none'" in str(policies[0])


def test_nothing_is_loaded_from_anywhere() -> None:
    for name in ("template.html", "style.css", "script.js"):
        words = asset(name)
        assert not re.search(
            r"https?:|//[a-z]|@import|url\(|\bfetch\b|XMLHttp|WebSocket|import\(", words
        )


def _colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", block))


def _luminance(colour: str) -> float:
    """Relative luminance by WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_paper(scheme: str) -> None:
    light, dark = re.findall(r":root \{(.*?)\}", asset("style.css"), re.DOTALL)[:2]
    colours = _colours(light) | (_colours(dark) if scheme == "dark" else {})
    for ink in ("ink", "soft", "blue", "red"):
        for paper in ("paper", "wash"):
            bright, dim = sorted((_luminance(colours[ink]), _luminance(colours[paper])))[::-1]
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, paper)


def test_the_script_can_read_out_every_format() -> None:
    used = {Line(name="", kind="", points=[]).format, *(kind.format for kind in KINDS)}
    block = re.search(r"const formats = \{(.*?)\n  \};", asset("script.js"), re.DOTALL)
    assert block
    assert used == set(re.findall(r"^    (\w+):", block[1], re.MULTILINE))
