"""Encoding as work that any process can do: texts go in as tuples, blocks come back as bytes."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from penwright.tokens.blocks import Block, Text, encode_block
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.vocabulary import Traits, Vocabulary
from penwright.workers import Work

TARGET = "penwright.tokens.worker:make_work"


def describe_work(tokenizer: Tokenizer, markers: Sequence[str]) -> tuple[Any, ...]:
    """Return what `make_work` needs to know, in values that marshal can write."""
    kind, words = type(tokenizer), tokenizer.vocabulary
    content = {name: getattr(words, name) for name in (f.name for f in fields(words))}
    content |= {name: dict(content[name]) for name in ("ids", "markers")}
    content["traits"] = {text: tuple(traits) for text, traits in words.traits.items()}
    return kind.__module__, kind.__name__, content, tuple(markers)


def make_work(setup: tuple[Any, ...]) -> Work:
    """Return the work of another process: texts to the parts of their block."""
    module, name, content, markers = setup
    traits = {text: Traits(*values) for text, values in content["traits"].items()}
    vocabulary = Vocabulary(**{**content, "traits": traits})
    return encoder(getattr(importlib.import_module(module), name)(vocabulary), markers)


def encoder(tokenizer: Tokenizer, markers: Sequence[str]) -> Work:
    """The same work with a tokenizer that is at hand."""

    def work(texts: Sequence[Text]) -> tuple[Any, ...]:
        block = encode_block(tokenizer, texts, markers)
        bits = np.packbits(block.learn_N, bitorder="little")
        arrays = (block.tokens_N, bits, *block[2:])
        return block.tokens_N.dtype.str, *(array.tobytes() for array in arrays)

    return work


def unpack(parts: tuple[Any, ...]) -> Block:
    """The block that the work gave."""
    kind, tokens, learn, ends, learned, size, digests = parts
    tokens_N = np.frombuffer(tokens, kind)
    bits = np.unpackbits(np.frombuffer(learn, np.uint8), count=len(tokens_N), bitorder="little")
    return Block(
        tokens_N,
        bits.view(np.bool_),
        np.frombuffer(ends, np.int64),
        np.frombuffer(learned, np.int64),
        np.frombuffer(size, np.int64),
        np.frombuffer(digests, np.uint64),
    )
