from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright.errors import DataError
from penwright.metrics import Resampling, find_keywords, score_diversity, score_keywords

QUICK = Resampling(resamples=20)


def figures(texts):
    return {figure.name: figure.value for figure in score_diversity(texts, QUICK)}


def test_a_loop_is_seen():
    found = figures(["I'm sorry. " * 20])
    assert found["repetition"] > 90
    assert found["distinct-1"] < 10


def test_hand_made():
    found = figures(["a b a b c", "d e f g"])
    assert found["distinct-1"] == pytest.approx(100 * (3 / 5 + 1) / 2)
    assert found["distinct-2"] == pytest.approx(100 * (3 / 4 + 1) / 2)
    assert found["distinct-3"] == pytest.approx(100)
    assert found["repetition"] == 0
    assert found["shared"] == 0


def test_texts_that_are_alike_share():
    assert figures(["the goose sat down", "the goose sat down!"])["shared"] == 100
    assert figures(["one two three four five", "two three four five six"])["shared"] == 50


def test_too_short_is_left_out():
    assert figures(["tea", "a cup of hot tea"])["distinct-2"] == 100
    assert figures(["tea"])["distinct-2"] is None


@given(st.lists(st.text("ab c", max_size=30), min_size=1, max_size=6))
def test_shares_are_shares(texts):
    assert all(value is None or 0 <= value <= 100 for value in figures(texts).values())


TEXT = "My little Clementine's always staring straight into my soul; two well-known cities stopped."


@pytest.mark.parametrize(
    "keyword",
    ["soul", "Soul", "my-soul", "stare", "clementine", "city", "stop", "well-known", "well_known",
     "little Clementine", "straight", "..."],
)  # fmt: skip
def test_found(keyword):
    assert find_keywords(TEXT, [keyword]) == [True]


@pytest.mark.parametrize("keyword", ["cat", "sou", "ways", "soul-my", "into soul", "stair", "it"])
def test_not_found(keyword):
    assert find_keywords(TEXT, [keyword]) == [False]


def test_shares():
    every, found = score_keywords(
        ["tea and cake", "tea", "nothing asked", "cake"],
        [["tea", "cake"], ["tea", "cake"], [], ["goose"]],
    )
    assert every.value == pytest.approx(100 / 3)
    assert found.value == pytest.approx(100 * (1 + 0.5 + 0) / 3)


def test_no_keywords_at_all_is_no_figure():
    every, _ = score_keywords(["a", "b"], [[], []])
    assert every.value is None


def test_texts_and_keywords_must_pair():
    with pytest.raises(DataError, match="2 texts but keywords for 1"):
        score_keywords(["a", "b"], [["a"]])
