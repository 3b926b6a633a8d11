"""Which part of a long text is read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penwright.sample.batch import begin_window, follow_window

sizes = st.integers(1, 60)


@given(st.integers(1, 200), st.integers(0, 200), sizes)
def test_prompt_window(prompt, max_new, context):
    start = begin_window(prompt, max_new, context)
    kept = prompt - start
    assert 1 <= kept <= context
    if prompt <= context:
        assert start == 0
    elif context > 1:
        assert context - kept == min(max_new, context // 2)


@given(st.integers(1, 200), st.integers(0, 300), sizes)
def test_window_always_holds_some_and_never_too_much(prompt, max_new, context):
    start = begin_window(prompt, max_new, context)
    for length in range(prompt, prompt + max_new + 1):
        before, start = start, follow_window(start, length, context)
        assert 1 <= length - start <= context
        assert (start != before) == (length - before > context)
        assert start == before or length - start == max(1, context // 2)
