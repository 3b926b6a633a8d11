from __future__ import annotations

import inspect

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


def test_texts_are_decoded():
    assert decode_texts(TEXT) == ["My little Clementine"]
    assert decode_texts([TEXT, "nothing"], ["category", "body"]) == [("cats", "A body\nof lines")]
    assert decode_texts("<|startoftext|>~@broken off") == ["broken off"]
    with pytest.raises(UsageError, match="no section 'titel'"):
        decode_texts(TEXT, ["titel"])


def test_the_pattern_has_a_group_for_each_section_in_the_order_of_a_line():
    pattern = build_pattern(["title", "category"], "<|startoftext|>", "<|endoftext|>")
    found = pattern.match(TEXT)
    assert found is not None
    assert found.groups() == ("cats", "My little Clementine")
    assert build_pattern(["body"]).match(TEXT)[1] == "A body\nof lines"
    assert build_pattern(["title"]).match("<|startoftext|>~`a<|endoftext|>") is None


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
