"""Drafts change nothing but the speed: any guess, right or wrong, leads to the plain text."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright import sample
from penwright.config import SamplingConfig
from penwright.index.suffix_index import SuffixIndex
from penwright.model.cache import count_common
from penwright.native import MOST_GUESSES, Choice, Corpus, Guessed, GuessPlan
from penwright.sample.batch import Batch, Row
from penwright.sample.decoder import as_source
from penwright.sample.drafts import CorpusFinder, Draft, Drafter, Kind, TextFinder
from penwright.sample.guessing import Guessing
from penwright.sample.logits import gumbel
from penwright.sample.window import Window
from tests.index.conftest import ArrayStore
from tests.native.conftest import LIBRARIES, every_variant, needs_library, pack
from tests.sample.conftest import build_model
from tests.sample.test_engine import SETTINGS

KIND = Kind("text", 3)
HOW = [pytest.param(as_source, id="torch"), pytest.param(pack, id="native", marks=needs_library)]


class Guesser(Drafter):
    """Proposes parts of the text that is to come, with mistakes."""

    def __init__(self, coming: list[int], chance: st.DataObject, vocabulary: int) -> None:
        super().__init__()
        self.coming, self.chance, self.vocabulary = coming, chance, vocabulary

    def propose(self, _text, ids, room):
        length = self.chance.draw(st.integers(0, min(room, 6)))
        tokens = self.coming[len(ids) :][:length]
        if tokens and self.chance.draw(st.booleans()):
            tokens[-1] = self.chance.draw(st.integers(0, self.vocabulary - 1))
        return Draft(KIND, tokens) if tokens else None

    @property
    def plain_steps(self):
        return self.chance.draw(st.integers(1, 4))


def write(source, tokenizer, sampling, drafter=None, scores=None):
    window = Window.of(40, tokenizer, sampling)
    row = Row(3, tokenizer.encode_prompt("The goose"), window, sampling, scores)
    batch, events = Batch(source, tokenizer, drafter), []
    if not row.finish_reason:
        batch.enter([row])
    while batch.rows:
        events += batch.step()
    return row, events


@pytest.mark.parametrize("how", HOW)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_drafts_give_the_plain_text(tokenizer, how, data):
    source = how(build_model(tokenizer.vocab_size, n_positions=40))
    sampling = data.draw(st.sampled_from(list(SETTINGS.values())))
    scores = data.draw(st.sampled_from([None, 2]))
    plain, told = write(source, tokenizer, sampling, scores=scores)
    guesser = Guesser(plain.ids, data, tokenizer.vocab_size)
    row, events = write(source, tokenizer, sampling, guesser, scores)
    assert (row.ids, row.finish_reason) == (plain.ids, plain.finish_reason)
    assert "".join(event.text for event in events) == "".join(event.text for event in told)
    assert [t for event in events for t in event.tokens] == plain.ids[plain.prompt_length :]
    ours = [score for event in events for score in event.scores]
    for mine, theirs in zip(ours, [s for event in told for s in event.scores], strict=True):
        assert mine.token == theirs.token
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)


@pytest.mark.parametrize("how", HOW)
def test_draws_have_the_models_distribution(how):
    """200,000 draws of the second token, with the right first one as a draft."""
    model = build_model(8, n_positions=8, std=0.5)
    source = how(model)
    with torch.no_grad():
        expected_V = model.logits(model(torch.tensor([[0, 5]])))[0, -1].double().softmax(-1)
    keys = np.random.default_rng(0).integers(0, 2**63, 200_000, np.uint64)
    decoder = source.decoder()
    decoder.enter([[0]])
    logits_NV = decoder.feed([[5]], every=True)
    if how is pack:
        counts_V = np.zeros(8)
        decoder.truncate([1])
        decoder.enter([[0]] * 1999, [0] * 1999)
        for some in keys.reshape(100, 2000):
            choices = [
                Choice(key=int(key), step=1, temperature=1.0, top_p=1.0, limit=1, last=5)
                for key in some
            ]
            written = [text[0] for text in decoder.write(choices, (), 8)]
            counts_V += np.bincount(written, minlength=8)
            decoder.truncate([1] * 2000)
    else:
        from penwright.sample.logits import Chooser
        from penwright.tokens import Tokenizer

        chooser = Chooser(SamplingConfig(temperature=1.0, top_p=1.0), Tokenizer.gpt2())
        steps = np.ones(len(keys), np.int64)
        drawn = chooser.choose(logits_NV.expand(len(keys), -1), keys, steps)
        counts_V = np.bincount(drawn, minlength=8)
    expected_V = expected_V.numpy() * len(keys)
    assert ((counts_V - expected_V) ** 2 / expected_V).sum() < 24.3  # 7 degrees, p = 0.001


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3), max_size=30), st.integers(1, 6))
def test_the_text_is_searched_for_its_own_end(ids, most):
    finder = TextFinder()
    draft = None
    for end in range(len(ids) + 1):
        draft = finder.find(ids[:end], most)
    places = [at for at in range(3, len(ids)) if ids[at - 3 : at] == ids[-3:]]
    if not places:
        assert draft is None
        return
    expected = list(ids)
    for _ in range(most):  # what follows the last such place, over the end of the text
        expected.append(expected[places[-1] + len(expected) - len(ids)])
    assert draft.tokens == expected[len(ids) :]


@settings(max_examples=40)
@given(st.data())
def test_the_training_text_is_searched_for_the_end_of_the_text(tmp_path_factory, data):
    token = st.integers(0, 4)
    corpus = data.draw(st.lists(token, min_size=8, max_size=60))
    store = ArrayStore([corpus], 5)
    folder = tmp_path_factory.mktemp("index") / "index"
    index = SuffixIndex.build(store, store.ranges, folder)
    finder = CorpusFinder(index)
    ids = data.draw(st.lists(token, min_size=3, max_size=20))
    for end in range(3, len(ids) + 1):
        draft = finder.find(ids[:end], 5)
        text = ids[:end]
        followed = [at for at in range(3, len(corpus)) if corpus[at - 3 : at] == text[-3:]]
        if draft is None:
            assert not followed
        else:
            assert any(corpus[at : at + len(draft.tokens)] == draft.tokens for at in followed)


def test_it_stops_where_it_does_not_pay_and_goes_on_where_it_does():
    drafter, looks, ids = Drafter(), 0, [0, 1, 2, 3, 4, 1, 2, 3]
    text = object()
    written = 0
    while written < 4000:
        draft = drafter.propose(text, ids, 100)
        if draft is None:
            steps = drafter.plain_steps
            drafter.note(None, [0] * steps, 1.0 * steps)
        else:
            looks, steps = looks + 1, 1
            drafter.note(draft, [99], 1.0 + 0.3 * len(draft.tokens))
        written += steps
    assert 0 < looks < 60
    for _ in range(60):
        draft = drafter.propose(text, ids, 100)
        if draft is None:
            drafter.note(None, [0] * drafter.plain_steps, 1.0 * drafter.plain_steps)
        else:
            chosen = [*draft.tokens, 7]
            drafter.note(draft, chosen, 1.0 + 0.05 * len(draft.tokens))
    assert len(drafter.propose(text, ids, 100).tokens) > 5
    assert drafter.accepted > 100


def test_generate_with_drafts(model, tokenizer):
    sampling = SamplingConfig(max_new_tokens=120, min_new_tokens=120, greedy=True)
    plain = sample.generate(model, tokenizer, ["The goose"], 2, sampling, batch_size=1)
    drafter = Drafter()
    assert plain == sample.generate(
        model, tokenizer, ["The goose"], 2, sampling, batch_size=1, drafter=drafter
    )
    assert drafter.drafted >= drafter.accepted > 0
    assert count_common([1, 2, 3], [1, 2, 4]) == 2


@needs_library
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_guesses_give_the_plain_text(tmp_path_factory, tokenizer, data):
    """Guesses from texts that share nothing with the model, or everything."""
    source = pack(build_model(tokenizer.vocab_size, n_positions=40))
    sampling = data.draw(st.sampled_from(list(SETTINGS.values())))
    plain, told = write(source, tokenizer, sampling)
    token = st.integers(0, tokenizer.vocab_size - 1)
    texts = [data.draw(st.lists(token, min_size=1, max_size=40)), plain.ids, plain.ids[3:]]
    corpus = corpus_of(tmp_path_factory, texts, tokenizer.vocab_size)
    drafter = Drafter()
    drafter.guess_corpus = corpus
    drafter.guessing.choose = lambda: data.draw(st.integers(0, MOST_GUESSES))
    row, events = write(source, tokenizer, sampling, drafter)
    assert (row.ids, row.finish_reason) == (plain.ids, plain.finish_reason)
    assert "".join(event.text for event in events) == "".join(event.text for event in told)
    assert 0 <= drafter.accepted <= drafter.drafted


def corpus_of(tmp_path_factory, texts, vocabulary: int, block_tokens: int = 20) -> Corpus:
    """Index texts in blocks."""
    store = ArrayStore(texts, vocabulary)
    folder = tmp_path_factory.mktemp("index") / "index"
    index = SuffixIndex.build(store, store.ranges, folder, block_tokens=block_tokens)
    return Corpus([(block.suffixes, block.line) for block in index.blocks], vocabulary)


def guess_plainly(
    texts, ids, recent_V, sampling, key: int, step: int
) -> tuple[list[int], list[float]]:
    """Every token that may follow `ids`, and its score: n-gram model, last steps and noise."""
    often: dict[int, float] = {}
    rest = 1.0
    for n in (2, 1):
        follow = Counter(
            text[at + n]
            for text in texts
            for at in range(len(text) - n)
            if text[at : at + n] == ids[-n:]
        )
        if len(ids) >= n and follow:
            share = rest / (follow.total() + 4 * len(follow))
            for token, count in follow.items():
                often[token] = often.get(token, 0.0) + share * count
            rest = share * 4 * len(follow)
    repeated = {token for before, token in pairwise(ids) if before == ids[-1]}
    every = Counter(token for text in [*texts, range(6)] for token in text)
    tokens = sorted({*often, *repeated})
    shares = np.array([every[token] / every.total() for token in tokens])
    values = np.array([often.get(token, 0.0) for token in tokens]) + rest * shares
    temperature = 1.0 if sampling.greedy else sampling.temperature
    bonus = 0.85 * np.array([token in repeated for token in tokens])
    scores = (1.3 * np.log(values) - 0.2 * np.log(shares) + bonus) / temperature
    scores = scores + 0.35 * recent_V[np.array(tokens, dtype=np.int64)]
    if not sampling.greedy:
        keys = np.full(len(tokens), key, np.uint64)
        scores = scores + gumbel(keys, np.full(len(tokens), step), np.array(tokens, np.int64))
    return tokens, scores.tolist()


@every_variant
@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_guess_is_that_of_the_n_gram_model(tmp_path_factory, variant, data):
    token = st.integers(0, data.draw(st.integers(1, 5)))
    if data.draw(st.booleans()):
        block_tokens, n_texts, text = 20, 5, st.lists(token, max_size=19)
    else:  # one block that takes several rounds to search
        block_tokens, n_texts, text = 200, 1, st.lists(token, min_size=60, max_size=120)
    texts = data.draw(st.lists(text, min_size=1, max_size=n_texts))
    texts = [text for text in texts if text] or [[1]]
    ids = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=8))
    sampling = data.draw(
        st.builds(SamplingConfig, temperature=st.sampled_from([0.5, 1.0]), greedy=st.booleans())
    )
    key, step = data.draw(st.integers(0, 2**63)), data.draw(st.integers(0, 100))
    corpus = corpus_of(tmp_path_factory, texts, 6, block_tokens)
    choice = Choice(
        key=key, step=step, temperature=sampling.temperature, greedy=sampling.greedy, top_p=1.0
    )
    recent = data.draw(st.lists(st.floats(-3, 3, width=32), min_size=6, max_size=6))
    corpus.recent_V[:6] = recent
    guess = corpus.guess(LIBRARIES[variant], ids, choice)
    tokens, scores = guess_plainly(texts, ids, corpus.recent_V, sampling, key, step)
    if not tokens:
        assert guess is None
        return
    best = max(scores)
    assert guess in [t for t, score in zip(tokens, scores, strict=True) if score > best - 1e-4]


@every_variant
@pytest.mark.parametrize("length", [1, 3])
def test_guesses_know_the_scores_of_the_last_steps(tmp_path_factory, variant, length):
    model = build_model(40, n_positions=64)
    decoder = pack(model, variant=variant).decoder()
    corpus = corpus_of(tmp_path_factory, [list(range(40))], 40)
    decoder.enter([[1, 2]])
    choice = Choice(key=5, temperature=0.7, top_p=1.0, limit=20, last=3, min_new=1)
    ids, _ = decoder.write_guessing(choice, [0], 40, GuessPlan(corpus, length, 20))
    logits_TV = model.logits(model(torch.tensor([[1, 2, 3, *ids[:-1]]])))[0, 2:].detach().numpy()
    expected_V = np.zeros(40)
    for step, logits_V in enumerate(logits_TV):
        mean_V = (expected_V + logits_V / 0.7) / 2
        mean_V[:1] = mean_V[:1] if step else expected_V[:1]  # an end cannot be chosen at first
        expected_V = mean_V
    np.testing.assert_allclose(corpus.recent_V[:40], expected_V, atol=1e-4)


def test_as_many_tokens_are_guessed_as_pay():
    def learn(guessing: Guessing, rate: float, more: float) -> list[int]:
        lengths = []
        for number in range(600):
            length = guessing.choose()
            right = next((n for n in range(length) if (number + n) % 100 >= 100 * rate), length)
            went = Guessed(1, length, right, int(right < length))
            guessing.note(length, went, 1 + more * length)
            lengths.append(length)
        return lengths[300:]

    guessing = Guessing()
    assert np.mean(learn(guessing, 0.05, 0.2)) < 0.1
    assert np.mean(learn(guessing, 0.95, 0.05)) > 6
    assert np.mean(learn(Guessing(), 1.0, 1.5)) < 0.3


def test_a_machine_that_became_slow_or_fast_is_measured_again():
    def write(guessing: Guessing, more: float, plain: float) -> float:
        """Return the mean length of the last of 400 calls; a third of the guesses are right."""
        lengths = []
        for number in range(400):
            length = guessing.choose()
            right = next((n for n in range(length) if (number + n) % 2), length)
            went = Guessed(1, length, right, int(right < length))
            guessing.note(length, went, plain * (1 + more * length))
            lengths.append(length)
        return float(np.mean(lengths[300:]))

    guessing = Guessing()
    for _ in range(2):
        assert write(guessing, 0.05, 1.0) > 1.5
        assert write(guessing, 0.9, 5.0) < 0.1
        assert write(guessing, 0.2, 0.1) > 0.5
