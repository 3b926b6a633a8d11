"""Token healing: let a model write the end of a prompt again where it is no whole token.

GPT-2's words begin with their space, so after a prompt that ends in a space, or inside a word, what
the model has learned to write does not fit. The prompt is cut before that space or word, and the
first tokens must spell what was cut off.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from penwright.tokens.bpe import Tokenizer

_END = re.compile(r"[ \t]+\Z| ?[^\W\d_]+\Z")


class Healed(NamedTuple):
    """A prompt whose end the model writes again."""

    ids: list[int]
    """Its tokens, the end-of-text token first, without its end."""
    again: bytes
    """The end."""


def heal(prompt: str, ids: list[int], tokenizer: Tokenizer) -> Healed:
    """Cut a prompt, whose tokens are `ids`, before an end that is no whole token.

    That is white space other than line breaks, or letters that are no token, but begin one, such as
    " choc". Any other prompt stays as it is, and `again` is empty.
    """
    found = _END.search(prompt)
    if found is None:
        return Healed(ids, b"")
    again = found[0].encode()
    if not again.isspace():
        longer = {tokenizer.printed_bytes(token) for token in find_longer(again, tokenizer)}
        if not longer or again in longer:
            return Healed(ids, b"")
    shorter = tokenizer.encode_prompt(prompt[: found.start()])
    return Healed(shorter, again) if ids[: len(shorter)] == shorter else Healed(ids, b"")


def find_longer(text: bytes, tokenizer: Tokenizer) -> list[int]:
    """Return the tokens that are `text`, or begin with it."""
    ordered = tokenizer.by_bytes
    first = bisect.bisect_left(ordered, (text, -1))
    return [
        token
        for _, token in itertools.takewhile(
            lambda pair: pair[0].startswith(text), itertools.islice(ordered, first, None)
        )
    ]


def find_fitting(text: bytes, tokenizer: Tokenizer) -> list[int]:
    """Return the tokens that spell `text`, a beginning of it, or more."""
    fitting = find_longer(text, tokenizer)
    for size in range(1, len(text)):
        first = bisect.bisect_left(tokenizer.by_bytes, (text[:size], -1))
        for piece, token in itertools.islice(tokenizer.by_bytes, first, None):
            if piece != text[:size]:
                break
            fitting.append(token)
    return fitting


def write_again(logits_BV: Tensor, tokenizer: Tokenizer, healing: Sequence[bytes]) -> Tensor:
    """Rule out the tokens that do not spell what a row must write again, where it must."""
    if not any(healing):
        return logits_BV
    ruled_out_BV = torch.zeros_like(logits_BV, dtype=torch.bool)
    for row, text in enumerate(healing):
        if text:
            ruled_out_BV[row] = True
            ruled_out_BV[row, find_fitting(text, tokenizer)] = False
    return logits_BV.masked_fill(ruled_out_BV, float("-inf"))
