"""Numbers, durations and sizes are written and read the same everywhere."""

from __future__ import annotations

import pytest

from penwright.errors import UsageError
from penwright.wording import amount, count, data_size, duration, large, parse_size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.42, "0.4 s"),
        (9.96, "10 s"),
        (42, "42 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7384, "2 h 03 min"),
        (172_790, "2 d 0 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_figures():
    assert [amount(x) for x in (81.23, 31.4, 5.321, 1239.6, 0.04567)] == [
        "81.2",
        "31.4",
        "5.32",
        "1,240",
        "0.0457",
    ]
    assert [large(x) for x in (6_967_808, 124e6, 1.5577e9, 307_200)] == [
        "6.97 million",
        "124 million",
        "1.56 billion",
        "307,200",
    ]
    assert (data_size(812.3e6), data_size(1434e6)) == ("812 MB", "1.4 GB")


def test_nouns_and_verbs_agree_with_their_number():
    assert (count(1, "token"), count(61_402, "token")) == ("1 token", "61,402 tokens")
    assert (count(0, "row"), count(5)) == ("0 rows", "5")
    assert [count(1, "row", verb) for verb in ("has", "is", "was", "lies")] == [
        "1 row has",
        "1 row is",
        "1 row was",
        "1 row lies",
    ]
    assert [count(2, "row", verb) for verb in ("has", "is", "was", "lies")] == [
        "2 rows have",
        "2 rows are",
        "2 rows were",
        "2 rows lie",
    ]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8e9),
        (".5 mb", 5e5),
        ("6.5g", 6.5e9),
        ("1048576", 1048576),
        ("2GiB", 2e9),
        ("1.5 mb", 1.5e6),
    ],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "8", "much", "8 gigs", "1.2.3GB", "-4GB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="8GB"):
        parse_size(text)
