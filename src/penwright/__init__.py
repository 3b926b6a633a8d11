"""Penwright teaches GPT-2 to write like your own text, on the machine you have.

    import penwright

    run = penwright.finetune("stories.csv")
    for text in run.generate("Once", n=3):
        print(text.text)

Names are loaded when they are first used, so that importing the package takes no time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penwright.errors import PenwrightError

if TYPE_CHECKING:
    from penwright.verbs.evaluate import Evaluation, evaluate
    from penwright.verbs.finetune import FinishedRun, finetune
    from penwright.verbs.inspect import inspect
    from penwright.verbs.keywords import decode_keywords, encode_keywords
    from penwright.verbs.new import new, train_tokenizer
    from penwright.verbs.plan import Planned, plan
    from penwright.verbs.prepare import prepare
    from penwright.verbs.recipe import recipe
    from penwright.verbs.sequence import cross_train
    from penwright.verbs.which import describe
    from penwright.verbs.writer import Writer, generate, load

__version__ = "0.1.0"
__all__ = [
    "Evaluation",
    "FinishedRun",
    "PenwrightError",
    "Planned",
    "Writer",
    "cross_train",
    "decode_keywords",
    "describe",
    "encode_keywords",
    "evaluate",
    "finetune",
    "generate",
    "inspect",
    "load",
    "new",
    "plan",
    "prepare",
    "recipe",
    "train_tokenizer",
]

_HOMES = {
    "Evaluation": "evaluate",
    "FinishedRun": "finetune",
    "Planned": "plan",
    "Writer": "writer",
    "cross_train": "sequence",
    "decode_keywords": "keywords",
    "describe": "which",
    "encode_keywords": "keywords",
    "evaluate": "evaluate",
    "finetune": "finetune",
    "generate": "writer",
    "inspect": "inspect",
    "load": "writer",
    "new": "new",
    "plan": "plan",
    "prepare": "prepare",
    "recipe": "recipe",
    "train_tokenizer": "new",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"penwright.verbs.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
