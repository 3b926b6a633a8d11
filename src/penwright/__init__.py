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

from penwright.errors import PenwrightError as PenwrightError

if TYPE_CHECKING:
    from penwright.verbs.compare import Comparison as Comparison
    from penwright.verbs.compare import compare as compare
    from penwright.verbs.copied import Copied as Copied
    from penwright.verbs.copied import copied as copied
    from penwright.verbs.describe import describe as describe
    from penwright.verbs.evaluate import Evaluation as Evaluation
    from penwright.verbs.evaluate import evaluate as evaluate
    from penwright.verbs.finetune import FinishedRun as FinishedRun
    from penwright.verbs.finetune import finetune as finetune
    from penwright.verbs.generate import Writer as Writer
    from penwright.verbs.generate import generate as generate
    from penwright.verbs.generate import load as load
    from penwright.verbs.inspect import inspect as inspect
    from penwright.verbs.model_folders import new as new
    from penwright.verbs.model_folders import train_tokenizer as train_tokenizer
    from penwright.verbs.plan import Planned as Planned
    from penwright.verbs.plan import plan as plan
    from penwright.verbs.prepare import decode_keywords as decode_keywords
    from penwright.verbs.prepare import encode_keywords as encode_keywords
    from penwright.verbs.prepare import prepare as prepare
    from penwright.verbs.run_recipe import recipe as recipe
    from penwright.verbs.sequence import cross_train as cross_train
    from penwright.verbs.token_scores import score_tokens as score_tokens

__version__ = "1.0.0"
_HOMES = {
    "Comparison": "compare",
    "Copied": "copied",
    "Evaluation": "evaluate",
    "FinishedRun": "finetune",
    "Planned": "plan",
    "Writer": "generate",
    "compare": "compare",
    "copied": "copied",
    "cross_train": "sequence",
    "decode_keywords": "prepare",
    "describe": "describe",
    "encode_keywords": "prepare",
    "evaluate": "evaluate",
    "finetune": "finetune",
    "generate": "generate",
    "inspect": "inspect",
    "load": "generate",
    "new": "model_folders",
    "plan": "plan",
    "prepare": "prepare",
    "recipe": "run_recipe",
    "score_tokens": "token_scores",
    "train_tokenizer": "model_folders",
}
"""Each public name and its module in `penwright.verbs`."""

__all__ = sorted([*_HOMES, "PenwrightError"])


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"penwright.verbs.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
