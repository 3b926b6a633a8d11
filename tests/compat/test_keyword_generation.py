from __future__ import annotations

import inspect
import re

import pytest

from penwright.compat.keyword_generation import (
    build_pattern,
    decode_file,
    decode_texts,
    encode_keywords,
)
from penwright.errors import UsageError

TEXT = "<|startoftext|>~`cats~^my-soul soul~@My little Clementine~}A body\nof lines<|endoftext|>"


def test_parameters_and_defaults_are_the_originals():
    found = inspect.signature(encode_keywords).parameters
    defaults = {name: parameter.default for name, parameter in found.items()}
    assert defaults == {
        "csv_path": inspect.Parameter.empty,
        "model": "en_core_web_sm",
        "category_field": None,
        "keywords_field": None,
        "title_field": None,
        "body_field": None,
        "keyword_gen": "title",
        "keyword_sep": ",",
        "dropout": 0.5,
        "repeat": 3,
        "max_keywords": 3,
        "keyword_length_max": 20,
        "out_path": "csv_encoded.txt",
        "start_token": "<|startoftext|>",
        "end_token": "<|endoftext|>",
    }
    assert list(inspect.signature(decode_texts).parameters) == [
        "texts",
        "sections",
        "start_token",
        "end_token",
    ]
    assert list(inspect.signature(decode_file).parameters) == [
        "file_path",
        "out_file",
        "doc_delim",
        "sections",
        "start_token",
        "end_token",
    ]


@pytest.mark.parity("gpt-2-keyword-generation: decode_texts")
def test_texts_are_decoded():
    assert decode_texts(TEXT) == ["My little Clementine"]
    assert decode_texts([TEXT, "nothing"], ["category", "body"]) == [("cats", "A body\nof lines")]
    assert decode_texts("<|startoftext|>~@broken off") == ["broken off"]
    with pytest.raises(UsageError, match="no section 'titel'"):
        decode_texts(TEXT, ["titel"])


@pytest.mark.parity("gpt-2-keyword-generation: build_pattern")
def test_the_pattern_has_a_group_for_each_section_in_the_order_of_a_line():
    pattern = build_pattern(["title", "category"], "<|startoftext|>", "<|endoftext|>")
    found = pattern.match(TEXT)
    assert found is not None
    assert found.groups() == ("cats", "My little Clementine")
    assert build_pattern(["body"]).match(TEXT)[1] == "A body\nof lines"
    assert build_pattern(["title"]).match("<|startoftext|>~`a<|endoftext|>") is None


@pytest.mark.parity(
    "gpt-2-keyword-generation: decode_file", "gpt-2-keyword-generation: encode_keywords csv_path"
)
def test_a_file_there_and_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    titles = [f"The goose number {n} ~@ home" for n in range(9)]
    rows = ["subreddit,title", *(f"Birds,{title}" for title in titles)]
    (tmp_path / "titles.csv").write_text("\n".join(rows))
    encode_keywords("titles.csv", category_field="subreddit", title_field="title", repeat=1)
    decode_file("csv_encoded.txt")
    decoded = (tmp_path / "texts_decoded.txt").read_text()
    assert sorted(decoded.split("\n" + "=" * 20 + "\n")[:-1]) == titles
    decode_file("csv_encoded.txt", "both.txt", doc_delim="--\n", sections=["category", "title"])
    assert (tmp_path / "both.txt").read_text().startswith("birds\nThe goose")
    with pytest.raises(UsageError, match="replace its source"):
        decode_file("csv_encoded.txt", "csv_encoded.txt")


@pytest.fixture
def encode(tmp_path, monkeypatch):
    """`encode(repeat=1, ...)`: the lines that come of a table of birds, with no chance in them."""
    monkeypatch.chdir(tmp_path)
    rows = [
        f"Big Birds,A heron number {n} flew over the harbour,Somebody saw a silver boat,red fox|sea"
        for n in range(9)
    ]
    (tmp_path / "birds.csv").write_text("\n".join(["subreddit,title,text,tags", *rows]))

    def call(**options):
        settings = {"title_field": "title", "dropout": 0.0, "repeat": 9, "max_keywords": 9}
        encode_keywords("birds.csv", **settings | options)
        return (tmp_path / options.get("out_path", "csv_encoded.txt")).read_text().splitlines()

    return call


def keywords_in(lines):
    return {word for line in lines for word in re.search(r"~\^([^~]*)~@", line)[1].split()}


@pytest.mark.parity(
    "gpt-2-keyword-generation: encode_keywords title_field",
    "gpt-2-keyword-generation: encode_keywords body_field",
    "gpt-2-keyword-generation: encode_keywords category_field",
)
def test_the_fields_become_sections(encode):
    lines = encode(category_field="subreddit", body_field="text")
    shape = r"<\|startoftext\|>~`big-birds~\^[^~]*~@A heron number \d flew over the harbour"
    shape += r"~}Somebody saw a silver boat<\|endoftext\|>"
    assert all(re.fullmatch(shape, line) for line in lines)
    plain = encode(title_field="text")
    assert all(re.search(r">~\^[^~]*~@Somebody saw a silver boat<", line) for line in plain)


@pytest.mark.parity(
    "gpt-2-keyword-generation: encode_keywords keywords_field",
    "gpt-2-keyword-generation: encode_keywords keyword_sep",
)
def test_keywords_of_ones_own_are_set_apart_by_keyword_sep(encode):
    assert keywords_in(encode(keywords_field="tags", keyword_sep="|")) == {"red-fox", "sea"}
    assert len(keywords_in(encode(keywords_field="tags"))) == 1


@pytest.mark.parity("gpt-2-keyword-generation: encode_keywords keyword_gen")
def test_keyword_gen_is_the_column_that_keywords_are_found_in(encode):
    assert {"silver", "boat"} <= keywords_in(encode(keyword_gen="text"))
    assert {"heron", "harbour"} <= keywords_in(encode())
    assert not {"silver", "boat"} & keywords_in(encode())


@pytest.mark.parity("gpt-2-keyword-generation: encode_keywords dropout")
def test_dropout_leaves_each_keyword_out_with_that_chance(encode):
    assert keywords_in(encode(dropout=1.0)) == set()
    assert keywords_in(encode(dropout=0.0))


@pytest.mark.parity(
    "gpt-2-keyword-generation: encode_keywords repeat",
    "gpt-2-keyword-generation: encode_keywords max_keywords",
)
def test_repeat_lines_a_row_and_at_most_max_keywords_in_each(encode):
    assert len(encode(repeat=2)) == 18
    counts = {len(re.search(r"~\^([^~]*)~", line)[1].split()) for line in encode(max_keywords=2)}
    assert counts == {0, 1, 2}


@pytest.mark.parity("gpt-2-keyword-generation: encode_keywords keyword_length_max")
def test_groups_of_words_are_shorter_than_keyword_length_max(encode):
    grouped = {word for word in keywords_in(encode()) if "-" in word}
    assert grouped
    assert not {w for w in keywords_in(encode(keyword_length_max=5)) if "-" in w}


@pytest.mark.parity(
    "gpt-2-keyword-generation: encode_keywords out_path",
    "gpt-2-keyword-generation: encode_keywords start_token",
    "gpt-2-keyword-generation: encode_keywords end_token",
)
def test_out_path_and_the_tokens_around_a_text(encode, tmp_path):
    lines = encode(out_path="other.txt", start_token="<s>", end_token="</s>")
    assert all(line.startswith("<s>~^") and line.endswith("</s>") for line in lines)
    assert not (tmp_path / "csv_encoded.txt").exists()


@pytest.mark.parity("gpt-2-keyword-generation: encode_keywords model")
def test_a_model_that_is_not_there_is_replaced_and_said(encode, capsys):
    pytest.importorskip("yake", reason="needs yake")
    assert encode(model="en_core_web_none")
    assert "Keywords are found by YAKE" in capsys.readouterr().err
