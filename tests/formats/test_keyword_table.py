from __future__ import annotations

import collections
import csv
import re

import pytest

from penwright.config import KeywordsConfig, WorkConfig
from penwright.errors import DataError, UsageError
from penwright.formats import keyword_table
from penwright.formats.keyword_file import decode_file
from penwright.formats.keyword_table import write_in_order
from penwright.sections import Marks, parse

TITLES = [f"The {word} number {n} wrote ~@ home" for n in range(40) for word in ("goose", "owl")]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "titles.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["subreddit", "title", "tags"])
        rows.writerows(["Shower Thoughts", title, "Red Fox, blue,,red fox"] for title in TITLES)
        rows.writerow(["empty", "", ""])
    return path


def run(table, name="out.txt", **options):
    said = []
    options = {"extractor": "builtin", "title_field": "title"} | options
    out = table.with_name(name)
    done = keyword_table.encode([str(table)], out, KeywordsConfig(**options), said.append)
    return done, out, said


def test_every_row_comes_back_as_often_as_asked(table):
    done, out, said = run(table, category_field="subreddit", repeat=2)
    assert (done.rows, done.lines) == (80, 160)
    assert said == [
        "Keywords are the words between stop words.",
        "1 row was left out, without text.",
    ]
    found = list(decode_file(out, Marks(), said.append))
    assert collections.Counter(text["title"] for text in found) == dict.fromkeys(TITLES, 2)
    assert {text["category"] for text in found} == {"shower-thoughts"}
    lines = out.read_text().splitlines()
    shape = re.compile(
        r"<\|startoftext\|>~`shower-thoughts~\^[^~]*~@The .* ~\\@ home<\|endoftext\|>"
    )
    assert all(shape.fullmatch(line) for line in lines)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_file_is_the_same_whatever_the_number_of_processes(table, monkeypatch, workers):
    monkeypatch.setattr(keyword_table, "BATCH", 7)
    alone = run(table, "a.txt", work=WorkConfig(workers=0))[1].read_bytes()
    assert run(table, "b.txt", work=WorkConfig(workers=workers))[1].read_bytes() == alone
    assert run(table, "c.txt", work=WorkConfig(workers=0), seed=1)[1].read_bytes() != alone


def test_an_error_in_another_process_is_the_same_sentence(table, tmp_path):
    pytest.importorskip("spacy")
    with pytest.raises(DataError, match="cannot be loaded"):
        run(
            table, work=WorkConfig(workers=1), extractor="spacy", spacy_model=str(tmp_path / "none")
        )


def counts(out):
    return [len(parse(line)["keywords"].split()) for line in out.read_text().splitlines()]


def test_keywords_are_few_and_shuffled(table):
    _, out, _ = run(table, repeat=4, max_keywords=2)
    assert set(counts(out)) == {0, 1, 2}
    firsts = {tuple(parse(line)["keywords"].split()) for line in out.read_text().splitlines()}
    assert any(pair[::-1] in firsts for pair in firsts if len(pair) == 2 and pair[0] != pair[1])
    assert set(counts(run(table, max_keywords=0)[1])) == {0}


def test_dropout_leaves_keywords_out(table):
    plain = sum(counts(run(table, repeat=4)[1]))
    dropped = sum(counts(run(table, repeat=4, keyword_dropout=0.7)[1]))
    assert dropped < 0.8 * plain
    assert sum(counts(run(table, keyword_dropout=1.0)[1])) == 0


def test_keywords_of_ones_own(table):
    _, out, said = run(table, keywords_field="tags", max_keywords=9)
    words = {
        word for line in out.read_text().splitlines() for word in parse(line)["keywords"].split()
    }
    assert words == {"Red-Fox", "blue"}
    assert said[0] == "Keywords are those of column 'tags'."


def test_a_body_and_marks_of_ones_own(table):
    _, out, _ = run(
        table, title_field=None, body_field="title", start_token="<s>", end_token="</s>", repeat=1
    )
    found = list(decode_file(out, Marks("<s>", "</s>"), print))
    assert sorted(text["body"] for text in found) == sorted(TITLES)
    assert {tuple(text) for text in found} == {("keywords", "body")}


def test_the_order_is_a_shuffle_that_needs_no_memory(tmp_path):
    lines = [(n * 0x9E3779B97F4A7C15 % 2**64, f"line {n}\nmore\n") for n in range(500)]
    write_in_order(lines, tmp_path / "a")
    assert write_in_order(iter(lines), tmp_path / "b", room=300) == 500
    text = (tmp_path / "a").read_text()
    assert text == (tmp_path / "b").read_text() == "".join(line for _, line in sorted(lines))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_text_is_found_where_it_is_not_named(tmp_path):
    (tmp_path / "q.csv").write_text("What is it?\nWho was there, then?\n".replace(", ", " "))
    done, out, _ = run(tmp_path / "q.csv", title_field=None, repeat=1)
    assert done.rows == 2
    assert sorted(text["title"] for text in decode_file(out, Marks(), print)) == [
        "What is it?",
        "Who was there then?",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"title_field": "titel"}, "no column 'titel'"),
        ({"category_field": "x"}, r"no column 'x'\. Its columns are: subreddit, title, tags"),
        ({"keywords_from": "x"}, "no column 'x'"),
        ({"repeat": 0}, "at least one line"),
        ({"keyword_dropout": 2.0}, "from 0 to 1"),
        ({"start_token": ""}, "cannot mark"),
        ({"format": "text"}, "not a table"),
    ],
)
def test_what_cannot_be_is_one_sentence(table, options, message):
    with pytest.raises((DataError, UsageError), match=message):
        run(table, **options)


def test_the_lines_of_a_row_are_all_on_one_side_of_a_split(table):
    done, out, said = run(table, held_out=0.25, repeat=3)
    second = table.with_name("out.held-out.txt")
    assert done.held_out == second
    assert said.count("1 row was left out, without text.") == 1
    trained = collections.Counter(t["title"] for t in decode_file(out, Marks(), said.append))
    measured = collections.Counter(t["title"] for t in decode_file(second, Marks(), said.append))
    assert set(trained.values()) == {3}
    assert set(measured.values()) == {1}
    assert not trained.keys() & measured.keys()
    assert trained.keys() | measured.keys() == set(TITLES)
    assert 8 <= len(measured) <= 32
    assert (done.rows, done.lines) == (80, 3 * len(trained) + len(measured))
    assert run(table, "whole.txt")[0].held_out is None


def test_a_split_that_leaves_one_side_empty_is_refused(table):
    with pytest.raises(UsageError, match="held_out is a share"):
        run(table, held_out=1.0)
    with pytest.raises(DataError, match="too few rows"):
        run(table, held_out=1e-9)
