"""The options of the command line and the names of the Python API, as they were last agreed on.

After a change that is meant: python -m tests.test_snapshots
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import penwright
from penwright.cli import list_verbs, make_app

FOLDER = Path(__file__).parent / "snapshots"
AGAIN = "If the change is meant, run `python -m tests.test_snapshots` and commit the file."


def list_options() -> str:
    """Every verb and its options: names, type, default."""
    lines = []
    for verb in list_verbs():
        command = make_app()
        for word in verb.split():
            command = command[word]
        lines.append(f"\n{verb}")
        for argument in command.assemble_argument_collection():
            if argument.names == ("*",):
                continue
            default = argument.field_info.default
            is_set = default is not argument.field_info.empty and not argument.required
            kind = str(argument.hint).removeprefix("<class '").removesuffix("'>")
            kind = kind.replace("typing.", "").replace("pathlib._local.", "pathlib.")
            names = " ".join(name for name in argument.names if "empty-" not in name)
            lines.append(f"  {names}: {kind}" + (f" = {default!r}" if is_set else ""))
    return "\n".join(lines).strip() + "\n"


def list_api() -> str:
    """Every public name: signatures of functions and methods, fields of records."""
    lines = []
    for name in penwright.__all__:
        thing = getattr(penwright, name)
        if not inspect.isclass(thing):
            lines.append(f"{name}{inspect.signature(thing)}")
            continue
        lines.append(f"{name}({', '.join(base.__name__ for base in thing.__bases__)})")
        if dataclasses.is_dataclass(thing):
            lines += [f"  {item.name}: {item.type}" for item in dataclasses.fields(thing)]
        for member, value in vars(thing).items():
            if not member.startswith("_") and inspect.isfunction(value):
                lines.append(f"  {member}{inspect.signature(value)}")
            elif not member.startswith("_") and hasattr(type(value), "__get__"):
                lines.append(f"  {member}")
    text = "\n".join(lines) + "\n"
    return re.sub(r"<function (\S+) at 0x[0-9a-f]+>", r"\1", text)


SNAPSHOTS = {"cli_options.txt": list_options, "python_api.txt": list_api}


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_nothing_public_changed(name):
    assert SNAPSHOTS[name]() == (FOLDER / name).read_text(encoding="utf-8"), AGAIN


if __name__ == "__main__":
    for name, render in SNAPSHOTS.items():
        (FOLDER / name).write_text(render(), encoding="utf-8", newline="\n")
        print(FOLDER / name)
