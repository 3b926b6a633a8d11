"""CoQA's rules, against an independent statement of them and cases worked out by hand."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright.metrics import (
    Resampling,
    exact_match,
    normalise,
    score_answer,
    score_answers,
    word_f1,
)


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ("The  Goose.", "goose"),
        ("an apple, a day", "apple day"),
        ("Theatre", "theatre"),
        ("it's", "its"),
        ("well-known", "wellknown"),
        ("“quoted”", "“quoted”"),
        ("the", ""),
        ("", ""),
        ("a.b", "ab"),
        ("Yes\n", "yes"),
    ],
)
def test_answers_are_brought_to_one_form(answer, form):
    assert normalise(answer) == form


@pytest.mark.parametrize(
    ("answer", "reference", "exact", "f1"),
    [
        ("the goose", "Goose!", 1, 1),
        ("a white goose", "the goose", 0, 2 / 3),
        ("goose goose", "goose", 0, 2 / 3),
        ("tea", "coffee", 0, 0),
        ("", "", 1, 1),
        ("the", "a", 1, 1),
        ("", "tea", 0, 0),
        ("a cup of tea", "tea in a cup", 0, 2 / 3),
    ],
)
def test_hand_made_cases(answer, reference, exact, f1):
    assert exact_match(answer, reference) == exact
    assert word_f1(answer, reference) == pytest.approx(f1)


def test_several_references_leave_one_out_in_turn():
    # Without the first: best 0; without either of the others: best 1.
    assert score_answer("white", ["white", "black", "grey"]) == pytest.approx((2 / 3, 2 / 3))
    assert score_answer("white", ["white", "white"]) == (1, 1)
    assert score_answer("white", ["white"]) == (1, 1)
    assert score_answer("white", ["white", "black"]) == (0.5, 0.5)


def stated_otherwise(answer: str, references: list[str]) -> tuple[float, float]:
    """The same rules, written with lists and sets of positions instead of counters."""

    def words(text):
        kept = "".join(c for c in text.lower() if c not in string.punctuation)
        return [w for w in re.sub(r"\b(?:a|an|the)\b", " ", kept).split() if w]

    def f1(given, wanted):
        if not given or not wanted:
            return float(given == wanted)
        left, hits = list(wanted), 0
        for word in given:
            if word in left:
                left.remove(word)
                hits += 1
        return 2 * hits / (len(given) + len(wanted))

    given = words(answer)
    totals = [0.0, 0.0]
    count = len(references)
    for i in range(count):
        others = [r for j, r in enumerate(references) if j != i] if count > 1 else references
        totals[0] += max(float(" ".join(words(r)) == " ".join(given)) for r in others)
        totals[1] += max(f1(given, words(r)) for r in others)
    return totals[0] / count, totals[1] / count


ANSWERS = st.lists(
    st.sampled_from(["the", "A", "goose", "Goose,", "an", "tea!", "cup", "-", "of"]), max_size=5
).map(" ".join)


@given(ANSWERS, st.lists(ANSWERS, min_size=1, max_size=4))
def test_equal_to_an_independent_statement(answer, references):
    assert score_answer(answer, references) == pytest.approx(stated_otherwise(answer, references))


def test_figures_are_over_all_turns_and_drawn_by_passage():
    exact, f1 = score_answers(
        ["goose", "tea", "no"], ["the goose", "a cup of tea", "yes"], Resampling(documents="ppq")
    )
    assert exact.value == pytest.approx(100 / 3)
    assert f1.value == pytest.approx(100 * (1 + 0.5) / 3)
    assert exact.documents == 2
