"""Names of preparations: they change with whatever changes the tokens, and are quickly found."""

from __future__ import annotations

import hashlib
import json
import os
import time

import pytest

from penwright.config import DataConfig
from penwright.dataset import store_cache
from penwright.dataset.store_cache import fingerprint, hash_file, hash_files
from penwright.errors import DataError


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "a.TXT"
    path.write_bytes(b"text")
    os.utime(path, (1e9, 1e9))
    return path


def test_a_fingerprint_depends_on_everything():
    base = fingerprint(["a", "b"], DataConfig(), "t")
    others = [
        fingerprint(["b", "a"], DataConfig(), "t"),
        fingerprint(["a"], DataConfig(), "t"),
        fingerprint(["a", "b"], DataConfig(text_column="x"), "t"),
        fingerprint(["a", "b"], DataConfig(), "u"),
    ]
    assert base == fingerprint(["a", "b"], DataConfig(), "t")
    assert len({base, *others}) == 5
    assert len(base) == 64


def test_the_fingerprints_of_older_stores_stay():
    older = "308349e5e7db8ad1a12cb43792304d9bd8bad9cbed96d20ad68e1e7208aeb1ca"
    assert fingerprint(["a", "b"], DataConfig(text_column="x"), "t") == older
    assert fingerprint(["a", "b"], DataConfig(text_column="x", files=("*.md",)), "t") != older


def test_hashes_are_of_the_content_and_the_suffix(text):
    digest = hashlib.sha256(b"text").hexdigest()
    assert hash_file(text) == digest
    assert hash_files([text]) == [f".txt {digest}"]


def test_a_file_is_read_once(text, tmp_path, monkeypatch):
    memory = tmp_path / "cache" / "hashes.json"
    first = hash_files([text], memory)
    monkeypatch.setattr(store_cache, "hash_file", lambda _: pytest.fail("read again"))
    assert hash_files([text], memory) == first


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_changed_file_is_read_again(text, tmp_path, change):
    memory = tmp_path / "hashes.json"
    first = hash_files([text], memory)
    text.write_bytes(b"longer text" if change == "size" else b"TEXT")
    os.utime(text, (1e9, 1e9) if change == "size" else (1e9 + 5, 1e9 + 5))
    assert hash_files([text], memory) != first


def test_a_file_that_may_still_change_unnoticed_is_not_remembered(text, tmp_path):
    memory = tmp_path / "hashes.json"
    os.utime(text, (time.time(), time.time()))
    hash_files([text], memory)
    assert not memory.exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"x": 3}', '{"x": [1]}'])
def test_a_damaged_memory_is_made_anew(text, tmp_path, content):
    memory = tmp_path / "hashes.json"
    memory.write_text(content)
    expected = hash_files([text])
    assert hash_files([text], memory) == expected
    assert list(json.loads(memory.read_text())) == [str(text.resolve())]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.txt cannot be read"):
        hash_files([tmp_path / "gone.txt"])
    with pytest.raises(DataError, match=r"gone\.txt cannot be read"):
        hash_file(tmp_path / "gone.txt")
