"""The options of a run beside their defaults and help texts."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

from penwright import config as options
from penwright.report.page import Html, html


class Setting(NamedTuple):
    """An option: name, value, default as text (None for an unknown option) and help."""

    name: str
    value: str
    default: str | None
    help: str


def list_settings(config: Mapping[str, Any]) -> tuple[list[Setting], list[Setting]]:
    """Return the options that differ from their defaults, then the others, in order."""
    defaults = flatten(dataclasses.asdict(options.FinetuneConfig()))
    given: list[Setting] = []
    rest: list[Setting] = []
    for name, value in flatten(config).items():
        known = name in defaults
        default = setting(defaults[name]) if known else None
        entry = Setting(name, setting(value), default, help_lines().get(name, ""))
        (rest if known and value == defaults[name] else given).append(entry)
    return given, rest


def flatten(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested options as one dictionary, with values as in JSON."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value)
        elif isinstance(value, (tuple, list)):
            flat[str(name)] = list(value)
        else:
            flat[str(name)] = str(value) if isinstance(value, Path) else value
    return flat


@cache
def help_lines(cls: type[Any] = options.FinetuneConfig) -> dict[str, str]:
    """Return the help of every option of `cls` and its groups, from the docstrings of the fields.

    Empty where Penwright is installed without its source.
    """
    found: dict[str, str] = {}
    for hint in get_type_hints(cls).values():
        if dataclasses.is_dataclass(hint):
            found |= help_lines(hint)  # type: ignore[arg-type]
    try:
        body = ast.parse(inspect.getsource(cls)).body[0].body  # type: ignore[attr-defined]
    except OSError:
        return {}
    for field, after in pairwise(body):
        match field, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found


def setting_rows(settings: Sequence[Setting]) -> Html:
    """Return options as a definition list."""
    return html(
        '<dl class="settings">{rows}</dl>',
        rows=[
            html(
                '<div><dt>{name}</dt><dd><b dir="auto">{value}</b>{was} '
                "<span>{help}</span></dd></div>\n",
                name=item.name,
                value=item.value,
                was=_was(item),
                help=item.help,
            )
            for item in settings
        ],
    )


def _was(item: Setting) -> Html:
    if item.default in (None, "not set", "auto") or item.default == item.value:
        return Html("")
    return html(" <i>instead of {default}</i>", default=item.default)


def setting(value: object) -> str:
    """Format a value as in a configuration file."""
    if value is None or value == []:
        return "not set"
    if isinstance(value, str):
        return value if value.strip() == value != "" else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "\n".join(json.dumps(item, ensure_ascii=False) for item in value)
    return json.dumps(value, ensure_ascii=False)
