"""Decoders: cached tokens give the logits of the whole text, whatever rows enter or leave."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.sample.decoder import as_source, find_shared, plan_reading
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

    def __init__(self, model) -> None:
        self.model, self.decoder, self.texts = model, as_source(model).decoder(), []

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


@LIGHT
@given(st.data())
def test_rows_come_and_go(small, data):
    twin = Twin(small)
    for _ in range(data.draw(st.integers(1, 4))):
        twin.enter(data.draw(st.lists(texts.map(lambda text: text[:-1]), max_size=4)))
        rows = len(twin.texts)
        if not rows:
            continue
        fed = [
            data.draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=room))
            for text in twin.texts
            if (room := min(6, CONTEXT - len(text))) > 0
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
