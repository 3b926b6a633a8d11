"""The part of a long text that is read: its size, its start, the pinned text, what a seam costs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright import sample
from penwright.config import SamplingConfig
from penwright.errors import UsageError
from penwright.sample.decoder import as_source
from penwright.sample.window import AFTER, Window, measure_seams

PIN = "The goose is called Ada."


@pytest.fixture(scope="module")
def line_ends(tokenizer):
    return tokenizer.encode("\n")[0]


def texts(tokenizer, line_end):
    token = st.sampled_from([line_end, *range(60, 90)])
    return st.lists(token, max_size=150).map(lambda ids: [tokenizer.eot_id, *ids])


@settings(max_examples=60)
@given(data=st.data(), context=st.integers(2, 60), max_new=st.integers(0, 200))
def test_a_prompt_is_read_from_its_end(tokenizer, line_ends, data, context, max_new):
    window = Window(context, tokenizer)
    ids = data.draw(texts(tokenizer, line_ends))
    start = window.begin(ids, max_new)
    kept = len(ids) - start
    assert 1 <= kept <= context
    if len(ids) <= context:
        assert start == 0
    else:
        assert context - kept >= min(max_new, context // 2)
        assert context - kept <= min(max_new, context // 2) + context // 4 or kept == 1


@settings(max_examples=60)
@given(data=st.data(), context=st.integers(2, 60), pinned=st.booleans())
def test_the_window_moves_when_it_is_full(tokenizer, line_ends, data, context, pinned):
    head = (tokenizer.eot_id, 70) if pinned and context > 4 else ()
    window = Window(context, tokenizer, head)
    ids = data.draw(texts(tokenizer, line_ends))
    start = window.begin(ids[:1], len(ids))
    for length in range(1, len(ids) + 1):
        before, start = start, window.follow(start, ids[:length])
        read = window.read(ids[:length], start)
        assert len(head) <= len(read) <= context
        assert read[: len(head)] == [*head]
        assert read[len(head) :] == ids[start:length]
        assert (start != before) == (length - before > window.room)
        if start != before:
            kept = length - start
            assert max(1, window.room // 2) <= kept <= max(1, window.room // 2) + window.room // 4
            least = length - max(1, window.room // 2)
            reach = range(least, max(before, least - window.room // 4 - 1), -1)
            if any(ids[place - 1] == line_ends for place in reach):
                assert ids[start - 1] == line_ends, "a paragraph's start in reach is taken"
            else:
                assert start == least


def test_a_blank_line_is_preferred_to_a_line_end(tokenizer, line_ends):
    words = [*range(60, 90)]
    ids = [tokenizer.eot_id, *words, *words[:5], line_ends, line_ends, *words[:8], line_ends]
    ids += words[:30]
    window = Window(len(ids) - 1, tokenizer)
    start = window.follow(0, ids)
    assert ids[start - 2 : start] == [line_ends, line_ends]


def test_pinned_text_stands_at_the_top_of_every_window(tokenizer, make_model, monkeypatch):
    model = make_model(n_positions=48)
    source = as_source(model)
    windows = []
    decoder = type(source.decoder())

    def enter(self, prompts, share=()):
        windows.extend([*prompt] for prompt in prompts)
        return original(self, prompts, share)

    original = decoder.enter
    monkeypatch.setattr(decoder, "enter", enter)
    head = tokenizer.encode_prompt(f"{PIN}\n\n")
    assert len(head) < 24
    settings = SamplingConfig(max_new_tokens=200, min_new_tokens=200, pin=(PIN,))
    written = sample.generate(model, tokenizer, ["tea", "", "with “biscuits” " * 30], 2, settings)
    for read in windows:
        assert [*read, head[-1]][: len(head)] == head
        assert read.count(tokenizer.eot_id) == 1
    assert len(windows) > 12
    assert PIN not in written[0].text
    alone = sample.generate(model, tokenizer, ["tea"], 1, settings)[0]
    assert alone == written[0], "texts do not depend on each other"
    assert alone.text != sample.generate(
        model, tokenizer, ["tea"], 1, SamplingConfig(max_new_tokens=200, min_new_tokens=200)
    )[0].text  # fmt: skip


def test_a_pinned_text_of_more_than_half_the_context_is_refused(tokenizer, model):
    with pytest.raises(UsageError, match="more than half of the 48"):
        sample.generate(model, tokenizer, ["tea"], 1, SamplingConfig(pin=(PIN * 9,)))


def test_the_cost_of_a_seam_is_measured_in_both_contexts(tokenizer, make_model):
    model = make_model(n_positions=48)
    settings = SamplingConfig(max_new_tokens=400, min_new_tokens=400, pin=("Ada",))
    (written,) = sample.generate(model, tokenizer, ["tea"], 1, settings)
    assert written.seams is not None
    assert written.seams.count > 10
    assert 1 < written.seams.measured <= 8

    window = Window.of(48, tokenizer, settings)
    ids = tokenizer.encode_prompt("tea") + [60 + n % 25 for n in range(120)]
    start, seams = window.begin(ids[:2], 400), []
    for length in range(2, len(ids) + 1):
        before, start = start, window.follow(start, ids[:length])
        if start != before:
            seams.append((length, start))
    found = measure_seams(as_source(model), window, ids, seams)
    ends = [length for length, _ in seams[1:]] + [len(ids)]
    logprobs = {"new": [], "longest": []}
    for (length, start), end in zip(seams, ends, strict=True):
        end = min(end, length + AFTER)
        lowest = max(0, end - 1 - window.room)
        for name, first in (("new", start), ("longest", lowest)):
            with torch.no_grad():
                read = window.read(ids[:end], first)
                logp_TV = model.logits(model(torch.tensor([read[:-1]])))[0].log_softmax(-1)
            for back in range(end - length, 0, -1):
                logprobs[name].append(float(logp_TV[-back, read[-back]]))
    assert found.count == found.measured == len(seams)
    for name, value in (("new", found.perplexity), ("longest", found.longest)):
        wanted = math.exp(-sum(logprobs[name]) / len(logprobs[name]))
        assert value == pytest.approx(wanted, rel=1e-4)
    assert measure_seams(as_source(model), window, ids, []) is None
