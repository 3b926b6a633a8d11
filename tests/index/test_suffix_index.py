"""Every answer of an index equals a search through the documents."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.errors import DataError
from penwright.index.suffix_index import HEADER, SuffixIndex
from tests.index.conftest import VOCABULARIES, ArrayStore, documents_of


def occurrences(store, span) -> list[int]:
    """Where a span stands within one document, by looking everywhere."""
    return [
        start + at
        for start, end in store.ranges.tolist()
        for at in range(end - start - len(span) + 1)
        if store.line[start + at : start + at + len(span)].tolist() == list(span)
    ]


def build(store, tmp_path_factory, block_tokens=1 << 24) -> SuffixIndex:
    folder = tmp_path_factory.mktemp("index") / "index"
    return SuffixIndex.build(store, store.ranges, folder, block_tokens=block_tokens)


@settings(max_examples=50, deadline=None)
@given(st.data(), VOCABULARIES, st.integers(1, 100), st.integers(1, 8))
def test_longest_matches_are_those_of_brute_force(
    tmp_path_factory, data, vocab, block_tokens, at_least
):
    store = ArrayStore(data.draw(documents_of(min(vocab, 3))), vocab)
    store.line[:] = (vocab - 1) - store.line  # the vocabulary's last tokens
    index = build(store, tmp_path_factory, block_tokens)
    query = data.draw(st.lists(st.integers(max(0, vocab - 3), vocab + 1), max_size=40))
    lengths, positions = index.longest_matches(np.array(query, np.int64), at_least)
    assert len(lengths) == len(query)
    for start in range(len(query)):
        longest = 0
        while start + longest < len(query) and occurrences(
            store, query[start : start + longest + 1]
        ):
            longest += 1
        longest = longest if longest >= at_least else 0
        assert lengths[start] == longest
        if longest:
            assert positions[start] in occurrences(store, query[start : start + longest])
        else:
            assert positions[start] == -1


@pytest.mark.parametrize("at_least", [1, 900])
def test_long_copies_have_the_lengths_of_brute_force(tmp_path_factory, at_least):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 5, size).tolist() for size in (1500, 900))
    store = ArrayStore([a, b, a[700:1200] + b[:400], [1] * 800], 6)
    index = build(store, tmp_path_factory)
    query = a[100:1300] + a[600:1200] + b[:500] + [5] + b + [1] * 1000 + a
    lengths, positions = index.longest_matches(np.array(query, np.int64), at_least)
    documents = ["".join(map(str, store.tokens(*ends))) for ends in store.ranges.tolist()]
    text = "".join(map(str, query))
    end = 0
    for start in range(len(text)):
        end = max(end, start)
        while end < len(text) and any(text[start : end + 1] in one for one in documents):
            end += 1
        longest = end - start if end - start >= at_least else 0
        assert lengths[start] == longest
        if longest:
            at = positions[start]
            assert store.tokens(at, at + longest).tolist() == query[start : start + longest]


@settings(max_examples=50, deadline=None)
@given(st.data(), documents_of(3), st.integers(1, 100))
def test_spans_are_counted_located_and_extended(tmp_path_factory, data, documents, block_tokens):
    store = ArrayStore(documents, 3)
    index = build(store, tmp_path_factory, block_tokens)
    assert index.n_tokens == store.n_tokens
    span = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    found = occurrences(store, span)
    match = index.find(span)
    assert (match.count if match else 0) == len(found)
    assert index.occurs(span) == bool(found)
    if match:
        assert match.length == len(span)
        assert index.locations(match).tolist() == found
        assert set(index.locations(match, 2).tolist()) <= set(found)
        following = Counter(
            int(store.line[at + len(span)])
            for at in found
            if at + len(span) not in store.ranges[:, 1].tolist()
        )
        tokens, counts = index.next_tokens(match)
        assert dict(zip(tokens.tolist(), counts.tolist(), strict=True)) == following


@pytest.fixture
def store() -> ArrayStore:
    return ArrayStore([[0, 1, 2, 0, 1], [2, 2, 1]], 3)


def test_an_index_is_built_once_and_opened_again(store, tmp_path, monkeypatch):
    first = SuffixIndex.open_or_build(store, store.ranges, tmp_path)
    monkeypatch.setattr(SuffixIndex, "build", None)
    again = SuffixIndex.open_or_build(store, store.ranges, tmp_path)
    assert again.longest_matches(store.line).lengths.tolist() == [5, 4, 3, 3, 2, 3, 2, 1]
    assert first.n_tokens == again.n_tokens == 8


def test_other_ranges_are_another_index(store, tmp_path):
    SuffixIndex.open_or_build(store, store.ranges, tmp_path)
    half = SuffixIndex.open_or_build(store, store.ranges[1:], tmp_path)
    assert half.n_tokens == 3
    assert half.find([0]) is None
    (folder,) = [path for path in tmp_path.iterdir() if (path / HEADER).exists()][:1]
    with pytest.raises(DataError, match=r"from other data|There is no index"):
        SuffixIndex.open(store, store.ranges[:0], folder)


@pytest.mark.parametrize("harm", ["header", "block", "missing", "half"])
def test_a_damaged_index_is_named_and_built_again(store, tmp_path, harm):
    SuffixIndex.open_or_build(store, store.ranges, tmp_path)
    (folder,) = tmp_path.iterdir()
    block = folder / "block-00000.safetensors"
    if harm == "header":
        (folder / HEADER).write_text("{")
    elif harm == "block":
        block.write_bytes(block.read_bytes()[:-1] + b"x")
    elif harm == "half":
        header = json.loads((folder / HEADER).read_text())
        (folder / HEADER).write_text(json.dumps({"version": header["version"]}))
    else:
        block.unlink()
    with pytest.raises(DataError):
        SuffixIndex.open(store, store.ranges, folder)
    assert SuffixIndex.open_or_build(store, store.ranges, tmp_path).n_tokens == 8
