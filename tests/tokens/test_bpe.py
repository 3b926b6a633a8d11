"""Text to ids and back: equal to tiktoken and to tokenizers for any text, markers, long runs."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penwright.errors import DataError, TokenizerError, UsageError
from penwright.tokens import Tokenizer, text_splitter, word_table
from penwright.tokens.text_encoder import FEW
from tests.tokens.conftest import SCALARS, TEXTS


def by_table(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Ids by the table of words, which short texts do not reach otherwise."""
    ids, lengths = tokenizer.encoder.table.encode(texts)
    return [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])]


def by_engine(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Ids by the tokenizers library alone."""
    return [e.ids for e in tokenizer.encoder.engine.encode_batch(texts, add_special_tokens=False)]


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, max_size=6))
def test_ids_equal_tiktokens_and_text_comes_back(gpt2, peer, texts):
    expected = [peer.encode_ordinary(text) for text in texts]
    assert [ids.tolist() for ids in gpt2.encode_batch(texts)] == expected
    if texts:
        assert by_table(gpt2, texts) == expected
    assert [gpt2.decode(ids) for ids in expected] == texts


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(TEXTS)
def test_ids_equal_tiktokens_in_ten_thousand_cases(gpt2, peer, text):
    expected = peer.encode_ordinary(text)
    assert gpt2.encode(text) == expected == by_table(gpt2, [text])[0]
    assert gpt2.decode(expected) == text


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_other_vocabularies_are_encoded_as_the_library_does(small, texts):
    expected = by_engine(small, texts)
    assert by_table(small, texts) == expected == [ids.tolist() for ids in small.encode_batch(texts)]
    assert [small.decode(ids) for ids in expected] == texts


def test_known_ids(gpt2):
    assert gpt2.encode("Harry Potter is a series of") == [18308, 14179, 318, 257, 2168, 286]
    assert gpt2.encode(" seven fantasy novels") == [3598, 8842, 16122]
    assert gpt2.encode("") == []
    assert gpt2.encode_batch([]) == []


def test_batches_are_the_texts_one_by_one(gpt2):
    texts = ["", "It's", " 'squid'll", "a\n\n", " b" * FEW, "", "日本語 \u3000é", ""]
    batch = gpt2.encode_batch(texts)
    assert [ids.tolist() for ids in batch] == [gpt2.encode(text) for text in texts]
    assert all(ids.dtype == np.uint32 for ids in batch)


def test_markers_are_text_unless_named(gpt2):
    ours = gpt2.with_added(["<sep>", "<sep><sep>"])
    text = "a<sep>b<|endoftext|>"
    assert ours.encode(text) == gpt2.encode(text)
    assert gpt2.eot_id not in gpt2.encode(text)
    a, b = gpt2.encode("a"), gpt2.encode("b")
    sep = ours.marker_id("<sep>")
    assert ours.encode(text, markers=["<sep>", "<|endoftext|>"]) == [*a, sep, *b, ours.eot_id]
    both = ours.encode("<sep><sep>a<sep>", markers=["<sep>", "<sep><sep>"])
    assert both == [ours.marker_id("<sep><sep>"), *a, sep]
    assert ours.decode(ours.encode(text, markers=ours.added)) == text
    with pytest.raises(TokenizerError, match="no marker '<x>'"):
        ours.encode("a", markers=["<x>"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", " b", "<m>", "\n", "c'"]), max_size=6), max_size=5))
def test_markers_stand_where_they_stood(small, parts):
    ours = small.with_added(["<m>"])
    marker = ours.marker_id("<m>")
    for ids, text in zip(
        ours.encode_batch(["".join(p) for p in parts], markers=["<m>"]), parts, strict=True
    ):
        between = re.split("(<m>)", "".join(text))
        expected = [[marker] if p == "<m>" else small.encode(p) for p in between]
        assert ids.tolist() == [id_ for part in expected for id_ in part]


def test_bytes_that_are_not_text_are_replaced(gpt2):
    two = gpt2.encode("é😀")
    assert gpt2.decode(two[:-1]).startswith("é\ufffd")
    assert b"".join(gpt2.token_bytes(id_) for id_ in two) == "é😀".encode()
    assert gpt2.decode([gpt2.eot_id]) == "<|endoftext|>"
    with pytest.raises(TokenizerError, match="50257 or more"):
        gpt2.decode([50257])


@pytest.mark.parametrize("length", [1, 3 * FEW, 3 * text_splitter.CHUNK])
def test_half_a_surrogate_pair_is_refused(gpt2, length):
    text = "x" * length + "\ud83d"
    with pytest.raises(DataError, match=r"half of a surrogate pair \(U\+D83D\)") as caught:
        gpt2.encode_batch(["fine", text])
    assert f"Character {length + 1:,} " in caught.value.message


@pytest.mark.parametrize(
    "unit", ["^", "a", "=", " ", "\n", "0", "日", "\u3000", "a^", "'s", "\r\n"]
)
def test_long_runs_are_encoded_as_in_one_go(gpt2, monkeypatch, unit):
    monkeypatch.setattr(text_splitter, "CHUNK", 300)
    monkeypatch.setattr(text_splitter, "WINDOW", 200)
    monkeypatch.setattr(text_splitter, "RUN_WINDOW", 64)
    monkeypatch.setattr("penwright.tokens.text_encoder.RUN_WINDOW", 64)
    monkeypatch.setattr("penwright.tokens.text_encoder.CHUNK", 300)
    monkeypatch.setattr("penwright.tokens.bpe.CHUNK", 300)
    for text in (unit * 900, "well " + unit * 900 + " done", unit * 700 + "x y" + unit * 500):
        assert gpt2.encode(text) == by_engine(gpt2, [text])[0]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.integers(1, 60)), max_size=6))
@example([("000000 \xa0000000000\r", 4), ("0", 22)])
def test_cutting_never_shows(gpt2, parts):
    text = "".join(part * times for part, times in parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_splitter, "CHUNK", 20)
        patch.setattr(text_splitter, "WINDOW", 12)
        patch.setattr("penwright.tokens.text_encoder.CHUNK", 20)
        patch.setattr("penwright.tokens.bpe.CHUNK", 20)
        cut = gpt2.encode(text)
    assert cut == by_engine(gpt2, [text])[0]


def test_a_million_characters_without_white_space(gpt2):
    text = "^" * 1_000_000
    ids = gpt2.encode(text)
    assert set(ids) == set(gpt2.encode("^" * 4))
    assert gpt2.decode(ids) == text


def test_the_table_forgets_before_it_grows_too_large(small, monkeypatch):
    monkeypatch.setattr(word_table, "_MOST_WORDS", 40)
    words = [f" w{n}x" for n in range(500)]
    fresh = Tokenizer(small.vocabulary)
    for first in range(0, 500, 50):
        some = words[first : first + 50] * 2
        assert by_table(fresh, some) == by_engine(small, some)
        assert len(fresh.encoder.table) <= 90


def test_words_beyond_the_tables_room_are_encoded_all_the_same(small, monkeypatch):
    monkeypatch.setattr(word_table, "_SLOTS", 64)
    words = [f" w{n}x" for n in range(500)]
    fresh = Tokenizer(small.vocabulary)
    for _ in range(2):
        assert by_table(fresh, words) == by_engine(small, words)
        assert len(fresh.encoder.table) == 48


def test_words_are_told_apart_by_all_their_bytes(gpt2):
    stem = "!" * 7
    texts = [stem + end for end in ("", "\x00", "\x00\x00", "?", "?\x00", "?" * 8, "?" * 9)]
    assert by_table(gpt2, texts * 2) == by_engine(gpt2, texts * 2)


def test_the_sizes_of_tokens_add_up_to_the_text(gpt2):
    text = "A small world — 1999, é, 日本語 😀\n\n"
    assert gpt2.token_sizes[gpt2.encode(text)].sum() == len(text.encode())
    assert gpt2.token_sizes[gpt2.eot_id] == 0


def test_training_merges_what_is_frequent():
    made = Tokenizer.train(iter(["lower lowest slower " * 50, "low " * 50]), 300)
    assert made.eot_id == 0
    assert made.vocab_size <= 300
    assert len(made.encode(" low")) == 1
    assert made.decode(made.encode("lower é\x00")) == "lower é\x00"
    assert "Ġlow" in made.vocabulary.ids
    again = Tokenizer.train(iter(["lower lowest slower " * 50, "low " * 50]), 300)
    assert again.hash == made.hash


def test_training_takes_long_texts_and_refuses_small_vocabularies():
    text = "some words without an end " * 20_000
    assert len(Tokenizer.train([text], 280).encode(" without an")) == 2
    with pytest.raises(UsageError, match="at least 257"):
        Tokenizer.train(["a"], 256)


@settings(max_examples=50, deadline=None)
@given(SCALARS)
def test_the_ends_of_words_are_the_librarys(gpt2, text):
    words = gpt2.encoder.engine.pre_tokenizer.pre_tokenize_str(text)
    assert gpt2.word_ends(text).tolist() == [end for _, (_, end) in words]
