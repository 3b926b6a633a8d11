"""Encode batches of documents as blocks of tokens: the work of one worker.

Each document has a digest, a number that is equal for equal tokens. A document of tokens t has the
digest sum(r(t_i) * P^i) modulo 2^64, where r gives each token a random number and P is odd (Rabin
and Karp 1987). The digests of two stretches give that of both, so a document may be encoded in
chunks, and whole arrays of documents are summed at once.

Legend: N tokens, S segments (an end-of-text token or a span), D documents that end in the block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from penwright.document import Document
from penwright.seeds import random_words
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.store import Array, Bool, Int64, token_dtype
from penwright.tokens.text_splitter import FindEnds, cut

BLOCK = 1 << 18
"""Characters in a block, about."""
_MOST_DOCUMENTS = 1 << 14
_P = 0x9E3779B97F4A7C15
_INVERSE = pow(_P, -1, 1 << 64)
_MASK = (1 << 64) - 1

UInt64 = npt.NDArray[np.uint64]

Spans = tuple[tuple[str, bool], ...]
"""Texts, and whether each is learned."""
Text = tuple[Spans, bool, bool]
"""A document or a chunk of one to encode: its spans, whether the document begins here, and whether
it ends here."""


class Batch(NamedTuple):
    """Texts to encode together, and the Document that each is of."""

    owners: list[Document]
    texts: list[Text]
    chunks: int
    """Documents, or chunks of one, that end here."""
    whole: bool
    """Whether the last of them ends with the batch."""

    @property
    def groups_D(self) -> Int64:
        """For each document that ends here, its group as in `Store.groups`."""
        ending = [
            owner for owner, (_, _, ends) in zip(self.owners, self.texts, strict=True) if ends
        ]
        return np.array([_number(document) for document in ending], dtype=np.int64)


class Block(NamedTuple):
    """Tokens of some documents; the first may have begun before and the last may go on."""

    tokens_N: Array
    """uint16 or uint32, as the store keeps them."""
    learn_N: Bool
    ends_D: Int64
    """The ends of documents in the block."""
    learned: Int64
    """[D + 1] learned tokens up to each end, and after the last."""
    bytes: Int64
    """[D + 1] their bytes of text."""
    digests: UInt64
    """[D + 1] the digests of the documents' tokens in the block."""


def group(
    documents: Iterable[Document], word_ends: FindEnds, *, begins: bool = True
) -> Iterator[Batch]:
    """Yield the documents in batches of about `BLOCK` characters, longer ones in several.

    `word_ends` is the tokenizer's; `begins` is false when the first goes on with one before it.
    """
    owners: list[Document] = []
    texts: list[Text] = []
    size = chunks = 0
    last = True
    for document in documents:
        for spans, length, last in _portions(document, word_ends):
            ends = last and not document.more
            owners.append(document)
            texts.append((spans, begins, ends))
            begins = ends
            size += length
            chunks += last
            if size >= BLOCK or len(texts) >= _MOST_DOCUMENTS:
                yield Batch(owners, texts, chunks, last)
                owners, texts, size, chunks = [], [], 0, 0
    if texts:
        yield Batch(owners, texts, chunks, last)


def _portions(document: Document, word_ends: FindEnds) -> Iterator[tuple[Spans, int, bool]]:
    """Yield a document's spans by about `BLOCK` characters, their length, and if they are last.

    A span is cut only where its tokens end anyway (see `text_splitter`).
    """
    length = sum([len(text) for text, _ in document.spans])
    if length <= 2 * BLOCK:
        yield tuple([(text, learn) for text, learn in document.spans if text]), length, True
        return
    portion: list[tuple[str, bool]] = []
    size = 0
    for text, learn in document.spans:
        for start, end, _ in cut(text, word_ends, BLOCK):
            if size >= BLOCK:
                yield tuple(portion), size, False
                portion, size = [], 0
            portion.append((text[start:end], learn))
            size += end - start
    yield tuple(portion), size, True


def encode_block(tokenizer: Tokenizer, texts: Sequence[Text], markers: Sequence[str]) -> Block:
    """Encode `texts`, each document between two end-of-text tokens."""
    ids_N, lengths = tokenizer.encode_flat(
        [text for spans, _, _ in texts for text, _ in spans],
        markers=markers,
        goes_on=[not begins or i > 0 for spans, begins, _ in texts for i in range(len(spans))]
        if tokenizer.vocabulary.add_prefix_space
        else None,
    )
    learned: list[bool] = []
    is_text: list[bool] = []
    last: list[int] = []
    for spans, begins, ends in texts:
        if begins:
            learned.append(False)
            is_text.append(False)
        for _, learn in spans:
            learned.append(learn)
            is_text.append(True)
        if ends:
            last.append(len(learned))
            learned.append(True)
            is_text.append(False)
    is_text_S = np.array(is_text, dtype=np.bool_)
    sizes_S = np.ones(len(is_text), dtype=np.int64)
    sizes_S[is_text_S] = lengths
    is_text_N = np.repeat(is_text_S, sizes_S)
    kind = np.uint16 if token_dtype(tokenizer.vocab_size) == "U16" else np.uint32
    tokens_N = np.full(len(is_text_N), tokenizer.eot_id, dtype=kind)
    tokens_N[is_text_N] = ids_N
    learn_N = np.repeat(np.array(learned, dtype=np.bool_), sizes_S)
    if tokenizer.vocabulary.padding:
        learn_N &= tokens_N != tokenizer.padding_id
    ends_D = np.cumsum(sizes_S)[np.array(last, dtype=np.int64)]
    bytes_N = tokenizer.token_sizes.astype(np.uint32)[tokens_N] * learn_N
    digests = digest_stretches(tokens_N, np.append(0, ends_D))
    return Block(tokens_N, learn_N, ends_D, _sums(learn_N, ends_D), _sums(bytes_N, ends_D), digests)


def _number(document: Document) -> int:
    if not document.group:
        return 0
    text = document.group.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, digest_size=8).digest()
    number = int.from_bytes(digest, "little") >> 1 or 1
    return -number if document.alternative else number


def _sums(values_N: Array, ends_D: Int64) -> Int64:
    """Return the sum of `values` up to each end, and after the last."""
    borders = np.append(0, ends_D)
    sums = np.zeros(len(borders), dtype=np.int64)
    begun = borders < len(values_N)  # all but an empty rest
    if begun.any():
        sums[begun] = np.add.reduceat(values_N, borders[begun], dtype=np.int64)
    return sums


def digest_stretches(tokens_N: npt.NDArray[Any], borders: npt.NDArray[np.int64]) -> UInt64:
    """Return the digest of each stretch, from its border to the next; the last to the end."""
    weighed = _randoms(1 << max(int(tokens_N.max(initial=0)).bit_length(), 8))[tokens_N]
    size = 1 << len(tokens_N).bit_length()
    weighed *= _powers(_P, size)[: len(tokens_N)]
    sums = np.zeros(len(borders), dtype=np.uint64)
    begun = borders < len(tokens_N)  # all but an empty rest
    if begun.any():
        sums[begun] = np.add.reduceat(weighed, borders[begun], dtype=np.uint64)
    return sums * _powers(_INVERSE, size)[borders]


def join_digests(first: int, length: int, second: int) -> int:
    """Return the digest of a stretch of `length` tokens and the one after it."""
    return (first + pow(_P, length, 1 << 64) * second) & _MASK


@cache
def _randoms(count: int) -> UInt64:
    return random_words(count, "document digest")


@cache
def _powers(base: int, count: int) -> UInt64:
    powers = np.full(count, base, dtype=np.uint64)
    powers[0] = 1
    return np.multiply.accumulate(powers, dtype=np.uint64)
