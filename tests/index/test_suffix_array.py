"""The suffix array equals a sort of the suffixes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.index.suffix_array import sort_suffixes

LINES = st.integers(0, 4).flatmap(lambda most: st.lists(st.integers(0, most), max_size=80)) | (
    st.lists(st.sampled_from([0, 1, 2**16 - 1, 2**16, 2**31, 2**32 - 1]), max_size=20)
)


@settings(max_examples=100, deadline=None)
@given(LINES)
def test_suffixes_are_sorted(values):
    line = np.array(values, np.uint32)
    expected = sorted(range(len(values)), key=lambda start: values[start:])
    assert sort_suffixes(line).tolist() == expected


@pytest.mark.parametrize("period", [1, 7, 1000, 200_000])
def test_long_repeats_and_several_threads(period, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    once = np.random.default_rng(0).integers(0, 50, period, np.uint16)
    line = np.resize(once, 300_000)
    order = sort_suffixes(line).astype(np.int64)
    assert np.array_equal(np.sort(order), np.arange(len(line)))
    ranks = np.empty(len(line) + 1, np.int64)
    ranks[order], ranks[-1] = np.arange(len(line)), -1
    here, after = order[:-1], order[1:]
    in_order = (line[here] < line[after]) | (
        (line[here] == line[after]) & (ranks[here + 1] < ranks[after + 1])
    )
    assert in_order.all()
