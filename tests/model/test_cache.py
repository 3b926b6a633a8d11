from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.model import KVCache
from penwright.model import cache as cache_module
from tests.model.conftest import make, tiny

LIGHT = settings(max_examples=25, deadline=None)


def alone(model, tokens: list[int]) -> torch.Tensor:
    """The naive way: the whole text again, one row, no cache."""
    with torch.no_grad():
        return model(torch.tensor([tokens]))[0, -1]


def padded(rows: list[list[int]]) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [60] * (longest - len(row)) for row in rows])


def some_tokens(n: int) -> list[int]:
    return torch.randint(61, (n,)).tolist()


@LIGHT
@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=4),
    st.lists(st.integers(1, 3), max_size=6),
    st.booleans(),
    st.sampled_from([1, 4, 256]),
)
def test_cached_equals_uncached(prompts, steps, first, growth):
    """Prompts of unequal length together, then one or several tokens at a time."""
    model = make(tiny(model_type="openai-gpt" if first else "gpt2")).eval()
    texts = [some_tokens(n) for n in prompts]
    cache = KVCache(model.config, len(texts), 40)
    grown, cache_module.GROWTH = cache_module.GROWTH, growth
    try:
        last_BC = cache.feed(model, padded(texts), prompts)
        for new in (*steps, 0):
            expected_BC = torch.stack([alone(model, text) for text in texts])
            torch.testing.assert_close(last_BC, expected_BC, atol=1e-5, rtol=1e-4)
            if new:
                more = [some_tokens(new) for _ in texts]
                texts = [text + added for text, added in zip(texts, more, strict=True)]
                last_BC = cache.feed(model, torch.tensor(more))
    finally:
        cache_module.GROWTH = grown
    assert cache.lengths == [len(text) for text in texts]


@LIGHT
@given(st.data())
def test_rows_come_and_go(data):
    """Any order of select, drop, join, truncate and feeding leaves every row as if alone."""
    model = make(tiny(n_positions=24)).eval()
    cache = KVCache(model.config, 1, 24)
    texts = [some_tokens(3)]
    cache.feed(model, padded(texts))
    for _ in range(data.draw(st.integers(1, 6))):
        action = data.draw(st.sampled_from(["select", "drop", "join", "truncate", "feed"]))
        numbers = st.integers(0, len(texts) - 1)
        if action == "select":
            rows = data.draw(st.lists(numbers, min_size=1, max_size=4))
            cache.select(rows)
            texts = [texts[row] for row in rows]
        elif action == "drop":
            gone = data.draw(st.sets(numbers, max_size=len(texts) - 1))
            order = cache.drop(sorted(gone))
            assert sorted(order) == sorted(set(range(len(texts))) - gone)
            texts = [texts[row] for row in order]
        elif action == "join":
            new = [some_tokens(n) for n in data.draw(st.lists(st.integers(1, 9), max_size=3))]
            other = KVCache(model.config, len(new), 24)
            if new:
                other.feed(model, padded(new), [len(text) for text in new])
            cache.join(other)
            texts = texts + new
        elif action == "truncate":
            kept = [data.draw(st.integers(1, len(text))) for text in texts]
            cache.truncate(kept)
            texts = [text[:n] for text, n in zip(texts, kept, strict=True)]
        else:
            counts = [data.draw(st.integers(1, 3)) for _ in texts]
            if max(len(text) for text in texts) + max(counts) > 24:
                continue
            new = [some_tokens(n) for n in counts]
            cache.feed(model, padded(new), counts)
            texts = [text + added for text, added in zip(texts, new, strict=True)]
    if max(len(text) for text in texts) < 24:
        last = [some_tokens(1) for _ in texts]
        last_BC = cache.feed(model, torch.tensor(last))
        expected = [alone(model, text + new) for text, new in zip(texts, last, strict=True)]
        torch.testing.assert_close(last_BC, torch.stack(expected), atol=1e-5, rtol=1e-4)


def test_memory_grows_with_the_text():
    model = make(tiny(n_positions=1000)).eval()
    cache = KVCache(model.config, 2, 1000)
    cache.feed(model, torch.zeros(2, 5, dtype=torch.long))
    assert cache.capacity < 300
    for _ in range(3):
        cache.feed(model, torch.zeros(2, 300, dtype=torch.long))
    assert cache.lengths == [905, 905]
    assert cache.capacity <= 1000


def test_a_row_that_outgrows_the_cache_is_refused():
    model = make(tiny()).eval()
    cache = KVCache(model.config, 1, 8)
    cache.feed(model, torch.zeros(1, 8, dtype=torch.long))
    with pytest.raises(ValueError, match=r"8 \+ 1 tokens"):
        cache.feed(model, torch.zeros(1, 1, dtype=torch.long))
    longer = KVCache(model.config, 1, 30)
    longer.feed(model, torch.zeros(1, 20, dtype=torch.long))
    with pytest.raises(ValueError, match="20 tokens"):
        cache.join(longer)


def test_a_narrower_cache_and_upcast_attention():
    for config in (tiny(), tiny(reorder_and_upcast_attn=True)):
        model = make(config, spread=0.1).eval()
        text = some_tokens(9)
        cache = KVCache(config, 2, 40, torch.bfloat16)
        cache.feed(model, padded([text, text[:4]]), [9, 4])
        last_BC = cache.feed(model, torch.tensor([[7], [8]]))
        torch.testing.assert_close(last_BC[0], alone(model, [*text, 7]), atol=0.05, rtol=0.05)
        torch.testing.assert_close(last_BC[1], alone(model, [*text[:4], 8]), atol=0.05, rtol=0.05)
