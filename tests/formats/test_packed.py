"""Files in another wrapping: compressed, remote, encoded, columnar."""

from __future__ import annotations

import base64
import bz2
import gzip
import importlib.util
import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.errors import DataError, MissingExtraError
from penwright.formats import plain
from penwright.tokens.bpe import Tokenizer

from .conftest import Read

TEXT = "id,title\n1,Ein Käse\n2,Two\n"
PARQUET = (
    "T>t<81poj4|NsC0{{ScuMu<$3Say}bl~uAgxIQekrsKYR;@fTR^|?*M#cE-0l3^CXbXt|4gQ3+=D+HFIczuMMol_"
    "G&2!BXB>m!>(NRdc^NXUNH%Y+I*8!-^2@&wT1L+W+H-Y!<U@&DfYBsX^L{3h4yyEkK1QhIO}urt4@91f#9fZe77Y"
    "moc@c;RlGcXp4U8r3w)<<81XkH*L0+PfQ>$!~fJ**;1^&>odZDo^y`H3G}BW!NES&&|hmEn_SFkuEvUd6LIIr$)&"
    "HqLRHm95O4}m4p~&?2xNbx-Nr;cbz>JYS%}Q&o~wp_hH5(0n%M30r-Xf{3|qnZ1vZQg@4+q`-&x7"
)
"""A file of pyarrow's, packed by lzma."""


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def compress(kind: str, data: bytes) -> bytes:
    if kind == "zst":
        pytest.importorskip("zstandard", reason="needs zstandard")
        import zstandard

        return zstandard.ZstdCompressor().compress(data)
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[kind]
    return bytes(pack(data))


KINDS = ["gz", "bz2", "xz", pytest.param("zst", marks=pytest.mark.skipif(
    not has("zstandard"), reason="zstandard is not installed"))]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_compressed_files_are_what_is_inside(tmp_path: Path, read: Read, kind: str) -> None:
    path = tmp_path / f"titles.csv.{kind}"
    path.write_bytes(compress(kind, TEXT.encode()))
    assert [d.text for d in read(path)] == ["Ein Käse", "Two"]
    path.write_bytes(b"not packed at all, though it says so")
    with pytest.raises(DataError, match=f"{path.name} is damaged"):
        read(path)
    path.write_bytes(compress(kind, TEXT.encode() * 99)[:-30])
    with pytest.raises(DataError, match=f"{path.name} is cut off"):
        read(path)
    path.write_bytes(2 * compress(kind, TEXT.encode()))
    assert [d.text for d in read(path)] == ["Ein Käse", "Two", "title", "Ein Käse", "Two"]


@given(text=st.text(min_size=1))
def test_any_text_survives_compression(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("f") / "t.txt.gz"
    path.write_bytes(gzip.compress(("x" + text).encode()))
    found = formats.read([path], DataConfig(encoding="utf-8", documents="file"), print)
    expected = ("x" + text).replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(d.text for d in found) == expected.strip("\n")


def test_an_archive_is_no_text(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "novels.tar.xz"
    path.write_bytes(lzma.compress(b"x"))
    with pytest.raises(DataError, match=r"novels.tar.xz is an archive. Unpack it"):
        read(path)


@pytest.mark.skipif(not has("fsspec"), reason="fsspec is not installed")
def test_remote_files(read: Read) -> None:
    pytest.importorskip("fsspec", reason="needs fsspec")
    import fsspec

    with fsspec.open("memory://folder/titles.csv.gz", "wb") as stream:
        stream.write(gzip.compress(TEXT.encode()))
    assert [d.text for d in read("memory://folder/titles.csv.gz")] == ["Ein Käse", "Two"]
    with pytest.raises(DataError, match=r"memory://folder/none.txt cannot be opened"):
        read("memory://folder/none.txt")


@pytest.fixture(scope="module")
def gpt2() -> Tokenizer:
    return Tokenizer.gpt2()


def test_gpt2_is_spelled_as_its_tokenizer_does(gpt2: Tokenizer) -> None:
    ids = [i for i in range(gpt2.vocab_size) if i != gpt2.eot_id]
    assert [plain.gpt2_bytes()[i] for i in ids] == [gpt2.token_bytes(i) for i in ids]


def test_npz_golden(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.npz"
    # "Hello world", the end-of-text token, " fox"; then a chunk with the marker spelled out.
    marker = [27, 91, 437, 1659, 5239, 91, 29]
    np.savez_compressed(path, np.array([15496, 995, 50256, 21831]), np.array([32, *marker, 33]))
    assert [d.text for d in read(path)] == ["Hello world", " fox", "A", "B"]


@given(texts=st.lists(st.text(min_size=1).filter(lambda t: "<" not in t), min_size=1))
def test_npz_gives_back_the_texts(
    tmp_path_factory: pytest.TempPathFactory, gpt2: Tokenizer, texts: list[str]
) -> None:
    texts = [f"x{text}x" for text in texts]
    path = tmp_path_factory.mktemp("f") / "t.npz"
    np.savez(path, *[np.array(gpt2.encode(text)) for text in texts])
    assert [d.text for d in formats.read([path], DataConfig(), print)] == texts


def test_bad_npz(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.npz"
    path.write_bytes(b"PK\x03\x04 broken")
    said = r"t.npz is not an .npz of token ids, or a damaged one\. Encode its text again"
    with pytest.raises(DataError, match=said):
        read(path)
    np.savez(path, np.array([99999]))
    with pytest.raises(DataError, match=r"t.npz: array arr_0 holds ids that GPT-2 does not have"):
        read(path)
    np.savez(path, np.array([0.5]))
    with pytest.raises(DataError, match=r"array arr_0 is not a row of token ids"):
        read(path)
    np.savez(path, np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match=r"t.npz is not an .npz"):
        read(path)


CELL = st.text(st.characters(exclude_categories=("Cs",)))


@pytest.mark.skipif(not has("pyarrow"), reason="pyarrow is not installed")
@given(rows=st.lists(st.tuples(CELL, CELL.filter(lambda t: bool(t.strip()))), min_size=1))
def test_parquet_gives_back_its_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    import pyarrow as pa
    from pyarrow import parquet

    path = tmp_path_factory.mktemp("f") / "t.parquet"
    table = pa.table(
        {"prompt": [a for a, _ in rows], "story": [b for _, b in rows], "n": [1] * len(rows)}
    )
    parquet.write_table(table, path, row_group_size=3)
    options = DataConfig(separator="", prompt_column="prompt", completion_column="story")
    found = list(formats.read([path], options, print))
    assert [d.text for d in found] == [a + b for a, b in rows]
    assert found[-1].source.line == len(rows)
    assert found[0].fields["n"] == "1"


@pytest.mark.skipif(not has("pyarrow"), reason="pyarrow is not installed")
def test_parquet_golden(tmp_path: Path, read: Read) -> None:
    """A file that pyarrow 26 wrote: a column of text, one of numbers, one of missing values."""
    path = tmp_path / "t.parquet"
    path.write_bytes(lzma.decompress(base64.b85decode(PARQUET)))
    found = read(path)
    assert [(d.text, d.source.line, d.fields["score"], d.fields["kind"]) for d in found] == [
        ("Ein Käse", 1, "7", ""),
        ("Two\nlines", 2, "-1", "b"),
    ]


@pytest.mark.skipif(not has("pyarrow"), reason="pyarrow is not installed")
def test_bad_parquet(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(DataError, match=r"t.parquet is not a Parquet file, or a damaged one"):
        read(path)


def test_a_missing_package_is_named(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(MissingExtraError, match=r"penwright\[parquet\]"):
        read(path)
