"""Convert between nested option dataclasses, flat dictionaries and TOML files."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

from penwright.errors import UsageError, suggest

RECIPE = "recipe"
"""The table of a TOML file with the options of `penwright recipe`."""


class Spelling(Enum):
    """A mark on an option's type: how people type its value on a command line."""

    LIST = "several values, set apart by commas"
    TEXT = "text, in which \\n is a new line"


Texts = Annotated[tuple[str, ...], Spelling.TEXT]
Names = Annotated[tuple[str, ...], Spelling.LIST]
Numbers = Annotated[tuple[float, ...], Spelling.LIST]


def find_spelled(cls: type[Any], spelling: Spelling) -> set[str]:
    """Return the names of the options of `cls` whose type is marked with `spelling`."""
    found: set[str] = set()
    for name, hint in get_type_hints(cls, include_extras=True).items():
        if dataclasses.is_dataclass(hint):
            found |= find_spelled(hint, spelling)  # type: ignore[arg-type]
        elif spelling in _marks(hint):
            found.add(name)
    return found


def _marks(hint: Any) -> set[Any]:
    return set(getattr(hint, "__metadata__", ())).union(*map(_marks, get_args(hint)))


def flat_fields(cls: type[Any]) -> dict[str, type[Any]]:
    """Return every option's name and type, without its group (`data`, `sampling`, ...)."""
    found: dict[str, type[Any]] = {}
    for name, hint in get_type_hints(cls).items():
        found |= flat_fields(hint) if dataclasses.is_dataclass(hint) else {name: hint}  # type: ignore[arg-type]
    return found


def flat_values(config: Any) -> dict[str, Any]:
    """Return every option's value by name, without its group."""
    values: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        values |= flat_values(value) if dataclasses.is_dataclass(value) else {item.name: value}
    return values


def given_values(config: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return the options `names` of a config by name, without those that are None (left open)."""
    wanted = set(names)
    return {k: v for k, v in flat_values(config).items() if k in wanted and v is not None}


def build(cls: type[Any], options: Mapping[str, Any]) -> Any:
    """Build a `cls` from flat options; raises UsageError for an unknown name."""
    known = flat_fields(cls)
    for name in options:
        if name not in known:
            raise UsageError(f"There is no option '{name}'.", fix=suggest(name, known))
    return _build(cls, options)


def _build(cls: type[Any], options: Mapping[str, Any]) -> Any:
    values: dict[str, Any] = {}
    for name, hint in get_type_hints(cls).items():
        if dataclasses.is_dataclass(hint):
            values[name] = _build(hint, options)  # type: ignore[arg-type]
        elif name in options:
            values[name] = coerce(name, options[name], hint)
    return cls(**values)


def coerce(name: str, value: Any, hint: Any) -> Any:
    """Convert `value` to the type of option `name`; raises UsageError when that is impossible."""
    choices = get_args(hint) if getattr(hint, "__origin__", None) is Literal else ()
    if choices:
        if value not in choices:
            raise UsageError(
                f"{name} cannot be {value!r}.", fix=f"It is one of: {', '.join(map(str, choices))}."
            )
        return value
    kinds = [kind for kind in (get_args(hint) or (hint,)) if isinstance(kind, type)]
    origin = getattr(hint, "__origin__", None)
    if origin is tuple:
        items = value if isinstance(value, (list, tuple)) else (value,)
        return tuple(coerce(name, item, get_args(hint)[0]) for item in items)
    if value is None or any(type(value) is kind for kind in kinds):
        return value
    if float in kinds and type(value) is int:
        return float(value)
    if Path in kinds and isinstance(value, (str, Path)):
        return Path(value)
    wanted = " or ".join(kind.__name__ for kind in kinds if kind is not type(None))
    raise UsageError(f"{name} must be {wanted}, but is {value!r}.")


def read_toml(path: Path, cls: type[Any]) -> dict[str, Any]:
    """Read the options of `cls` from a TOML file whose keys are the flags' names.

    A table [recipe] is passed over: it holds what `penwright recipe` does besides. Raises
    UsageError for a file that is missing or not TOML, an unknown key, or a wrong type.
    """
    options = load_toml(path)
    options.pop(RECIPE, None)
    return check_options(path, options, cls)


def load_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file; raises UsageError when it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"There is no file '{path}'.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}.") from None


def check_options(path: Path, options: dict[str, Any], cls: type[Any]) -> dict[str, Any]:
    """Check options of a TOML file against `cls`; raises UsageError that names the file."""
    known = flat_fields(cls)
    checked: dict[str, Any] = {}
    for key, value in options.items():
        name = key.replace("-", "_")
        if name not in known:
            raise UsageError(f"{path}: there is no option '{key}'.", fix=suggest(name, known))
        try:
            checked[name] = coerce(name, value, known[name])
        except UsageError as error:
            raise UsageError(f"{path}: {error.message}", fix=error.fix) from None
    return checked
