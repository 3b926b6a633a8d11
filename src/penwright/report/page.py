"""Build HTML pages: head, style, script, sections and their elements.

Nothing here knows what a run is, so any page can be made of it. Everything that is put into markup
by `html` is escaped unless it is `Html` itself: unescaped text cannot happen by forgetting.
"""

from __future__ import annotations

import base64
import hashlib
import json
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any

_FOLDER = resources.files(__package__)
# Control characters may not stand in HTML; their pictures may. Half a surrogate pair may not
# stand in UTF-8.
_VISIBLE = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}
_VISIBLE |= dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], 0xFFFD)


class Html(str):
    """Markup that is inserted without escaping."""

    __slots__ = ()


class _Escaping(string.Formatter):
    def format_field(self, value: Any, format_spec: str) -> str:
        if isinstance(value, (list, tuple)):
            return "".join(self.format_field(item, format_spec) for item in value)
        if isinstance(value, Html):
            return value
        return text(format(value, format_spec))


_ESCAPING = _Escaping()


def html(template: str, /, **values: object) -> Html:
    """Fill each {name} of `template` with its escaped value; lists are joined."""
    return Html(_ESCAPING.vformat(template, (), values))


def text(value: str) -> Html:
    """Escape any text, even hostile or damaged, and make control characters visible."""
    return Html(escape(value.replace("\r\n", "\n").translate(_VISIBLE)))


def unbroken(text: str) -> str:
    """Return `text` with spaces that do not break a line."""
    return text.replace(" ", "\u00a0")


@dataclass(frozen=True)
class Chapter:
    """A chapter of a page: `name` is its anchor and `short` its entry in the navigation."""

    name: str
    short: str
    title: str
    body: Html


def page(
    *,
    title: str,
    description: str,
    header: Html,
    sections: Sequence[Chapter],
    footer: str,
    extra: str = "",
) -> str:
    """Return a self-contained HTML page whose security policy forbids it to load anything.

    `extra` names a style that is added, and the script that takes the place of the charts'.
    """
    script = asset(f"{extra or 'script'}.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    chapters = [
        html(
            '<section id="{name}" aria-labelledby="{name}-title">'
            '<h2 id="{name}-title">{title}</h2>\n{body}</section>\n',
            name=section.name,
            title=section.title,
            body=section.body,
        )
        for section in sections
    ]
    links = [
        html('<li><a href="#{name}">{short}</a></li>', name=section.name, short=section.short)
        for section in sections
    ]
    return string.Template(asset("template.html")).substitute(
        title=text(title),
        description=text(description),
        style=asset("style.css") + (asset(f"{extra}.css") if extra else ""),
        script=script,
        script_hash=f"sha256-{digest}",
        header=header,
        nav=html('<nav aria-label="Chapters"><ul>{links}</ul></nav>\n', links=links)
        if len(links) > 1
        else "",
        sections="".join(chapters),
        footer=text(footer),
    )


def asset(name: str) -> str:
    """Read a file of this package, with \\n line ends on every system."""
    return (_FOLDER / name).read_text(encoding="utf-8").replace("\r\n", "\n")


def definitions(rows: Iterable[tuple[str, object]], kind: str = "") -> Html:
    """Return a definition list; rows without a value are left out."""
    items = [
        html("<div><dt>{name}</dt><dd>{value}</dd></div>", name=name, value=value)
        for name, value in rows
        if value not in (None, "")
    ]
    return html('<dl class="{kind}">{items}</dl>', kind=kind or "facts", items=items)


def fold(summary: object, body: object, *, is_open: bool = False) -> Html:
    """Return a `<details>` element, which folds without a script."""
    return html(
        "<details{state}><summary>{summary}</summary>\n{body}</details>\n",
        state=Html(" open" if is_open else ""),
        summary=summary,
        body=body,
    )


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """Return a table that scrolls sideways; the first column holds the rows' headings."""
    head = [html('<th scope="col">{head}</th>', head=head) for head in heads]
    body = [
        html(
            '<tr><th scope="row">{first}</th>{rest}</tr>',
            first=row[0],
            rest=[html("<td>{cell}</td>", cell=cell) for cell in row[1:]],
        )
        for row in rows
    ]
    return html(
        '<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
        '<caption class="unseen">{caption}</caption>'
        "<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n",
        caption=caption,
        head=head,
        body=body,
    )


def command(line: str) -> Html:
    """Return a command line that one click selects and that never wraps inside a flag."""
    return html('<pre class="command"><code>{line}</code></pre>\n', line=flags(line))


def flags(line: str) -> Html:
    """Return text in which a flag such as --prompt never wraps at its hyphens."""
    words = [
        html('<span class="flag">{word}</span>' if word.startswith("-") else "{word}", word=word)
        for word in line.split(" ")
    ]
    return Html(" ".join(words))


def data_block(value: object) -> Html:
    """Return data for the script as JSON that cannot close its own element."""
    block = json.dumps(value, separators=(",", ":"), allow_nan=False)
    block = block.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return Html(f'<script type="application/json">{block}</script>')
