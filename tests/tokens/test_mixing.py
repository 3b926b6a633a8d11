from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.document import Document, Source, Span
from penwright.errors import UsageError
from penwright.tokens import BatchSchedule, Split, Tokenizer, prepare
from penwright.tokens.mixing import ChangingMix, MixedBatches, divide_sources, mix


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
        plan = BatchSchedule(mixed, shape, 4, 64, 3)
        first = plan.batch(5).tokens_BT
        assert first.equal(BatchSchedule(mixed, shape, 4, 64, 3).batch(5).tokens_BT)
    packed = BatchSchedule(mixed, "packed", 4, 64, 3)
    learned = sum(packed.batch(step).n_learned for step in range(packed.steps_per_epoch))
    assert learned == mixed.n_learned


STEPS = 40


def decode(tokens):
    return Tokenizer.gpt2().decode([token for token in tokens if token != 50256])


def sets_of(batch):
    """Return how many rows of a batch are of each of the three sets."""
    texts = map(decode, batch.tokens_BT.tolist())
    sets = Counter(0 if "number" in text else 1 if "long" in text else 2 for text in texts)
    return [sets[number] for number in range(3)]


@pytest.mark.parametrize("shape", ["packed", "rows", "windows"])
def test_shares_change_from_the_first_step_to_the_last(store, shape):
    sets = [training for training, _ in divide_sources(store, COUNTS, 0.0, 0)]
    changing = ChangingMix(sets, [8, 1, 1], [0, 1, 4], 7)
    batches = MixedBatches(changing, shape, 10, 16, 7, STEPS)
    given = np.array([sets_of(batches.batch(step)) for step in range(STEPS)])
    assert (given.sum(axis=1) == 10).all()
    wanted = np.linspace([8, 1, 1], [0, 2, 8], STEPS)
    assert np.abs(given - wanted).max() <= 1 + 8 / STEPS, "each share, rounded up or down"
    assert np.abs(given.mean(axis=0) - wanted.mean(axis=0)).max() < 0.2


def test_every_row_of_a_set_comes_once_in_each_of_its_epochs(store):
    sets = [training for training, _ in divide_sources(store, COUNTS, 0.0, 0)]
    batches = MixedBatches(ChangingMix(sets, [3, 2, 1], [1, 2, 3], 7), "rows", 6, 64, 7, STEPS)
    seen = Counter(
        tuple(row)
        for step in range(STEPS)
        for row in batches.batch(step).tokens_BT[:, :3].tolist()
        if decode(row).startswith("number")
    )
    assert len(seen) == 30
    assert max(seen.values()) - min(seen.values()) <= 1


def test_a_changing_mix_depends_on_nothing_but_seed_step_and_steps(store):
    sets = [training for training, _ in divide_sources(store, COUNTS, 0.0, 0)]

    def batch(step, seed=7, steps=STEPS):
        mixed = ChangingMix(sets, [0.5, 0.3, 0.2], [0.1, 0.2, 0.7], seed)
        return MixedBatches(mixed, "packed", 8, 32, seed, steps).batch(step).tokens_BT

    assert batch(29).equal(batch(29))
    assert not batch(29).equal(batch(29, seed=8))
    with pytest.raises(UsageError, match="Give 3 numbers from 0 on"):
        ChangingMix(sets, [0.5, 0.3, 0.2], [0.5, 0.5], 7)
    with pytest.raises(UsageError, match="Give 3 numbers from 0 on"):
        ChangingMix(sets, [0.5, 0.3, 0.2], [0, 0, 0], 7)


def test_each_set_gives_its_own_held_out_documents(store):
    divided = divide_sources(store, COUNTS, 0.2, 5)
    assert [len(held_out) for _, held_out in divided] == [6, 0, 1]
    ranges = np.concatenate([part.ranges for both in divided for part in both])
    assert sorted(ranges.tolist()) == Split.whole(store).ranges.tolist()


def test_shares_that_cannot_be(store):
    parts = [training for training, _ in divide_sources(store, COUNTS, 0.0, 0)]
    with pytest.raises(UsageError, match="3 data sets, but 2 shares"):
        mix(parts, [0.5, 0.5], 0)
    with pytest.raises(UsageError, match="above 0"):
        mix(parts, [0.5, 0.5, 0.0], 0)
