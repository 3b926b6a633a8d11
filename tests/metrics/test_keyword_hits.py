from __future__ import annotations

import pytest

from penwright.errors import DataError
from penwright.metrics import find_keywords, score_keywords

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
