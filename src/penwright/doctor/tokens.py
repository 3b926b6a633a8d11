"""What the tokens show: white space that is learned, and characters that cost many tokens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from penwright.tokens.bpe import Tokenizer
from penwright.tokens.store import Store

CHUNK = 1 << 22
COSTLY = 3
"""Tokens from which on a character counts as costly."""
MOST_SHOWN = 20


@dataclass(frozen=True)
class Costly:
    """A character that the tokenizer spells in `tokens` tokens, and how often it is there."""

    character: str
    tokens: int
    count: int


def white_space_share(store: Store, tokenizer: Tokenizer) -> float:
    """The share of the text's tokens that are only white space."""
    counts = np.zeros(store.vocab_size, np.int64)
    for start in range(0, store.n_tokens, CHUNK):
        line = store.tokens(start, min(start + CHUNK, store.n_tokens))
        counts += np.bincount(line, minlength=store.vocab_size)
    counts[store.eot_id] = 0
    used = np.flatnonzero(counts).tolist()
    blank = sum(int(counts[i]) for i in used if tokenizer.token_bytes(i).isspace())
    return blank / max(int(counts.sum()), 1)


def find_costly(characters: Counter[str], tokenizer: Tokenizer) -> tuple[Costly, ...]:
    """The characters that cost the most tokens in all, dearest first."""
    common = [character for character, _ in characters.most_common(1000)]
    sizes = [len(ids) for ids in tokenizer.encode_batch(common)] if common else []
    found = [
        Costly(character, size, characters[character])
        for character, size in zip(common, sizes, strict=True)
        if size >= COSTLY
    ]
    found.sort(key=lambda item: (-item.tokens * item.count, item.character))
    return tuple(found[:MOST_SHOWN])
