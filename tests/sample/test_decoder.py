"""Decoders: cached tokens give the logits of the whole text, whatever rows enter or leave."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.model import KVCache
from penwright.sample.decoder import TorchDecoder, TorchSource, find_shared, plan_reading
from tests.sample.conftest import build_model

CONTEXT = 24
VOCABULARY = 5
LIGHT = settings(max_examples=50, deadline=None)
texts = st.lists(st.integers(0, VOCABULARY - 1), max_size=CONTEXT)


@pytest.fixture(scope="module")
def small():
    return build_model(VOCABULARY, n_positions=CONTEXT)


def read_whole(model, text: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model.logits(model(torch.tensor([text])))[0]


class Twin:
    """A decoder, and the texts that it should hold."""

    def __init__(self, model, static: bool = False) -> None:
        self.model, self.decoder, self.texts = model, TorchDecoder(model, static=static), []

    def enter(self, prompts: list[list[int]]) -> None:
        self.decoder.enter(prompts, find_shared(self.texts, prompts))
        self.texts += [list(prompt) for prompt in prompts]
        assert self.decoder.lengths == list(map(len, self.texts))

    def feed(self, tokens: list[list[int]], every: bool) -> None:
        logits_NV = self.decoder.feed(tokens, every)
        self.texts = [text + new for text, new in zip(self.texts, tokens, strict=True)]
        expected_NV = torch.cat(
            [
                read_whole(self.model, text)[-len(new) if every else -1 :]
                for text, new in zip(self.texts, tokens, strict=True)
            ]
        )
        torch.testing.assert_close(logits_NV, expected_NV, atol=1e-4, rtol=1e-4)
        assert self.decoder.lengths == list(map(len, self.texts))


@pytest.mark.parametrize("static", [False, True])
@LIGHT
@given(st.data())
def test_rows_come_and_go(small, static, data):
    """`static` is the step that a GPU records as a graph."""
    twin = Twin(small, static)
    for _ in range(data.draw(st.integers(1, 4))):
        twin.enter(data.draw(st.lists(texts.map(lambda text: text[:-1]), max_size=4)))
        rows = len(twin.texts)
        if not rows:
            continue
        most = data.draw(st.sampled_from([1, 6]))
        fed = [
            data.draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=room))
            for text in twin.texts
            if (room := min(most, CONTEXT - len(text))) > 0
        ]
        if len(fed) == rows:
            twin.feed(fed, data.draw(st.booleans()))
            lengths = [data.draw(st.integers(0, len(text))) for text in twin.texts]
            twin.decoder.truncate(lengths)
            twin.texts = [text[:n] for text, n in zip(twin.texts, lengths, strict=True)]
        if data.draw(st.booleans()):
            chosen = data.draw(st.lists(st.integers(0, rows - 1), min_size=1, max_size=4))
            twin.decoder.select(chosen)
            twin.texts = [twin.texts[row] for row in chosen]
        gone = data.draw(st.sets(st.integers(0, len(twin.texts) - 1)))
        order = twin.decoder.drop(sorted(gone))
        assert sorted(order) == [row for row in range(len(twin.texts)) if row not in gone]
        twin.texts = [twin.texts[row] for row in order]
    if twin.texts and max(map(len, twin.texts)) < CONTEXT:
        twin.feed([[1]] * len(twin.texts), every=False)


@LIGHT
@given(st.lists(texts, max_size=6), st.lists(texts, min_size=1, max_size=6))
def test_the_longest_common_beginning_is_shared(held, prompts):
    def common(a: list[int], b: list[int]) -> int:
        return max(n for n in range(len(a) + 1) if a[:n] == b[:n])

    shared = find_shared(held, prompts)
    rows = held + prompts
    for number, (prompt, row) in enumerate(zip(prompts, shared, strict=True), len(held)):
        longest = max([0, *(common(prompt, other) for other in rows[:number])])
        if row is None:
            assert longest < max(1, min(16, len(prompt)))
        else:
            assert row < number
            assert common(prompt, rows[row]) == longest


def test_a_shared_beginning_is_computed_once():
    beginning = list(range(40))
    prompts = [[*beginning, n] for n in range(50, 60)] + [beginning] * 5
    readings = list(plan_reading(prompts, 0, find_shared([], prompts)))
    computed = [
        len(prompts[row]) - start
        for reading in readings
        for row, start in zip(reading.rows, reading.starts, strict=True)
    ]
    assert sum(computed) == 41 + 9
    assert len(readings) == 3


def test_the_cache_takes_the_memory_that_is_planned(make_model):
    model = make_model(n_positions=1024)
    cache = KVCache(model.config, 8, 1024)
    cache.feed(model, torch.ones(8, 500, dtype=torch.long))
    for _ in range(300):
        cache.feed(model, torch.ones(8, 1, dtype=torch.long))
    held = 2 * model.config.n_layer * 8 * cache.capacity * model.config.n_embd * 4
    assert held <= 8 * TorchSource(model).row_bytes(800)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_captured_step_equals_the_eager_one(make_model):
    model = make_model().to("cuda")
    prompts = [[1, 2, 3], [4], [5, 6]]
    logits = []
    for static in (False, True):
        decoder = TorchDecoder(model, static=static)
        decoder.enter(prompts)
        logits.append([decoder.feed([[n], [n + 1], [n + 2]]).clone() for n in range(20)])
    for eager_BV, captured_BV in zip(*logits, strict=True):
        torch.testing.assert_close(captured_BV, eager_BV, atol=1e-4, rtol=1e-4)
