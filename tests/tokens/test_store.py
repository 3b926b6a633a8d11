"""Stores: what goes in comes out, across shards; damaged and foreign ones are named."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from penwright.errors import DataError, TokenizerError
from penwright.tokens import Store, Tokenizer, prepare
from penwright.tokens.vocabulary import Vocabulary
from tests.tokens.conftest import DOCUMENTS, document


def expected(documents, tokenizer) -> tuple[list[int], list[bool], list[int]]:
    """The line of tokens, the mask and the offsets, made in the plainest way."""
    tokens, learn, offsets = [], [], [0]
    for doc in documents:
        tokens.append(tokenizer.eot_id)
        learn.append(False)
        for span in doc.spans:
            ids = tokenizer.encode(span.text)
            tokens += ids
            learn += [span.learn] * len(ids)
        tokens.append(tokenizer.eot_id)
        learn.append(True)
        offsets.append(len(tokens))
    return tokens, learn, offsets


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, st.integers(1, 40))
def test_a_store_holds_what_was_prepared(small, tmp_path_factory, documents, shard_tokens):
    folder = tmp_path_factory.mktemp("s") / "store"
    store = prepare(documents, small, folder, shard_tokens=shard_tokens)
    tokens, learn, offsets = expected(documents, small)
    assert store.tokens(0, store.n_tokens).tolist() == tokens
    assert store.learn(0, store.n_tokens).tolist() == learn
    assert store.offsets.tolist() == offsets
    assert store.n_documents == len(documents)
    assert store.n_learned == sum(learn) == store.learned.sum()
    learned_text = "".join(doc.learned for doc in documents)
    assert store.n_bytes == len(learned_text.encode()) == store.bytes.sum()
    assert len(list(folder.glob("shard-*"))) == -(-len(tokens) // shard_tokens)
    store.verify()


@pytest.mark.parametrize("shard_tokens", [7, 64, 1 << 20])
def test_any_stretch_and_any_places_can_be_read(make_store, shard_tokens):
    store = make_store(
        [document(("ab ", False), "cd é " * n) for n in range(1, 12)], shard_tokens=shard_tokens
    )
    tokens = store.tokens(0, store.n_tokens)
    learn = store.learn(0, store.n_tokens)
    for a in range(0, store.n_tokens + 1, 5):
        for b in range(a, store.n_tokens + 1, 7):
            assert np.array_equal(store.tokens(a, b), tokens[a:b])
            assert np.array_equal(store.learn(a, b), learn[a:b])
    places = np.random.default_rng(0).integers(0, store.n_tokens, (5, 40))
    assert np.array_equal(store.take(places), tokens[places])
    assert np.array_equal(store.take_learn(places), learn[places])
    with pytest.raises(IndexError):
        store.tokens(0, store.n_tokens + 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(DOCUMENTS, min_size=1, max_size=3), st.integers(1, 40))
def test_stores_that_are_joined_are_one(small, tmp_path_factory, sets, shard_tokens):
    folder = tmp_path_factory.mktemp("s")
    whole = prepare([d for documents in sets for d in documents], small, folder / "whole")
    joined = Store.join(
        [
            prepare(documents, small, folder / str(n), shard_tokens=shard_tokens)
            for n, documents in enumerate(sets)
        ]
    )
    for name in ("n_tokens", "n_documents", "n_learned", "n_bytes"):
        assert getattr(joined, name) == getattr(whole, name)
    for name in ("offsets", "learned", "bytes", "groups", "token_sizes"):
        assert np.array_equal(getattr(joined, name), getattr(whole, name))
    places = np.random.default_rng(0).integers(0, whole.n_tokens, (3, 20))
    for name in ("take", "take_learn"):
        assert np.array_equal(getattr(joined, name)(places), getattr(whole, name)(places))
    for a in range(0, whole.n_tokens + 1, 5):
        assert np.array_equal(joined.tokens(a, whole.n_tokens), whole.tokens(a, whole.n_tokens))
        assert np.array_equal(joined.learn(0, a), whole.learn(0, a))


def test_only_stores_of_one_tokenizer_are_joined(gpt2, make_store):
    with pytest.raises(TokenizerError, match="two tokenizers"):
        Store.join([make_store([document("a")]), make_store([document("a")], gpt2)])


def test_the_exact_tokens_and_mask_of_a_pair(gpt2, make_store):
    """A golden: the record of the tests of old, learned after its prompt."""
    store = make_store(
        [document(("Harry Potter is a series of", False), " seven fantasy novels")], gpt2
    )
    assert store.tokens(0, 11).tolist() == [
        *(50256, 18308, 14179, 318, 257, 2168, 286),
        *(3598, 8842, 16122, 50256),
    ]
    assert store.learn(0, 11).tolist() == [False] * 7 + [True] * 4
    assert (store.n_tokens, store.n_learned, store.n_bytes) == (11, 4, 21)
    assert store.tokens(0, 1).dtype == np.uint16
    header = {key: store.header[key] for key in ("format", "version", "documents", "tokens")}
    assert header == {
        "format": "penwright token store",
        "version": 3,
        "documents": 1,
        "tokens": 11,
    }
    assert store.header["tokenizer"]["hash"] == gpt2.hash


def test_safetensors_reads_the_shards(make_store):
    store = make_store([document("one two three"), document("four")])
    shard = load_file(store.folder / "shard-00000.safetensors")
    assert shard["tokens"].dtype == np.uint16
    assert np.array_equal(shard["tokens"], store.tokens(0, store.n_tokens))
    assert shard["ends"].tolist() == store.offsets[1:].tolist()
    assert [shard[name].dtype for name in ("ends", "learned", "bytes")] == [np.int64] * 3
    bits = np.unpackbits(shard["learn"], bitorder="little")[: store.n_tokens]
    assert np.array_equal(bits.astype(bool), store.learn(0, store.n_tokens))


def test_large_vocabularies_take_four_bytes(small, make_store):
    words = small.vocabulary
    far = Tokenizer(
        Vocabulary({**words.ids, "ab": 70_000}, (*words.merges, ("a", "b")), words.markers)
    )
    store = make_store([document("ab")], far)
    assert store.tokens(0, 3).tolist() == [0, 70_000, 0]
    assert store.tokens(0, 3).dtype == np.uint32


def test_markers_and_meta_are_kept(small, make_store):
    ours = small.with_added(["<sep>"])
    store = make_store([document("a<sep>b")], ours, markers=["<sep>"], meta={"files": ["x.txt"]})
    assert ours.marker_id("<sep>") in store.tokens(0, store.n_tokens)
    assert store.n_bytes == 2
    assert store.header["meta"] == {"files": ["x.txt"]}
    assert store.header["markers"] == ["<sep>"]


def test_another_tokenizer_is_refused(small, gpt2, make_store):
    store = make_store([document("a")])
    assert Store.open(store.folder, small.hash).n_tokens == 3
    with pytest.raises(TokenizerError, match="another tokenizer"):
        Store.open(store.folder, gpt2.hash)


@pytest.fixture
def store(make_store):
    return make_store([document("some words " * 20)], shard_tokens=32)


def test_a_changed_byte_is_found_when_its_shard_is_read(store):
    path = store.folder / "shard-00001.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    opened = Store.open(store.folder)
    assert len(opened.tokens(0, 32)) == 32
    for read in (lambda: opened.tokens(30, 40), opened.verify):
        with pytest.raises(DataError, match=r"shard-00001\.safetensors is damaged"):
            read()


@pytest.mark.parametrize("size", [0, 5, 100])
def test_a_cut_off_shard_is_named(store, size):
    path = store.folder / "shard-00001.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataError, match=r"shard-00001\.safetensors is damaged"):
        Store.open(store.folder)


@pytest.mark.parametrize("content", [b"\xff" * 4000, b"\x10" + bytes(7) + b"{" * 16 + bytes(4000)])
def test_a_shard_of_another_kind_is_named(store, content):
    path = store.folder / "shard-00000.safetensors"
    path.write_bytes(content[: path.stat().st_size].ljust(path.stat().st_size, b"\0"))
    with pytest.raises(DataError, match=r"shard-00000\.safetensors is damaged"):
        Store.open(store.folder)


def test_a_missing_shard_is_named(store):
    (store.folder / "shard-00001.safetensors").unlink()
    with pytest.raises(DataError, match=r"shard-00001\.safetensors is missing"):
        Store.open(store.folder)


def test_damaged_sizes_are_named(store):
    (store.folder / "sizes.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match=r"sizes\.safetensors is damaged"):
        Store.open(store.folder).verify()


def edit(store, **changes) -> None:
    path = store.folder / "header.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "something"}, "not a token store"),
        ({"version": 99}, "version 99"),
        ({"tokens": 3}, "does not fit the shards"),
        ({"documents": 3}, "does not fit the shards"),
        ({"shards": "x"}, "damaged"),
        ({"tokenizer": {}}, "damaged"),
        ({"tokenizer": None}, "damaged"),
    ],
)
def test_a_header_that_cannot_be_is_refused(store, changes, words):
    edit(store, **changes)
    with pytest.raises(DataError, match=words):
        Store.open(store.folder, "hash" if changes.get("tokenizer", 1) is None else None)


def test_what_is_no_store_is_refused(store, tmp_path):
    with pytest.raises(DataError, match=r"no header\.json"):
        Store.open(tmp_path)
    (store.folder / "header.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        Store.open(store.folder)
