"""From flags and TOML files to the dataclasses of `penwright.config`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.config import Dict

from penwright import config
from penwright.errors import UsageError

# A group of options such as `sampling` is no flag of its own: its fields are flags of the verb.
for _group in (config.DataConfig, config.ComputeConfig, config.SamplingConfig, config.WorkConfig):
    Parameter(name="*")(_group)

Opened = Parameter(name="*")
Json = Annotated[bool, Parameter(negative="", help="Print JSON instead of text.")]
ConfigFile = Annotated[
    Path | None, Parameter(name="--config", help="A TOML file of options; flags win over it.")
]

_LISTS = (
    "--clean",
    "--decay-epochs",
    "--drop-category",
    "--learn",
    "--log",
    "--metrics",
    "--mix",
    "--section",
)
"""Options that take several values, which commas may set apart."""

_CONFIGS = {"finetune": config.FinetuneConfig, "cross-train": config.FinetuneConfig}


def config_options(argv: Sequence[str]) -> list[Callable[..., Any]]:
    """What `--config FILE`, or a recipe, gives to the verb in `argv`, as defaults for cyclopts.

    Raises UsageError for a file that cannot be read or holds an unknown key.
    """
    if len(argv) > 1 and argv[0] == "recipe":
        if not argv[1].startswith("-"):
            return [_as_source(*_recipe(argv[1], argv[2:]))]
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
    return [_as_source(path, config.read_toml(Path(path), _CONFIGS[argv[0]]))]


def _recipe(name: str, words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """A recipe's file, and what it gives to `finetune` beside these words."""
    from penwright.verbs.recipes import read_recipe

    recipe = read_recipe(name)
    flags = {word.partition("=")[0] for word in words}
    options = recipe.finetune_options(
        with_data="--data" in flags, with_model="--model" in flags, resume="--resume" in flags
    )
    return str(recipe.path), options


def _as_source(path: str, values: dict[str, Any]) -> Callable[..., Any]:
    flags = {name.replace("_", "-"): _plain(value) for name, value in values.items()}
    return Dict(flags, use_commands_as_keys=False, source=path)


def split_lists(argv: Sequence[str]) -> list[str]:
    """`--mix 0.7,0.3` as `--mix 0.7 --mix 0.3`, for the options that take lists."""
    words: list[str] = []
    flag = ""
    for word in argv:
        name, equals, value = word.partition("=")
        if equals and name in _LISTS:
            words += [f"{name}={part}" for part in value.split(",")]
        elif flag:
            first, *others = word.split(",")
            words += [first, *(item for part in others for item in (flag, part))]
        else:
            words.append(word)
        flag = word if word in _LISTS and not flag else ""
    return words


def warn(text: str) -> None:
    """A sentence on standard error."""
    print(text, file=sys.stderr)


def _plain(value: Any) -> Any:
    return (
        list(value)
        if isinstance(value, tuple)
        else str(value)
        if isinstance(value, Path)
        else value
    )
