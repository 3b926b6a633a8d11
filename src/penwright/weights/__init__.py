"""Open checkpoints of every supported format, and write models for other runtimes.

`open` takes a model's name or path, `save` writes a complete model folder. Names are imported on
first use, so that reading headers needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penwright.weights.describing import Description as Description
    from penwright.weights.describing import describe as describe
    from penwright.weights.describing import digest as digest
    from penwright.weights.describing import model_card as model_card
    from penwright.weights.exporting import Checked as Checked
    from penwright.weights.exporting import Exported as Exported
    from penwright.weights.exporting import export as export
    from penwright.weights.exporting import merge as merge
    from penwright.weights.hub import download as download
    from penwright.weights.hub import push as push
    from penwright.weights.huggingface import save as save
    from penwright.weights.names import resolve as resolve
    from penwright.weights.opening import OpenedModel as OpenedModel
    from penwright.weights.opening import choose_model as choose_model
    from penwright.weights.opening import find_beside as find_beside
    from penwright.weights.opening import find_place as find_place
    from penwright.weights.opening import open as open
    from penwright.weights.opening import open_place as open_place
    from penwright.weights.opening import open_tensors as open_tensors
    from penwright.weights.opening import read_shape as read_shape

_HOMES = {
    "Checked": "exporting",
    "Description": "describing",
    "Exported": "exporting",
    "OpenedModel": "opening",
    "choose_model": "opening",
    "describe": "describing",
    "digest": "describing",
    "download": "hub",
    "export": "exporting",
    "find_beside": "opening",
    "find_place": "opening",
    "merge": "exporting",
    "model_card": "describing",
    "open": "opening",
    "open_place": "opening",
    "open_tensors": "opening",
    "push": "hub",
    "read_shape": "opening",
    "resolve": "names",
    "save": "huggingface",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
