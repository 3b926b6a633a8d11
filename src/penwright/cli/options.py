"""Command-line words and TOML files as option dataclasses, and the layout of the help."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from attrs import evolve
from cyclopts import App, ArgumentCollection, Group, Parameter
from cyclopts.config import Dict
from cyclopts.help import DefaultFormatter

from penwright import config
from penwright.config.fields import Spelling, find_spelled
from penwright.errors import UsageError

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

Opened = Parameter(name="*")
Given = Annotated[dict[str, Any], Parameter(parse=False)]
"""The options that the user gave, by flag or file; `run_command` fills it in."""
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON.")]
ConfigFile = Annotated[
    Path | None, Parameter(name="--config", help="A TOML file of options; flags win over it.")
]

SHORT = {"-n": "--n", "-o": "--output"}
_CONFIGS = {"finetune": config.FinetuneConfig, "cross-train": config.CrossTrainConfig}
_ESCAPED = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}


def config_options(argv: Sequence[str]) -> list[Callable[..., Any]]:
    """Return the options that `--config FILE`, or a recipe, gives to the verb in `argv`.

    Raises UsageError for a file that cannot be read or holds an unknown key.
    """
    if len(argv) > 1 and argv[0] == "recipe":
        if not argv[1].startswith("-"):
            return [_as_source(*_recipe(argv[1], argv[2:]), argv)]
        if len(argv) > 2 and not {"-h", "--help"} & set(argv):
            raise UsageError("A recipe's name comes first.", fix="penwright recipe NAME [options]")
    if not argv or argv[0] not in _CONFIGS:
        return []
    path = next(
        (
            word.removeprefix("--config=") if "=" in word else following
            for word, following in zip(argv, [*argv[1:], ""], strict=True)
            if word == "--config" or word.startswith("--config=")
        ),
        None,
    )
    if not path:
        return []
    return [_as_source(path, config.read_toml(Path(path), _CONFIGS[argv[0]]), argv)]


def run_command(app: App, words: Sequence[str], sources: Sequence[Callable[..., Any]]) -> None:
    """Run the command that `words` ask for, with `sources` of defaults for its options."""
    names: set[str] = set()

    def note_given(_app: App, _commands: object, arguments: ArgumentCollection) -> None:
        names.update(a.field_info.name for a in arguments if a.keys and a.has_tokens)

    app.config = [*sources, note_given]
    command, bound, unparsed = app.parse_args(words)
    if "given" in unparsed:
        options = bound.arguments.get("options")
        bound.arguments["given"] = config.given_values(options, names) if options else {}
    command(*bound.args, **bound.kwargs)


def _recipe(name: str, words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Return the path of a recipe and the options of `finetune` that it sets beside `words`."""
    from penwright.verbs.recipe_file import read_recipe

    recipe = read_recipe(name)
    flags = {word.partition("=")[0] for word in words}
    options = recipe.finetune_options(
        with_data="--data" in flags, with_model="--model" in flags, resume="--resume" in flags
    )
    return str(recipe.path), options


def _as_source(path: str, values: dict[str, Any], argv: Sequence[str]) -> Callable[..., Any]:
    """Return a file's options as a source for cyclopts, without those that flags replace."""
    typed = {word.partition("=")[0] for word in argv}
    replaced = {rival for name, rival in config.RIVALS.items() if f"--{name}" in typed}
    flags = {
        name.replace("_", "-"): _plain(value)
        for name, value in values.items()
        if name not in replaced
    }
    return Dict(flags, use_commands_as_keys=False, source=path)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def spell_out(argv: Sequence[str], known: Callable[[], Collection[str]]) -> list[str]:
    r"""Return the words of a command line in the one form that cyclopts reads.

    -n is --n. `--mix 0.7,0.3` is given twice, for options that take lists. In options that take
    text, the characters \n are a new line. A value may begin with a dash, unless it is one of the
    flags that `known` returns or looks like one. A lone dash, standard input, comes last.
    """
    lists, texts = _flags(Spelling.LIST), _flags(Spelling.TEXT)
    words: list[str] = []
    last: list[str] = []
    place = 0
    while place < len(argv):
        name, equals, value = argv[place].partition("=")
        following = argv[place + 1] if place + 1 < len(argv) else None
        place += 1
        if name == "-":
            last = ["--", "-"]
            continue
        if not name.startswith("-"):
            words.append(name + equals + value)
            continue
        name = SHORT.get(name, name).replace("_", "-")
        if following is None or equals or _is_flag(following, known):
            pass  # a flag alone, or with its value
        elif name in lists | texts or following.startswith("-"):
            equals, value = "=", following
            place += 1
        values = value.split(",") if name in lists else [value]
        words += [name + equals + (unescape(item) if name in texts else item) for item in values]
    return words + last


def _is_flag(word: str, known: Callable[[], Collection[str]]) -> bool:
    """Return whether a word that follows an option is an option itself, not its value."""
    name = word.partition("=")[0]
    return bool(re.fullmatch(r"--[A-Za-z][\w-]*", name)) or (
        word.startswith("-") and (name in SHORT or name in known())
    )


def unescape(text: str) -> str:
    r"""Return `text` with the characters \n, \t and \\ as a new line, a tab and one backslash."""
    return re.sub(r"\\[nt\\]", lambda found: _ESCAPED[found[0]], text)


def _flags(spelling: Spelling) -> set[str]:
    return {
        "--" + name.replace("_", "-")
        for cls in _config_classes()
        for name in find_spelled(cls, spelling)
    }


def _config_classes() -> Iterator[type[Any]]:
    for cls in vars(config).values():
        if isinstance(cls, type) and dataclasses.is_dataclass(cls):
            yield cls


def warn(text: str) -> None:
    """Print a sentence on standard error."""
    print(text, file=sys.stderr)


HEADINGS = {
    "model": "The model and the run",
    "epochs": "How long, and in what batches",
    "held_out": "Held-out and several data sets",
    "method": "Method, memory and speed",
    "train_only": "What is trained",
    "evaluate_every": "While it trains: measuring, saving, samples",
}
"""Headings in the help of `finetune`, by the first option below each."""

GROUPS = {
    config.ScheduleConfig: "Learning rate",
    config.OptimizerConfig: "Optimizer",
    config.LoraConfig: "LoRA",
    config.DataConfig: "Reading the data",
    config.SamplingConfig: "Choosing each token, and when to stop",
    config.ComputeConfig: "Device and precision",
    config.WorkConfig: "Processes and machines",
}
"""Headings of groups of options; they come after a verb's own options."""


def _set_groups() -> None:
    """Tell cyclopts the heading of each option."""
    for number, (cls, heading) in enumerate(GROUPS.items(), 50):
        # A group such as `sampling` is no flag of its own: its fields are flags of the verb.
        Parameter(name="*", group=Group(heading, sort_key=number))(cls)
    group = None
    hints = get_type_hints(config.FinetuneConfig, include_extras=True)
    for name in config.FinetuneConfig.__annotations__:
        if name in HEADINGS:
            group = Group(HEADINGS[name], sort_key=10 + list(HEADINGS).index(name))
        if hints[name] not in GROUPS:
            config.FinetuneConfig.__annotations__[name] = Annotated[
                hints[name], Parameter(group=group)
            ]


_set_groups()


class HelpFormatter(DefaultFormatter):
    """cyclopts' layout, with each option's help as one paragraph and without --no-x for switches
    that are off anyway."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        super().__call__(console, options, evolve(panel, entries=list(map(_tidy, panel.entries))))


def _tidy(entry: HelpEntry) -> HelpEntry:
    from cyclopts.help import InlineText
    from rich.text import Text

    text = getattr(entry.description, "primary_renderable", None)
    if isinstance(text, Text):
        entry = evolve(entry, description=InlineText(Text(" ".join(text.plain.split()))))
    shorts = [short for short, name in SHORT.items() if name in entry.positive_names]
    is_switch = entry.type is bool
    return evolve(
        entry,
        positive_shorts=(*entry.positive_shorts, *shorts),
        negative_names=() if is_switch else entry.negative_names,
    )


def _show_default(value: Any) -> str | None:
    """Return a default as the help shows it, or None for what is off or chosen at run time."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or None
    return None if value in (None, "auto") or value is False else str(value)


DEFAULTS = Parameter(negative_iterable=(), negative_none=(), show_default=_show_default)
"""Settings of every option."""
