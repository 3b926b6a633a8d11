from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright.errors import DataError
from penwright.verbs.votes import Ballot, WinRate

TEXTS = [{"prompt": f"Once {n}", "texts": [f" a{n}", f" b{n}"]} for n in range(20)]


def test_votes_are_counted_whichever_side_a_text_stood_on(tmp_path):
    ballot = Ballot(tmp_path / "votes.jsonl", ("a", "b"), TEXTS)
    pairs = ballot.waiting()
    assert {pair.left_model for pair in pairs} == {"a", "b"}  # chance chose the sides
    assert [pair.prompt for pair in pairs] != [item["prompt"] for item in TEXTS]
    for pair in pairs[:12]:
        assert pair.left.strip().startswith(pair.left_model)
        ballot.vote(pair.key, "left" if pair.left_model == "a" else "right")
    ballot.vote(pairs[12].key, "tie")
    (found,) = ballot.tally()
    assert (found.first, found.wins, found.losses, found.ties) == ("a", 12, 0, 1)
    assert found.settled
    again = Ballot(tmp_path / "votes.jsonl", ("a", "b"), TEXTS)
    assert again.tally() == [found]
    assert again.waiting() == pairs[13:]


def test_votes_on_texts_that_changed_do_not_count(tmp_path):
    ballot = Ballot(tmp_path / "votes.jsonl", ("a", "b"), TEXTS)
    ballot.vote(ballot.waiting()[0].key, "left")
    others = [item | {"texts": [" c", " d"]} for item in TEXTS]
    (found,) = Ballot(tmp_path / "votes.jsonl", ("a", "b"), others).tally()
    assert (found.rate, found.interval, found.votes_to_settle) == (None, (0.0, 1.0), None)
    with pytest.raises(DataError, match="not in this comparison"):
        ballot.vote("nosuch", "left")
    (tmp_path / "votes.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match=r"votes.jsonl:1 is no vote"):
        Ballot(tmp_path / "votes.jsonl", ("a", "b"), TEXTS)


def test_equal_texts_are_no_pair_and_three_models_make_three(tmp_path):
    texts = [{"prompt": "Once", "texts": [" a", " b", " a "]}]
    ballot = Ballot(tmp_path / "v", ("x", "y", "z"), texts)
    assert len(ballot.pairs) == 2
    assert len(ballot.tally()) == 3


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_interval_is_wilsons(wins, losses):
    stats = pytest.importorskip("scipy.stats")
    found = WinRate("a", "b", wins, losses, 0)
    if not wins + losses:
        return
    wanted = stats.binomtest(wins, wins + losses).proportion_ci(method="wilson")
    assert found.interval == pytest.approx((wanted.low, wanted.high), abs=1e-6)


@given(st.integers(1, 40), st.integers(0, 40))
def test_so_many_more_votes_like_these_settle_it(wins, losses):
    now = WinRate("a", "b", wins, losses, 0)
    more = now.votes_to_settle
    if wins == losses:
        assert more is None
        assert "equally good" in str(now)
        return
    total = now.wins + now.losses + more
    scaled = WinRate("a", "b", total * wins, total * losses, 0)  # the same rate
    assert scaled.settled or total * (wins + losses) < total
    assert (more == 0) == now.settled
