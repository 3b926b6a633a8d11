"""Tell models from data by their names, and describe a model. No torch."""

from __future__ import annotations

import glob
from pathlib import Path

from penwright.errors import ModelError, UsageError, suggest
from penwright.formats.catalog import SUFFIXES
from penwright.formats.corpora import PAIR_SUFFIXES
from penwright.formats.streams import is_remote, kind_suffix
from penwright.runs import RUNS, list_runs
from penwright.weights import describing, names
from penwright.weights.describing import Description


def names_model(name: str | Path) -> bool:
    """Whether `name` means a model: a path to one, a run, a size, base, or a name on the Hub.

    The rule of `weights.names`; what lies there and is no model is data, and so is what is
    written as a file, a pattern or an address.
    """
    text = str(name)
    path = Path(name).expanduser()
    separated = "/" in text or "\\" in text or isinstance(name, Path)
    if not separated and text in ("base", *names.HUB_NAMES):
        return True
    if path.is_dir():
        from penwright.tokens.store import HEADER

        if (path / HEADER).is_file():
            return False
    if path.exists():
        return names.kind_of(path) is not None
    if not separated and (RUNS / text / "run.json").is_file():
        return True
    as_data = is_remote(text) or glob.has_magic(text) or kind_suffix(text) in SUFFIXES
    return not as_data and not any(Path(text + end).exists() for end in PAIR_SUFFIXES)


def describe(name: str | Path) -> Description:
    """Describe a model from its headers; raise ModelError, with near names, if it is missing."""
    if not str(name):
        raise UsageError("There is nothing to look at.", fix="Name data or a model.")
    try:
        return describing.describe(name)
    except ModelError as error:
        is_hub = names.resolve(name).kind == "hub"
        if not is_hub or str(name) in names.KNOWN or "/" in str(name):
            raise
        beside = [item.name for item in Path().iterdir()]
        known = [*names.KNOWN, *(run.name for run in list_runs()), *beside]
        near = suggest(str(name), known)
        raise ModelError(
            f"'{name}' is no file or folder, no run, and no model on this machine.",
            fix=near or error.fix,
        ) from None
