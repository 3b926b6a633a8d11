"""Paths, folders and patterns as inputs, in an order that is the same everywhere."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from penwright.errors import DataError, UsageError, suggest
from penwright.formats.catalog import SUFFIXES
from penwright.formats.pairs import PAIR_SUFFIXES
from penwright.formats.reader import Input
from penwright.formats.streams import is_remote, kind_suffix


def find_inputs(paths: Sequence[str | Path]) -> list[Input]:
    """Files, folders (all the way down) and globs as inputs, each once; pair files together.

    Given order is kept; what a folder or a glob holds is sorted. Raises DataError when something
    is not there, UsageError when nothing was given.
    """
    if not paths:
        raise UsageError("No data was given.", fix="Name a file, a folder or a pattern to read.")
    inputs: list[Input] = []
    for path in paths:
        for is_story, names in groupby(_expand(str(path)), _is_story):
            if is_story:
                members = tuple(names)
                shown = members[0] if len(members) == 1 else str(path)
                inputs.append(Input(shown, members=members))
            else:
                inputs += map(_as_input, names)
    return list(dict.fromkeys(inputs))


def _is_story(name: str) -> bool:
    return kind_suffix(name) == ".story"


def _expand(name: str) -> Iterator[str]:
    path = Path(name)
    if is_remote(name):
        yield name
    elif path.is_dir():
        yield from _folder(path)
    elif path.exists():
        yield name
    elif glob.has_magic(name):
        # Path.glob takes no absolute patterns.
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207
        if not matches:
            raise DataError(f"Nothing matches '{name}'.")
        for match in matches:
            yield from _folder(Path(match)) if Path(match).is_dir() else (match,)
    elif any(Path(name + suffix).exists() for suffix in PAIR_SUFFIXES):
        yield next(name + suffix for suffix in PAIR_SUFFIXES if Path(name + suffix).exists())
    else:
        raise DataError(f"There is no file or folder '{name}'.", fix=_nearby(path))


def _folder(folder: Path) -> Iterator[str]:
    """The files below a folder: those of known kinds, or all of them when none is of a known kind.

    Hidden files and folders (their names begin with a dot) are no one's data.
    """
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )
    known = [path for path in files if kind_suffix(path) in SUFFIXES]
    if not files:
        raise DataError(f"The folder '{folder}' has no files in it.")
    yield from map(str, known or files)


def _as_input(name: str) -> Input:
    path = Path(name)
    if is_remote(name):
        return Input(name)
    for source, target in PAIR_SUFFIXES.items():
        if path.suffix in (source, target):
            prompts, texts = path.with_suffix(source), path.with_suffix(target)
            if prompts.exists() and texts.exists():
                return Input(str(prompts), str(texts))
            if path.suffix.startswith(".wp_"):
                missing = texts if prompts.exists() else prompts
                raise DataError(
                    f"{name} needs the other half of the pair, {missing.name}, beside it."
                )
    return Input(name)


def _nearby(path: Path) -> str:
    folder = path.parent
    return suggest(path.name, (p.name for p in folder.iterdir())) if folder.is_dir() else ""
