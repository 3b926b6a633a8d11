from __future__ import annotations

from pathlib import Path

import pytest

from penwright import weights
from penwright.model import GPT2
from penwright.tokens.bpe import Tokenizer
from penwright.weights import names

from .models import random_model, tiny_config


@pytest.fixture(scope="session")
def base_tokenizer() -> Tokenizer:
    return Tokenizer.from_folder(names.base_folder())


@pytest.fixture
def saved(tmp_path: Path, base_tokenizer: Tokenizer) -> tuple[Path, GPT2]:
    """A small model and the folder that it was saved in."""
    model = random_model(tiny_config())
    folder = tmp_path / "model"
    weights.save(folder, model, base_tokenizer, card="# card\n", penwright={"stop": ["\n"]})
    return folder, model
