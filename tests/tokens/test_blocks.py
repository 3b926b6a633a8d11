"""Numbers of documents: equal tokens have equal ones, however they are cut."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.seeds import random_words
from penwright.tokens import blocks, prepare
from tests.tokens.conftest import DOCUMENTS, document

TOKENS = st.lists(st.integers(0, 70_000), max_size=30)


P = 0x9E3779B97F4A7C15
RANDOMS = random_words(1 << 17, "document digest").tolist()


def number(tokens: list[int]) -> int:
    """The formula, in the plainest way; stores that exist keep its numbers."""
    return sum(RANDOMS[t] * pow(P, i, 1 << 64) for i, t in enumerate(tokens)) % (1 << 64)


@settings(max_examples=60, deadline=None)
@given(st.lists(TOKENS, min_size=1, max_size=5))
def test_stretches_are_numbered_by_the_formula(stretches):
    line = np.array([t for tokens in stretches for t in tokens], dtype=np.uint32)
    sizes = [len(tokens) for tokens in stretches]
    borders = np.cumsum([0, *sizes[:-1]])
    # An empty stretch can only be the last: documents have two tokens at least.
    if all(sizes[:-1]):
        found = blocks.digest_stretches(line, borders).tolist()
        assert found == [number(tokens) for tokens in stretches]


@settings(max_examples=60, deadline=None)
@given(TOKENS, TOKENS)
def test_two_stretches_make_one(first, second):
    assert blocks.join_digests(number(first), len(first), number(second)) == number(first + second)


def test_what_differs_has_another_number():
    lines = [[a, b, c] for a in range(12) for b in range(12) for c in range(12)]
    assert len({number(tokens) for tokens in lines}) == 12**3
    assert number([]) == 0


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, st.integers(1, 40))
def test_a_store_knows_the_number_of_each_document(small, tmp_path_factory, documents, size):
    folder = tmp_path_factory.mktemp("s") / "s"
    store = prepare(documents, small, folder, shard_tokens=size)
    spans = zip(store.offsets[:-1].tolist(), store.offsets[1:].tolist(), strict=True)
    wanted = [number(store.tokens(a, b).tolist()) for a, b in spans]
    assert store.digests.view(np.uint64).tolist() == wanted


def test_pieces_of_a_document_make_its_number(make_store):
    pieces = ["It was late.", " It was\n", "\ndark", " and late"]
    documents = [document(part, more=part != pieces[-1]) for part in pieces]
    whole = make_store([document("first"), document("".join(pieces)), document("last")])
    cut = make_store([document("first"), *documents, document("last")])
    assert cut.digests.tolist() == whole.digests.tolist()
