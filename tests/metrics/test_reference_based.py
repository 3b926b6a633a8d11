"""ROUGE, BLEU and chrF against the reference packages."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

pytest.importorskip("rouge_score", reason="needs rouge-score")
pytest.importorskip("sacrebleu", reason="needs sacrebleu")

from rouge_score import rouge_scorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from penwright.errors import DataError, MissingExtraError
from penwright.metrics import Resampling, score_bleu, score_chrf, score_rouge, score_verbatim
from penwright.metrics.reference_based import bleu_of

WORDS = st.lists(
    st.sampled_from(
        [
            "the",
            "goose",
            "a",
            "council,",
            "ran.",
            "running",
            "tea",
            "with",
            "Tea",
            "!",
            "é",
            "茶",
            "don't",
        ]
    ),
    max_size=12,
).map(" ".join)
PAIRS = st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=3)), min_size=1, max_size=8)
QUICK = Resampling(resamples=20)


def padded(references):
    """References as sacrebleu takes them: a stream for the first, the second, ... of each text."""
    most = max(map(len, references))
    return [[r[i] if i < len(r) else None for r in references] for i in range(most)]


@given(PAIRS)
def test_bleu_is_sacrebleus(pairs):
    texts, references = [p[0] for p in pairs], [p[1] for p in pairs]
    expected = BLEU().corpus_score(texts, padded(references)).score
    assert score_bleu(texts, references, QUICK).value == pytest.approx(expected, abs=1e-9)


@given(PAIRS)
@example([("", ["the"]), ("council,", ["! don't", "ran."])])  # two references equally near
def test_chrf_is_sacrebleus(pairs):
    texts, references = [p[0] for p in pairs], [p[1] for p in pairs]
    expected = CHRF().corpus_score(texts, padded(references)).score
    assert score_chrf(texts, references, QUICK).value == pytest.approx(expected, abs=1e-9)


@given(PAIRS)
def test_rouge_is_rouge_scores_mean_of_documents(pairs):
    texts, references = [p[0] for p in pairs], [p[1] for p in pairs]
    scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    for figure, kind in zip(
        score_rouge(texts, references, QUICK), ("rouge1", "rouge2", "rougeL"), strict=True
    ):
        best = [
            max(scorer.score(one, text)[kind].fmeasure for one in wanted)
            for text, wanted in zip(texts, references, strict=True)
        ]
        assert figure.value == pytest.approx(100 * np.mean(best))


def test_rouge_stems_words():
    rouge1, rouge2, _ = score_rouge(["the goose was running"], ["the geese run"])
    assert rouge1.value == pytest.approx(100 * 4 / 7)
    assert rouge2.value == 0


@given(st.lists(st.integers(0, 9), min_size=8, max_size=8), st.integers(0, 40), st.integers(1, 40))
def test_many_bleus_at_once_are_the_reference_for_each(numbers, length, wanted):
    ngrams = sorted(numbers[:4], reverse=True)
    matches = [min(a, b) for a, b in zip(sorted(numbers[4:], reverse=True), ngrams, strict=True)]
    expected = BLEU.compute_bleu(matches, ngrams, length, wanted, smooth_method="exp").score
    row = np.array([[length, wanted, *matches, *ngrams]], dtype=float)
    if length == 0 and any(matches):
        return  # matches without words cannot be
    assert bleu_of(row.repeat(3, axis=0)) == pytest.approx([expected] * 3, abs=1e-9)


def test_one_reference_may_be_a_plain_string():
    assert score_chrf(["tea"], ["tea"]).value == pytest.approx(100)
    assert score_bleu(["a cup of hot tea"], ["a cup of hot tea"]).value == pytest.approx(100)


def test_texts_and_references_must_pair():
    with pytest.raises(DataError, match="2 texts but references for 1"):
        score_bleu(["a", "b"], ["a"])
    with pytest.raises(DataError, match="Text 2 has no reference"):
        score_rouge(["a", "b"], ["a", []])


@pytest.mark.parametrize(
    ("package", "score"), [("rouge_score", score_rouge), ("sacrebleu", score_bleu)]
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, package, score):
    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"penwright\[eval\]"):
        score(["a"], ["a"])


def test_verbatim_is_the_share_that_begins_with_the_reference_to_the_letter():
    texts = [" seven fantasy novels", "seven fantasy novels and more", "Seven fantasy novels", ""]
    found = score_verbatim(texts, [" seven fantasy novels"] * 4)
    assert (found.name, found.value, found.documents) == ("verbatim", 50.0, 4)
    assert found.low <= 50 <= found.high
    assert score_verbatim(["b"], [["a", "b"]]).value == 100
    with pytest.raises(DataError, match="references for 1"):
        score_verbatim(["a", "b"], ["a"])
