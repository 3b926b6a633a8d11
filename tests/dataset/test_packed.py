"""Stores packed into one file: the same store after it, and refusals in a sentence."""

from __future__ import annotations

import json
import zipfile

import pytest

import penwright
from penwright.config import DataConfig
from penwright.dataset.packed import unpack
from penwright.dataset.store_cache import is_store, open_data, open_store
from penwright.errors import DataError, OutOfRoomError, TokenizerError, UsageError
from penwright.tokens import Tokenizer
from penwright.weights.names import resolve
from penwright.weights.opening import read_place


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    rows = [{"prompt": f"Prompt {n}", "completion": f"the story {n} " * 9} for n in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def tokenizer():
    return read_place(resolve("base")).tokenizer()


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_packed_store_is_the_store(place):
    whole = penwright.prepare("a.jsonl", output="store", model="base")
    penwright.prepare("a.jsonl", output="a.zip", model="base")
    penwright.prepare("store", output="again.zip")
    assert (place / "a.zip").read_bytes() == (place / "again.zip").read_bytes()
    assert (place / "a.zip").stat().st_size < sum(map(len, contents(place / "store").values())) / 4
    assert is_store("a.zip")
    assert contents(open_store("a.zip").folder) == contents(whole.folder)
    opened = open_data(["a.zip", "store"], DataConfig(), tokenizer(), print).store
    assert opened.n_documents == 2 * whole.n_documents
    with pytest.raises(TokenizerError, match=r"'a\.zip' was made with another tokenizer"):
        open_data(["a.zip"], DataConfig(), Tokenizer.gpt2(), print)
    found = penwright.inspect("a.zip", model="base")
    assert found.extremes.shortest[0][0].startswith("a.zip:")


def test_stores_are_not_read_as_text(place):
    penwright.prepare("a.jsonl", output="store", model="base")
    with pytest.raises(UsageError, match="'store' is a token store already"):
        penwright.prepare("store", output="other", model="base")
    with pytest.raises(UsageError, match="'store' is a token store already"):
        penwright.prepare("a.jsonl", "store", output="other.zip", model="base")
    (place / "there.zip").touch()
    with pytest.raises(UsageError, match=r"there\.zip exists already"):
        penwright.prepare("store", output="there.zip")


def test_what_cannot_be_unpacked_is_a_sentence(place):
    penwright.prepare("a.jsonl", output="a.zip", model="base")
    content = bytearray((place / "a.zip").read_bytes())
    content[len(content) // 2] ^= 255
    (place / "bad.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.zip is damaged"):
        open_store("bad.zip")
    with zipfile.ZipFile("evil.zip", "w") as archive:
        archive.writestr("header.json", "{}")
        archive.writestr("../evil.json", "{}")
    with pytest.raises(
        DataError, match=r"evil\.zip is no packed store: it holds '\.\./evil\.json'"
    ):
        open_store("evil.zip")
    assert not (place / "cache" / "evil.json").exists()
    assert not [path for path in (place / "cache/stores").iterdir() if "." in path.name]
    (place / "file").touch()
    with pytest.raises(OutOfRoomError, match=r"store could not be written"):
        unpack(place / "a.zip", place / "file" / "store")
    with pytest.raises(OutOfRoomError, match="could not be written"):
        penwright.prepare("a.jsonl", output="file/b.zip", model="base")
    with zipfile.ZipFile("other.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(DataError, match=r"other\.zip is an archive"):
        penwright.prepare("other.zip", output="store", model="base")
