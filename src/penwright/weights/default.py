"""The model that is used when none is named, and shapes of OpenAI's sizes without their weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from penwright.model.config import SIZES, GPT2Config
from penwright.tokens.bpe import Tokenizer
from penwright.weights import hub, names
from penwright.weights.opening import read_place

SIZE = "124M"
SECONDS = 3.0
"""How long the Hub may take to answer before the bundled model is used."""


def choose_model(name: str | Path | None, warn: Callable[[str], None]) -> str | Path:
    """Return `name`, or the default model's, in which case `warn` is told which and why.

    The default is GPT-2 124M where it is on this machine or can be downloaded, else `base`.
    """
    if name is not None and str(name):
        return name
    repository = names.SIZES[SIZE]
    other = "--model base uses the small bundled model instead"
    if hub.cached(repository):
        warn(f"Model: GPT-2 {SIZE}, which is on this machine; {other}.")
        return SIZE
    found = hub.look_up(repository, SECONDS)
    if isinstance(found, hub.Answer):
        size = f" ({found.bytes / 1e6:,.0f} MB, once)" if found.bytes else ""
        warn(f"Model: GPT-2 {SIZE}, from the Hugging Face Hub{size}; {other}.")
        return SIZE
    warn(
        f"Model: base, the small bundled one, since GPT-2 {SIZE} is not on this machine and "
        f"{found}. When you are online, --model {SIZE} downloads and uses GPT-2."
    )
    return "base"


def read_shape(
    name: str | Path, warn: Callable[[str], None] = lambda _: None
) -> tuple[GPT2Config, Callable[[], Tokenizer]]:
    """Return a model's config and a function that reads its tokenizer, without reading weights.

    `warn` is told what of the model's files was left out or guessed.
    OpenAI's sizes need not be on this machine: their shapes and vocabulary are bundled. Raises
    ModelError when there is no such model.
    """
    place = names.resolve(name)
    repository = place.repository.removeprefix("openai-community/")
    size = next((size for size, known in names.SIZES.items() if known == repository), None)
    if place.kind == "hub" and size is not None and not hub.cached(place.repository):
        return SIZES[size], Tokenizer.gpt2
    parts = read_place(place)

    def read_tokenizer() -> Tokenizer:
        tokenizer = parts.tokenizer()
        for note in parts.notes:
            warn(note)
        return tokenizer

    return parts.config, read_tokenizer
