from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.document import Document, Source, Span
from penwright.errors import UsageError
from penwright.tokens import Part, Plan, Tokenizer, prepare
from penwright.tokens.mixing import divide_sources, mix


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Thirty short documents, one long one, and five middling ones."""
    texts = [f"number {n}" for n in range(30)] + ["long " * 400] + [f"{n} " * 20 for n in range(5)]
    documents = [Document((Span(text),), Source("a.txt")) for text in texts]
    return prepare(documents, Tokenizer.gpt2(), tmp_path_factory.mktemp("mix") / "store")


COUNTS = (30, 1, 5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.05, 1), min_size=3, max_size=3), st.integers(0, 9))
def test_every_document_is_there_and_the_shares_are_those_asked_for(store, shares, seed):
    parts = [training for training, _ in divide_sources(store, COUNTS, 0.0, 0)]
    mixed = mix(parts, shares, seed)
    whole = {tuple(row) for row in mixed.ranges.tolist()}
    for part, share in zip(parts, shares, strict=True):
        low, high = part.ranges[0, 0], part.ranges[-1, 1]
        mine = mixed.ranges[(mixed.ranges[:, 0] >= low) & (mixed.ranges[:, 0] < high)]
        tokens = (mine[:, 1] - mine[:, 0]).sum()
        assert abs(tokens - mixed.n_tokens * share / sum(shares)) <= 4
        assert {tuple(row) for row in part.ranges.tolist()} <= whole, "nothing is cut away"
    assert np.array_equal(mix(parts, shares, seed).ranges, mixed.ranges)


def test_a_mix_has_batches_as_any_part_has(store):
    parts = [training for training, _ in divide_sources(store, COUNTS, 0.0, 0)]
    mixed = mix(parts, [0.2, 0.5, 0.3], 1)
    for shape in ("packed", "rows", "windows"):
        plan = Plan(mixed, shape, 4, 64, 3)
        first = plan.batch(5).tokens_BT
        assert first.equal(Plan(mixed, shape, 4, 64, 3).batch(5).tokens_BT)
    packed = Plan(mixed, "packed", 4, 64, 3)
    learned = sum(packed.batch(step).n_learned for step in range(packed.steps_per_epoch))
    assert learned == mixed.n_learned


def test_each_set_gives_its_own_held_out_documents(store):
    divided = divide_sources(store, COUNTS, 0.2, 5)
    assert [len(held_out) for _, held_out in divided] == [6, 0, 1]
    ranges = np.concatenate([part.ranges for both in divided for part in both])
    assert sorted(ranges.tolist()) == Part.whole(store).ranges.tolist()


def test_shares_that_cannot_be(store):
    parts = [training for training, _ in divide_sources(store, COUNTS, 0.0, 0)]
    with pytest.raises(UsageError, match="3 data sets, but 2 shares"):
        mix(parts, [0.5, 0.5], 0)
    with pytest.raises(UsageError, match="above 0"):
        mix(parts, [0.5, 0.5, 0.0], 0)
