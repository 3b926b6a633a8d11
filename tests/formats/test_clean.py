from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig, WorkConfig
from penwright.document import Document, Source, Span
from penwright.errors import DataError, UsageError
from penwright.formats import Tally
from penwright.formats.clean_steps import (
    CONTROL,
    NEWLINES,
    TAGS,
    break_lines,
    detokenize,
    join_spaces,
    squeeze,
    strip_control,
    strip_news,
    strip_tags,
    undo_entities,
)
from penwright.formats.cleaning import clean
from penwright.formats.selection import parse_condition

from .conftest import Read


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("I ca n't , wo n't !", "I can't, won't!"),
        ("do n't you 're he 'll we 've I 'm Ann 's", "don't you're he'll we've I'm Ann's"),
        ("I ' m , they ' ve , Ann ' s , do n ' t", "I'm, they've, Ann's, don't"),
        ("`` Go ! '' he said .", '"Go!" he said.'),
        ("Wait ... what ?", "Wait... what?"),
        ("a .5 caliber : yes ; no", "a .5 caliber: yes; no"),
        ("nice :) and :-( too", "nice :) and :-( too"),
        ("-LRB- so -RRB- it goes", "(so) it goes"),
        ("gon na can not got ta", "gonna cannot gotta"),
        ("one \n \n two .", "one \n \n two."),
        ("the dogs ' bowl", "the dogs ' bowl"),
        ("he said 's' once", "he said 's' once"),
        ("It 's 5 , 000 .", "It's 5, 000."),
    ],
)
def test_detokenize(before: str, after: str) -> None:
    assert detokenize(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[ WP ] Why not ? <sep> No !", "[ WP ] Why not? <sep> No!"),
        ("I ca n't , he 's , we 'll : they 've ; I 'm .", "I can't, he's, we'll: they've; I'm."),
        ("I ' m , they ' ve , Ann ' s", "I'm, they've, Ann's"),
        ("one . \n \n Two ; three ...", "one. \n \n Two; three..."),
        ("he said 'so' , and 's'", "he said 'so', and 's'"),
        ("`` Go '' -LRB- so -RRB- can not", "`` Go '' -LRB- so -RRB- can not"),
    ],
)
def test_spaces_alone_are_joined_as_the_notebook_does_it(before: str, after: str) -> None:
    assert join_spaces(before) == after


WORDS = ["he", "ca", "n't", ".", ",", "!", "``", "''", "'s", "'", "m", "(", ")", "x", ".5"]


@given(words=st.lists(st.sampled_from(WORDS)))
def test_detokenize_takes_and_gives_only_what_it_says(words: list[str]) -> None:
    before = " ".join(words)
    after = detokenize(before)
    # Only spaces go; PTB's quotes become plain ones.
    plain = re.sub(r"``|''", '"', before)
    assert after.replace(" ", "") == plain.replace(" ", "")
    assert detokenize(after) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(CNN) -- It rained.", "It rained."),
        ("LONDON, England (CNN) -- It (CNN) rained.", "It (CNN) rained."),
        ("(CNN)It rained.", "It rained."),
        (
            "By . Daily Mail Reporter . PUBLISHED: . 12:30 EST, 15 October 2012 . | . "
            "UPDATED: . 01:32 EST, 16 October 2012 . It rained.",
            "It rained.",
        ),
        ("By\n\nAnn Smith\n\nIt rained.", "It rained."),
        ("It rained.\n\nScroll down for video\n\nIt dried.", "It rained.\n\nIt dried."),
        ("By the time it rained, we left.", "By the time it rained, we left."),
        ("It was published: twice.", "It was published: twice."),
    ],
)
def test_news(before: str, after: str) -> None:
    assert strip_news(before) == after


@given(
    st.lists(
        st.sampled_from(
            [
                *("<p>", "</p>", "<br/>", '<a href="x">', "</a>", "\\n", "<newline>", "\x00"),
                *("\x1b", "one ", "a < b", "\t", "\n", "<q>", "x>y"),
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_what_the_doctor_finds_is_gone_and_all_else_stays(text: str) -> None:
    for step, pattern in ((strip_tags, TAGS), (break_lines, NEWLINES), (strip_control, CONTROL)):
        cleaned = step(text)
        assert not pattern.search(step(cleaned))
        kept = pattern.sub("", text).replace("\n", "")
        assert cleaned.replace("\n", "") == kept


def test_tags_end_lines_where_they_did() -> None:
    assert strip_tags("<p>One</p><p>Two <b>bold</b><br>three</p>") == "One\nTwo bold\nthree\n"
    assert break_lines("a\\nb<newline>c<br />d") == "a\nb\nc\nd"


def test_entities_and_white_space() -> None:
    assert undo_entities("a &amp;amp; b &lt;c&gt; &#233; &") == "a & b <c> é &"
    assert squeeze("a\t\tb  c \n\n\n\nd") == "a b c\n\nd"


@given(text=st.text(st.sampled_from("ab \t\n\u00a0")))
def test_white_space_settles(text: str) -> None:
    once = squeeze(text)
    assert squeeze(once) == once
    assert once.split() == text.split()


@pytest.mark.skipif(importlib.util.find_spec("ftfy") is None, reason="ftfy is not installed")
def test_mojibake(tmp_path: Path, read: Read, warnings: list[str]) -> None:
    path = tmp_path / "t.txt"
    path.write_text("cafÃ© “quoted”\n<|endoftext|>plain", encoding="utf-8")
    assert [d.text for d in read(path, clean=("mojibake",))] == ["café “quoted”", "plain"]
    assert warnings == ["Cleaning: mojibake changed 1 document."]


@pytest.mark.skipif(importlib.util.find_spec("py3langid") is None, reason="not installed")
def test_language(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.txt"
    path.write_text(
        "The weather is nice today.\nDas Wetter ist heute wirklich schön.\nOk\n", "utf-8"
    )
    found = read(path, documents="line", language="en")
    assert [d.text for d in found] == ["The weather is nice today.", "Ok"]
    with pytest.raises(UsageError, match="There is no language 'english'"):
        read(path, language="english")


ROWS = "subreddit,title,score\ncats,a cat,3\ndogs,a dog,9\ncats,Cat 2,7\ncats,cat 3,7\nnews,x,\n"


@pytest.fixture
def titles(tmp_path: Path) -> Path:
    path = tmp_path / "titles.csv"
    path.write_text(ROWS)
    return path


def test_categories(titles: Path, read: Read, warnings: list[str]) -> None:
    assert [d.text for d in read(titles, drop_category=("Cats", "news"))] == ["a dog"]
    assert warnings == ["Cleaning: drop-category left out 4 documents."]
    kept = read(titles, per_category=1, order_by="score")
    assert [d.text for d in kept] == ["a dog", "Cat 2", "x"]
    assert [d.text for d in read(titles, per_category=2)] == ["a cat", "a dog", "Cat 2", "x"]
    with pytest.raises(DataError, match="no column 'points' to order by"):
        read(titles, per_category=1, order_by="points")
    with pytest.raises(DataError, match="has no category"):
        read(titles, per_category=1, category_column="kind")
    with pytest.raises(UsageError, match="--order-by needs --per-category"):
        read(titles, order_by="score")


def test_categories_that_are_not_there(titles: Path, read: Read, warnings: list[str]) -> None:
    assert len(read(titles, drop_category=("Cats", "catz"))) == 2
    assert warnings == [
        "No document is of the category 'catz', which was to be dropped.",
        "Cleaning: drop-category left out 3 documents.",
    ]
    with pytest.raises(DataError, match="no column 'kind' of categories"):
        read(titles, drop_category=("cats",), category_column="kind")
    plain = titles.with_name("plain.txt")
    plain.write_text("cats")
    with pytest.raises(DataError, match=r"No document has a category to drop\. Name the col"):
        read(plain, drop_category=("cats",))
    assert len(read(titles, plain, drop_category=("cats",))) == 3


def test_a_category_that_is_learned_too(titles: Path, read: Read) -> None:
    template = {"template": "{subreddit}: {title}", "learn": ("all",)}
    kept = read(titles, drop_category=("cats",), where=("score<=9", "title!=x"), **template)
    assert [d.text for d in kept] == ["dogs: a dog"]


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ("score>=7", ["a dog", "Cat 2", "cat 3"]),
        ("score > 7.0", ["a dog"]),
        ("score<7", ["a cat"]),
        ("score=7", ["Cat 2", "cat 3"]),
        ("score!=7", ["a cat", "a dog", "x"]),
        ("score = ", ["x"]),
        ("subreddit==cats", ["a cat", "Cat 2", "cat 3"]),
        ("subreddit>=dogs", ["a dog", "x"]),
    ],
)
def test_where(titles: Path, read: Read, warnings: list[str], where: str, kept: list[str]) -> None:
    assert [d.text for d in read(titles, where=(where,))] == kept
    assert warnings[0].startswith("Cleaning: where left out ")


def test_conditions_that_cannot_be(titles: Path, read: Read) -> None:
    with pytest.raises(UsageError, match=r"--where 'score' compares nothing\. Write it as"):
        read(titles, where=("score",))
    with pytest.raises(DataError, match=r"no column 'points' to choose by\. `penwright inspect`"):
        read(titles, where=("points>1",))


NUMBERS = st.floats(allow_nan=False) | st.integers(-(2**53), 2**53)


@given(given=NUMBERS, wanted=NUMBERS)
def test_numbers_are_compared_as_numbers(given: float, wanted: float) -> None:
    for sign, holds in (("<", given < wanted), (">=", given >= wanted), ("=", given == wanted)):
        column, compare = parse_condition(f"n{sign}{wanted!r}")
        assert (column, compare(repr(given))) == ("n", holds)


def test_duplicates_after_cleaning(tmp_path: Path, read: Read, warnings: list[str]) -> None:
    path = tmp_path / "t.txt"
    path.write_text("a  b\na b\nc\na b\n")
    kept = read(path, documents="line", drop_duplicates=True, clean=("whitespace",))
    assert [d.text for d in kept] == ["a b", "c"]
    assert warnings == [
        "Cleaning: whitespace changed 1 document, drop-duplicates left out 2 documents."
    ]


@pytest.mark.skipif(not importlib.util.find_spec("rensa"), reason="rensa is not installed")
def test_near_duplicates(tmp_path: Path, read: Read, warnings: list[str]) -> None:
    path = tmp_path / "t.txt"
    fox = "the quick brown fox jumps over the lazy dog while all of the others look on"
    lines = [
        fox,
        "short and short",
        fox + " there",
        "short and short",
        fox,
        f"{fox} in the rain",
        "",
    ]
    path.write_text("\n".join(lines))
    assert [d.text for d in read(path, documents="line", drop_near=0.7)] == [
        fox, "short and short", "short and short",
    ]  # fmt: skip
    assert warnings == ["Cleaning: drop-near left out 3 documents."]
    assert len(read(path, documents="line", drop_near=1.0)) == 5
    with pytest.raises(UsageError, match="above 0 and at most 1"):
        read(path, drop_near=0.0)


def test_blocklist(titles: Path, tmp_path: Path, read: Read, warnings: list[str]) -> None:
    words = tmp_path / "words.list"
    words.write_text("# unwanted\nCat\na  dog\n")
    assert [d.text for d in read(titles, blocklist=str(words))] == ["x"]
    masked = read(titles, blocklist=str(words), blocklist_masks=True)
    assert [d.text for d in masked] == ["a ***", "* ***", "*** 2", "*** 3", "x"]
    assert warnings == [
        "Cleaning: blocklist left out 4 documents.",
        "Cleaning: blocklist changed 4 documents.",
    ]
    words.write_text("#\n")
    with pytest.raises(DataError, match="has no words in it"):
        read(titles, blocklist=str(words))


def test_a_document_in_pieces_is_judged_once() -> None:
    source = Source("x")
    pieces = [
        Document((Span("a  b"),), source, {"category": "cats"}, more=True),
        Document((Span(" c  d"),), source, {"category": "cats"}),
        Document((Span("e"),), source, {"category": "dogs"}),
    ]
    tally = Tally()
    data = DataConfig(clean=("whitespace",), per_category=1)
    found = list(clean(lambda _: iter(pieces), data, print, tally, WorkConfig()))
    assert [d.text for d in found] == ["a b", " c d", "e"]
    assert tally.as_json() == {"changed": {"whitespace": 1}, "dropped": {}}
    tally = Tally()
    data = DataConfig(drop_category=("cats",))
    assert [d.text for d in clean(lambda _: iter(pieces), data, print, tally, WorkConfig())] == [
        "e"
    ]
    assert tally.as_json()["dropped"] == {"drop-category": 1}


@pytest.mark.parametrize("name", ["max_words", "max_tokens", "per_category"])
def test_numbers_that_keep_nothing(titles: Path, read: Read, name: str) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} must be 1 or more, not 0"):
        read(titles, **{name: 0})


def test_unknown_steps(titles: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'detokenize'"):
        list(formats.read([titles], DataConfig(clean=("detokenise",)), print))


def test_who_cleans_does_not_matter(monkeypatch) -> None:
    """The same documents and counts from this process and from others, whatever the batches."""
    texts = ["Cats &amp; dogs , they ca n't .", "cats &amp; dogs , they ca n't .", "plain", "  "]
    documents = [
        Document(
            (Span(f"{n} ", False), Span(texts[n % 4])), Source("x", n), {"category": f"{n % 3}"}
        )
        for n in range(60)
    ]
    documents[20:20] = [
        Document((Span("a  piece of"),), Source("x"), {"category": "0"}, more=True),
        Document((Span("  a text &lt;"),), Source("x"), {"category": "0"}),
    ]
    data = DataConfig(clean=("entities", "whitespace", "detokenize"), drop_category=("2",))
    told: list[str] = []
    found = []
    for workers, size in ((0, 1 << 16), (2, 100), (1, 1)):
        monkeypatch.setattr(sys.modules["penwright.formats.cleaning"], "_BATCH", size)
        tally = Tally()
        work = WorkConfig(workers=workers)
        cleaned = list(clean(lambda _: iter(documents), data, told.append, tally, work))
        found.append((cleaned, tally.as_json()))
    assert found[0] == found[1] == found[2]
    assert found[0][1]["dropped"] == {"drop-category": 20, "emptied by cleaning": 10}
