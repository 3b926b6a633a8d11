"""Repeats and copied spans equal those that a plain search finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.index.repeats import counted_tokens, find_copied, find_repeats
from penwright.index.suffix_index import SuffixIndex
from penwright.tokens import Tokenizer
from tests.index.conftest import ArrayStore, documents_of

COUNTED = np.array([False, True, True, True])


def passages(store, length):
    """Each passage of `length` counted tokens that begins and ends with one: start, end."""
    for start, end in store.ranges.tolist():
        places = [at for at in range(start, end) if COUNTED[store.line[at]]]
        for i in range(len(places) - length + 1):
            yield places[i], places[i + length - 1] + 1


@settings(max_examples=50, deadline=None)
@given(documents_of(4), st.integers(1, 6))
def test_repeats_are_those_of_brute_force(documents, length):
    store = ArrayStore(documents, 4)
    seen: dict[tuple[int, ...], int] = {}
    repeated = np.zeros(store.n_tokens, np.bool_)
    for start, end in passages(store, length):
        tokens = tuple(store.line[start:end].tolist())
        if tokens in seen:
            repeated[start:end] = True
        seen.setdefault(tokens, start)
    found = find_repeats(store, store.ranges, COUNTED, length)
    marked = np.zeros(store.n_tokens, np.bool_)
    for start, end, earlier in found.copies.tolist():
        assert not marked[start:end].any()
        marked[start:end] = True
        assert earlier < start
        assert np.array_equal(store.line[earlier : earlier + end - start], store.line[start:end])
    assert np.array_equal(marked, repeated)
    assert found.share == pytest.approx(repeated.mean() if store.n_tokens else 0)


def test_passes_and_groups_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    documents = [rng.integers(0, 4, size).tolist() for size in rng.integers(1, 300, 40)]
    store = ArrayStore(documents, 4)
    whole = find_repeats(store, store.ranges, COUNTED, 5)
    monkeypatch.setattr("penwright.index.repeats._GROUP_TOKENS", 100)
    monkeypatch.setattr("penwright.index.repeats._PASS_TOKENS", 1000)
    assert np.array_equal(find_repeats(store, store.ranges, COUNTED, 5).copies, whole.copies)
    assert len(whole.copies)


@settings(max_examples=50, deadline=None)
@given(documents_of(4), documents_of(4), st.integers(1, 5))
def test_copied_spans_are_those_of_brute_force(tmp_path_factory, documents, texts, length):
    store = ArrayStore(documents, 4)
    folder = tmp_path_factory.mktemp("index") / "index"
    index = SuffixIndex.build(store, store.ranges, folder)
    lines = {" ".join(map(str, document)) for document in documents}
    for text, found in zip(texts, find_copied(index, texts, COUNTED, length), strict=True):
        copied = np.zeros(len(text), np.bool_)
        longest = 0
        for start in range(len(text)):
            for end in range(start + 1, len(text) + 1):
                count = int(COUNTED[text[start:end]].sum())
                span = " ".join(map(str, text[start:end]))
                if count >= length and any(f" {span} " in f" {line} " for line in lines):
                    copied[start:end] = True
                    longest = max(longest, count)
        assert found.longest == longest
        assert found.copied == int((COUNTED[text] & copied).sum())
        assert found.counted == int(COUNTED[text].sum())
        for start, end, count, position in found.spans:
            assert store.line[position : position + end - start].tolist() == text[start:end]
            assert count == int(COUNTED[text[start:end]].sum())


def test_words_and_numbers_count_and_white_space_does_not():
    gpt2 = Tokenizer.gpt2()
    counted = counted_tokens(gpt2)
    for text, counts in [(" the", True), ("7", True), ("\n", False), (" ---", False), ("!", False)]:
        (token,) = gpt2.encode(text)
        assert counted[token] == counts, text
    assert counted[gpt2.encode("世")].all()
    assert not counted[gpt2.eot_id]
