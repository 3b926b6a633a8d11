"""Stop texts across pieces, characters across tokens, and rows of one batch."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penwright import sample
from penwright.config import SamplingConfig
from penwright.sample.batch import Batch, Row
from penwright.sample.decoder import as_source
from penwright.sample.endings import CharacterStream, StopMatcher
from penwright.sample.window import Window
from tests.sample.conftest import build_model
from tests.sample.test_engine import PROMPTS

LIGHT = settings(deadline=None)
letters = st.text("ab", max_size=12)
stops = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


def cut_plainly(text: str, stop_texts: list[str]) -> tuple[str, str | None]:
    """Up to the stop that is complete first, the longest of those; by looking everywhere."""
    for end in range(len(text) + 1):
        found = [stop for stop in stop_texts if text[:end].endswith(stop)]
        if found:
            longest = max(found, key=len)
            return text[: end - len(longest)], longest
    return text, None


@LIGHT
@given(st.lists(letters, max_size=8), stops)
@example(["a", "a", "b"], ["ab"])
@example(["aab"], ["ab"])
@example(["a", "b", "a"], ["aba", "b"])
@example(["ab", "ab", "ac"], ["abac"])
def test_any_pieces_give_the_plain_cut(pieces, stop_texts):
    matcher = StopMatcher(stop_texts)
    came = [matcher.feed(piece) for piece in pieces]
    expected, found = cut_plainly("".join(pieces), stop_texts)
    assert matcher.found == found
    last = "" if found else matcher.finish()
    assert "".join(came) + last == expected


@LIGHT
@given(st.lists(letters, max_size=8), stops)
def test_never_more_than_is_sure_and_never_less(pieces, stop_texts):
    """What is out is right whatever comes; what is held back could begin a stop."""
    matcher, out = StopMatcher(stop_texts), ""
    for count in range(len(pieces)):
        out += matcher.feed(pieces[count])
        if matcher.found is not None:
            break
        text = "".join(pieces[: count + 1])
        held = text[len(out) :]
        assert text.startswith(out)
        assert not held or any(stop.startswith(held) for stop in stop_texts)
        endings = [stop[: len(stop) - cut] for stop in stop_texts for cut in range(1, len(stop))]
        longest = max([0, *(len(end) for end in endings if text.endswith(end))])
        assert len(held) == longest


@LIGHT
@given(st.text(max_size=30), st.data())
def test_characters_come_whole(text, data):
    encoded = text.encode("utf-8", "replace")
    cuts = data.draw(st.lists(st.integers(0, len(encoded)), max_size=6).map(sorted))
    stream = CharacterStream()
    pieces = [stream.feed(encoded[a:b]) for a, b in itertools.pairwise([0, *cuts, len(encoded)])]
    assert "".join(pieces) == encoded.decode("utf-8")


@LIGHT
@given(st.binary(max_size=30), st.lists(st.integers(0, 30), max_size=6).map(sorted))
@example(b"\xed\xa0", [])  # half of a surrogate: decoded at once, each byte is wrong by itself
def test_any_bytes_come_as_decoding_them_at_once(encoded, cuts):
    stream = CharacterStream()
    pieces = [stream.feed(encoded[a:b]) for a, b in itertools.pairwise([0, *cuts, len(encoded)])]
    whole, joined = encoded.decode("utf-8", "replace"), "".join(pieces)
    surrogate = encoded[-2:-1] == b"\xed" and 0xA0 <= encoded[-1] <= 0xBF
    assert joined in (whole, whole.removesuffix("\ufffd" * (1 + surrogate)))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_unfinished_character_is_left_out(count):
    stream = CharacterStream()
    assert stream.feed(b"duck " + "🦆".encode()[:count]) == "duck "
    assert stream.feed("🦆".encode()[count:]) == "🦆"


MIXED = (
    SamplingConfig(max_new_tokens=30, greedy=True),
    SamplingConfig(max_new_tokens=12, temperature=1.4, top_p=1.0, seed=3, stop=("e",)),
    SamplingConfig(max_new_tokens=60, top_k=9, repetition_penalty=1.3, no_repeat_ngram_size=2),
    SamplingConfig(max_new_tokens=25, min_p=0.1, min_new_tokens=20, repetition_penalty=1.3),
)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_requests_that_join_a_running_batch_are_written_as_alone(tokenizer, data):
    """Each row has its own settings; rows enter at any step, and some are cancelled."""
    model = build_model(tokenizer.vocab_size)
    running = Batch(as_source(model), tokenizer)
    waiting = [
        Row(
            n,
            tokenizer.encode_prompt(prompt),
            Window(48, tokenizer),
            data.draw(st.sampled_from(MIXED)),
            n % 3 or None,
        )
        for n, prompt in enumerate(data.draw(st.lists(st.sampled_from(PROMPTS), min_size=1)))
    ]
    rows, events = list(waiting), []
    while waiting or running.rows:
        entering = data.draw(st.integers(0 if running.rows else 1, 3))
        running.enter(waiting[:entering])
        del waiting[:entering]
        if running.rows and data.draw(st.integers(0, 30)) == 0:
            running.cancel(running.rows[0])
        if running.rows:
            events += running.step()
    for row in rows:
        mine = [event for event in events if event.row is row]
        assert "".join(event.text for event in mine) == row.text.text
        written = [token for event in mine for token in event.tokens]
        assert written == row.ids[row.prompt_length :]
        prompt = tokenizer.decode(row.ids[1 : row.prompt_length])
        [alone] = sample.generate(
            model, tokenizer, [prompt], 1, row.sampling, first_index=row.index
        )
        if row.finish_reason == "cancelled":
            assert alone.text.startswith(row.text.text)
        else:
            assert (alone.text, alone.tokens) == (row.text.text, len(written))
            assert alone.finish_reason == row.finish_reason


def test_scores_are_of_the_models_own_distribution(tokenizer):
    model = build_model(tokenizer.vocab_size)
    sampling = SamplingConfig(max_new_tokens=20, temperature=0.3, top_k=3, repetition_penalty=2.0)
    row = Row(0, tokenizer.encode_prompt("The goose"), Window(48, tokenizer), sampling, scores=4)
    running = Batch(as_source(model), tokenizer)
    running.enter([row])
    events = []
    while running.rows:
        events += running.step()
    scores = [score for event in events for score in event.scores]
    with torch.no_grad():
        logp_TV = model.logits(model(torch.tensor([row.ids])))[0].log_softmax(-1)
    assert [score.token for score in scores] == row.ids[row.prompt_length :]
    for at, score in enumerate(scores, row.prompt_length - 1):
        assert score.logprob == pytest.approx(float(logp_TV[at, score.token]), abs=1e-4)
        assert [token for token, _ in score.best] == logp_TV[at].topk(4).indices.tolist()


def test_a_row_without_a_next_token_ends_alone(tokenizer):
    model = build_model(tokenizer.vocab_size)
    impossible = SamplingConfig(max_new_tokens=400, no_repeat_ngram_size=1, min_new_tokens=400)
    window = Window(48, tokenizer)
    rows = [
        Row(0, [0], window, SamplingConfig(max_new_tokens=390, greedy=True, min_new_tokens=390)),
        Row(1, [0], window, impossible),
        Row(2, [0], window, impossible),
    ]
    running = Batch(as_source(model), tokenizer)
    running.enter(rows)
    while running.rows:
        running.step()
    assert [row.finish_reason for row in rows] == ["length", "error", "error"]
    assert [str(row.error)[:5] if row.error else None for row in rows] == [None, "Every", "Every"]
