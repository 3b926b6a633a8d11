"""Files at addresses: listed, identified, written and read; failures are sentences."""

from __future__ import annotations

import sys

import pytest

from penwright import remote
from penwright.errors import DataError, MissingExtraError

pytest.importorskip("fsspec", reason="needs fsspec: pip install 'penwright[remote]'")


@pytest.fixture(params=["memory", "file"])
def place(request, tmp_path):
    """A folder of two kinds of places, and only what the test writes there."""
    return f"memory://{tmp_path}/a" if request.param == "memory" else f"file://{tmp_path}/a"


def test_a_file_is_written_listed_and_read_again(place, tmp_path):
    (tmp_path / "one.bin").write_bytes(b"one" * 5)
    remote.upload(tmp_path / "one.bin", f"{place}/deep/one.bin")
    remote.write(f"{place}/two.txt", b"two")
    assert sorted(remote.list_folder(place)) == ["deep/one.bin", "two.txt"]
    assert remote.list_folder(f"{place}/two.txt") is None
    assert remote.size(f"{place}/deep/one.bin") == 15
    assert remote.read(f"{place}/two.txt") == b"two"
    remote.download(f"{place}/deep/one.bin", tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == b"one" * 5
    [found] = remote.expand(f"{place}/*.txt")
    assert remote.read(found) == b"two"
    remote.delete(f"{place}/two.txt")
    remote.delete(f"{place}/two.txt")
    assert not remote.exists(f"{place}/two.txt")


def test_what_is_not_there_is_a_sentence(place, tmp_path):
    with pytest.raises(DataError, match=r"none\.txt cannot be opened: .*See whether"):
        remote.read(f"{place}/none.txt")
    with pytest.raises(DataError, match=r"none\.txt cannot be opened"):
        remote.download(f"{place}/none.txt", tmp_path / "x")
    with pytest.raises(DataError, match="Nothing matches"):
        remote.expand(f"{place}/*.txt")


def test_a_web_address_is_one_file_whatever_it_looks_like():
    assert remote.expand("https://no.example/a.txt?x=[1]") == ["https://no.example/a.txt?x=[1]"]
    assert remote.list_folder("https://no.example/texts") is None


def test_a_missing_package_is_named(monkeypatch):
    with pytest.raises(DataError, match=r"nowhere://x cannot be opened: Protocol not known"):
        remote.read("nowhere://x")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"s3://a/b needs .*[Ii]nstall.* s3fs"):
        remote.read("s3://a/b")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'penwright\[remote\]'"):
        remote.read("memory://a/b")
