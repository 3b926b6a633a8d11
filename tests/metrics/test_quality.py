from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.errors import DataError
from penwright.metrics import Resampling, difference, make_figure, mean, mean_of, score_quality
from penwright.metrics.quality import has_loop, self_bleu

QUICK = Resampling(resamples=20)
WORDS = st.lists(st.sampled_from(["a", "b", "goose", "tea", "rain"]), max_size=24)
TEXTS = st.lists(WORDS, min_size=1, max_size=6)


def figures(texts):
    return {figure.name: figure.value for figure in score_quality(texts, QUICK)}


@settings(max_examples=60)
@given(TEXTS)
def test_self_bleu_is_sacrebleus(texts):
    sacrebleu = pytest.importorskip("sacrebleu")
    found = self_bleu(texts)
    for number, (text, score) in enumerate(zip(texts, found, strict=True)):
        others = [" ".join(other) for n, other in enumerate(texts) if n != number]
        if len(text) < 4 or not others:
            assert score is None
            continue
        wanted = sacrebleu.sentence_bleu(" ".join(text), others, tokenize="none")
        assert score == pytest.approx(wanted.score, abs=1e-9)


@settings(max_examples=60)
@given(TEXTS)
def test_distinct_n_and_repetition_are_those_of_brute_force(texts):
    nltk = pytest.importorskip("nltk")
    found = figures([" ".join(text) for text in texts])
    for n in (1, 2, 3):
        shares = [len(set(grams)) / len(grams) for t in texts if (grams := list(nltk.ngrams(t, n)))]
        wanted = pytest.approx(100 * np.mean(shares)) if shares else None
        assert found[f"distinct-{n}"] == wanted
    repeated = []
    for text in texts:
        counts = Counter(nltk.ngrams(text, 4))
        if counts:
            repeated.append(sum(count - 1 for count in counts.values()) / counts.total())
    assert found["repetition"] == (pytest.approx(100 * np.mean(repeated)) if repeated else None)
    assert found["words"] == pytest.approx(np.mean([len(text) for text in texts]))
    assert found["vocabulary"] == pytest.approx(np.mean([len(set(text)) for text in texts]))


@settings(max_examples=100)
@given(st.text("ab", max_size=40))
def test_a_loop_is_what_a_regular_expression_finds(letters):
    wanted = any(
        len(found[0]) >= 8
        for period in range(1, 14)
        for found in re.finditer(rf"(?=((.{{{period}}})\2\2+))", letters)
        for found in [(found[1] + _partial(letters, found.start(), len(found[1]), period),)]
    )
    assert has_loop(list(letters)) == wanted


def _partial(letters: str, start: int, length: int, period: int) -> str:
    """The letters after a repeated passage that begin its next repetition."""
    end = start + length
    more = 0
    while end + more < len(letters) and letters[end + more] == letters[end + more - period]:
        more += 1
    return letters[end : end + more]


def test_loops_are_told_from_emphasis():
    assert has_loop(["he", "said", "I", "am", "sorry", "I", "am", "sorry", "I", "am", "sorry"])
    assert not has_loop(["it", "was", "very", "very", "very", "good", "to", "see", "you"])
    assert has_loop(["no"] * 8)


def test_one_text_has_no_self_bleu():
    assert figures(["a goose went to tea"])["self-BLEU"] is None
    with pytest.raises(DataError, match="no text"):
        score_quality([])


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), min_size=2, max_size=30))
def test_a_difference_of_figures_is_the_interval_of_paired_differences(pairs):
    sides = zip(*pairs, strict=True)
    first, second = (make_figure("x", mean_of(list(side)), mean, Resampling()) for side in sides)
    apart = make_figure("x", mean_of([a - b for a, b in pairs]), mean, Resampling())
    found = difference(first, second)
    for name in ("value", "low", "high"):
        assert getattr(found, name) == pytest.approx(getattr(apart, name), abs=1e-9)


def test_intervals_of_differences_cover():
    """Over random signs of the same differences, 95 % intervals hold zero about 95 times of 100."""
    generator = np.random.default_rng(1)
    # Losses of documents, as two models have them: skewed, and of documents of all lengths.
    lengths = generator.integers(20, 400, 60).astype(float)
    sizes = lengths * generator.gamma(2.0, 0.02, 60)
    zeros = make_figure("x", np.stack([lengths * 0, lengths], axis=1), mean, Resampling())
    hits = 0
    for trial in range(200):
        signs = generator.choice([-1.0, 1.0], 60)
        losses = make_figure("x", np.stack([sizes * signs, lengths], axis=1), mean, Resampling())
        found = difference(losses, zeros, Resampling(seed=trial))
        hits += found.low <= 0 <= found.high
    assert 180 <= hits <= 198


def test_figures_of_other_documents_have_no_difference():
    first, second = (make_figure("x", mean_of([1.0] * n), mean, QUICK) for n in (2, 3))
    with pytest.raises(DataError, match="same documents"):
        difference(first, second)
