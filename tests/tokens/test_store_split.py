"""The split: every document on one side, the same for the same seed; what is counted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.errors import UsageError
from penwright.tokens import Split, prepare, split, store_split
from tests.tokens.conftest import DOCUMENTS, document


def counted(part: Split) -> tuple[int, int]:
    """Learned tokens and their bytes, range by range: nothing predicts a range's first token."""
    learned = size = 0
    for a, b in part.ranges.tolist():
        tokens = part.store.tokens(a, b)[1:]
        mask = part.store.learn(a, b)[1:]
        learned += int(mask.sum())
        size += int(part.store.token_sizes[tokens[mask]].sum())
    return learned, size


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, st.floats(0, 0.99), st.integers(-5, 1 << 70))
def test_every_document_is_on_exactly_one_side(small, tmp_path_factory, documents, share, seed):
    store = prepare(documents, small, tmp_path_factory.mktemp("s") / "s", shard_tokens=13)
    training, held_out = split(store, share, seed)
    both = np.concatenate([training.ranges, held_out.ranges])
    both = both[np.argsort(both[:, 0])]
    assert both[0, 0] == 0
    assert both[-1, 1] == store.n_tokens
    assert np.array_equal(both[1:, 0], both[:-1, 1])
    if len(documents) > 1:
        assert np.array_equal(both[:, 0], store.offsets[:-1])
        expected = 0 if share == 0 else min(max(round(share * len(both)), 1), len(both) - 1)
        assert len(held_out) == expected
        assert training.n_learned + held_out.n_learned == store.n_learned
        assert training.n_bytes + held_out.n_bytes == store.n_bytes
    for side in (training, held_out):
        assert (side.n_learned, side.n_bytes) == counted(side)
        assert side.n_tokens == sum(b - a for a, b in side.ranges.tolist())
    again = split(store, share, seed)
    assert np.array_equal(again[0].ranges, training.ranges)
    assert np.array_equal(again[1].ranges, held_out.ranges)


def test_another_seed_holds_out_others(make_store):
    store = make_store([document(f"text {n}") for n in range(50)])
    chosen = {tuple(split(store, 0.1, seed)[1].ranges[:, 0]) for seed in range(5)}
    assert len(chosen) == 5
    assert all(len(c) == 5 for c in chosen)


def test_the_same_documents_are_held_out_everywhere(make_store):
    """A golden: the split does not depend on numpy's version or the machine."""
    store = make_store([document("x") for _ in range(20)])
    assert (split(store, 0.2, 42)[1].ranges[:, 0] // 3).tolist() == GOLDEN


GOLDEN = [6, 10, 15, 17]


@pytest.mark.parametrize("chunk", [10, 1 << 22])
def test_of_a_single_document_the_last_part_is_held_out(make_store, monkeypatch, chunk):
    monkeypatch.setattr(store_split, "_CHUNK", chunk)
    store = make_store([document(("prompt", False), " a b c d e f g h i j" * 20)], shard_tokens=37)
    training, held_out = split(store, 0.25, 0)
    assert training.ranges.tolist() == [[0, held_out.ranges[0, 0]]]
    assert held_out.ranges[0, 1] == store.n_tokens
    assert held_out.n_learned == round(0.25 * store.n_learned)
    assert training.n_learned + held_out.n_learned == store.n_learned - 1
    assert (held_out.n_learned, held_out.n_bytes) == counted(held_out)


@pytest.mark.parametrize("text", ["a", "ab", "abc"])
def test_the_smallest_documents(make_store, text):
    store = make_store([document(("long context" * 9, False), text)])
    training, held_out = split(store, 0.99, 0)
    if len(text) == 1:  # it and the end of text: nothing is left after a border
        assert (len(training), len(held_out)) == (1, 0)
    else:
        assert held_out.n_learned == len(text) - 1
        assert training.n_learned == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "d", ""]), min_size=2, max_size=40), st.data())
def test_documents_of_one_group_stay_together(small, tmp_path_factory, groups, data):
    documents = [document(f"text {n}", group=group) for n, group in enumerate(groups)]
    folder = tmp_path_factory.mktemp("s") / "s"
    store = prepare(documents, small, folder, shard_tokens=data.draw(st.integers(5, 60)))
    share = data.draw(st.floats(0.01, 0.99))
    training, held_out = split(store, share, data.draw(st.integers(0, 9)))
    sides = [
        np.searchsorted(store.offsets, side.ranges[:, 0]).tolist() for side in (training, held_out)
    ]
    assert sorted(sides[0] + sides[1]) == list(range(len(groups)))
    trained, kept = ({groups[n] for n in side} - {""} for side in sides)
    assert not trained & kept
    units = len(set(groups) - {""}) + groups.count("")
    if units > 1:
        largest = max((groups.count(group) for group in trained | kept), default=1)
        assert len(training)
        assert 1 <= len(held_out) <= max(round(share * len(groups)), 1) + largest - 1
    elif len(groups) > 1:
        assert not len(held_out)


def test_a_group_is_known_to_every_store_of_the_same_documents(make_store):
    documents = [document(f"text {n}", group=f"row {n // 3}") for n in range(30)]
    store = make_store(documents, shard_tokens=17)
    assert store.groups.tolist() == make_store(documents).groups.tolist()
    assert len(set(store.groups.tolist())) == 10
    pieces = [document("a", more=True, group="row 0"), document("b", group="row 0")]
    assert make_store(pieces).groups.tolist() == store.groups[:1].tolist()
    assert make_store([document("a")]).groups.tolist() == [0]


def test_nothing_held_out_is_an_empty_part(make_store):
    store = make_store([document("a"), document("b")])
    training, held_out = split(store, 0.0, 0)
    assert (len(training), training.n_learned) == (2, store.n_learned)
    assert (len(held_out), held_out.n_tokens, held_out.n_learned, held_out.n_bytes) == (0, 0, 0, 0)


@pytest.mark.parametrize("share", [-0.1, 1.0, 5, float("nan")])
def test_shares_that_cannot_be_are_refused(make_store, share):
    with pytest.raises(UsageError, match="held_out must be"):
        split(make_store([document("a")]), share, 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 8), st.lists(st.integers(0, 60), max_size=8, unique=True))
def test_stretches_are_taken_out(small, tmp_path_factory, documents, borders):
    folder = tmp_path_factory.mktemp("split") / "store"
    store = prepare([document(f"the goose {n} sat") for n in range(documents)], small, folder)
    borders = sorted(border for border in borders if border < store.n_tokens)
    stretches = np.array(borders[: len(borders) // 2 * 2], np.int64).reshape(-1, 2)
    out = np.zeros(store.n_tokens, np.bool_)
    for start, end in stretches.tolist():
        out[start:end] = True
    left = Split.whole(store).without(stretches)
    expected = []
    for start, end in Split.whole(store).ranges.tolist():
        at = start
        while at < end:
            stop = at
            while stop < end and not out[stop]:
                stop += 1
            if stop - at > 1 or (at, stop) == (start, end):
                expected.append([at, stop])
            at = stop + 1
    assert left.ranges.tolist() == expected
