"""The native decoder writes what torch writes, whatever the settings and the rows of a batch."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright import sample
from penwright.config import SamplingConfig
from penwright.sample.batch import Batch, Row
from penwright.sample.window import Window
from tests.native.conftest import needs_library, pack
from tests.sample.conftest import build_model
from tests.sample.test_engine import PROMPTS, SETTINGS, assert_written, write_plainly

pytestmark = needs_library


@pytest.mark.parametrize("name", SETTINGS)
def test_native_equals_the_plain_way(model, tokenizer, name):
    written = sample.generate(pack(model), tokenizer, PROMPTS, 2, SETTINGS[name])
    assert_written(written, write_plainly(model, tokenizer, PROMPTS, 2, SETTINGS[name]))


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_rows_that_come_and_go_are_written_as_alone(tokenizer, data):
    """Lengths from 1 to beyond the context, other ends, and settings native or not."""
    model = build_model(tokenizer.vocab_size, n_positions=40)
    packed = pack(model)
    token = st.integers(1, tokenizer.vocab_size - 1)
    prompts = data.draw(st.lists(st.lists(token, max_size=44), min_size=1, max_size=5))
    kinds = st.sampled_from([*SETTINGS.values(), SamplingConfig(min_new_tokens=9, top_k=5)])
    window = Window(40, tokenizer)
    rows = [Row(n, [0, *prompt], window, data.draw(kinds)) for n, prompt in enumerate(prompts)]
    waiting, batch = [row for row in rows if not row.finish_reason], Batch(packed, tokenizer)
    while waiting or batch.rows:
        entering = data.draw(st.integers(0 if batch.rows else 1, 3))
        batch.enter(waiting[:entering])
        del waiting[:entering]
        if batch.rows:
            batch.step()
    for row in rows:
        alone = Row(row.index, row.ids[: row.prompt_length], window, row.sampling)
        single = Batch(packed, tokenizer)
        if not alone.finish_reason:
            single.enter([alone])
        while single.rows:
            single.step()
        assert (alone.ids, alone.text.text, alone.finish_reason) == (
            row.ids,
            row.text.text,
            row.finish_reason,
        )
