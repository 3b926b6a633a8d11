"""Lay out the help: groups of options, with one paragraph for each option."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

from attrs import evolve
from cyclopts import Group, Parameter
from cyclopts.help import DefaultFormatter

from penwright import config
from penwright.cli.options import SHORT

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

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
