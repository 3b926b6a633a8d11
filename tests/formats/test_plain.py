from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import ByteLevel

from penwright import formats
from penwright.config import DataConfig
from penwright.document import Document
from penwright.errors import DataError, UsageError
from penwright.formats import decode, plain

from .conftest import Read

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r\0<"))


def whole(documents: list[Document]) -> list[str]:
    """The texts, pieces put together."""
    texts, begun = [], False
    for document in documents:
        if begun:
            texts[-1] += document.text
        else:
            texts.append(document.text)
        begun = document.more
    assert not begun
    return texts


def read_small(path: Path, block: int, **options: object) -> list[Document]:
    data = DataConfig(encoding="utf-8", **options)  # type: ignore[arg-type]
    with mock.patch.object(decode, "BLOCK", block), mock.patch.object(plain, "PIECE", 40):
        return list(formats.read([path], data, print))


@given(texts=st.lists(TEXT, min_size=1), block=st.integers(1, 200))
def test_marker_ends_documents_and_nothing_between_is_lost(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], block: int
) -> None:
    texts = ["first", *texts]
    path = tmp_path_factory.mktemp("f") / "t.txt"
    path.write_bytes("\n<|endoftext|>\n".join(texts).encode())
    found = whole(read_small(path, block))
    assert found == [text.strip("\n") for text in texts if text and not text.isspace()]


@given(
    text=st.text(
        st.sampled_from("aé字1٣ \n\t\x85\u00a0\x1c'.!s\u0301<|endoftext|>"),
        min_size=1,
        max_size=600,
    )
)
def test_pieces_are_cut_where_tokens_end(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    words = " ".join(text[i : i + 12] + "x" for i in range(0, len(text), 12))
    path = tmp_path_factory.mktemp("f") / "t.txt"
    path.write_bytes(words.encode())
    documents = read_small(path, 64, documents="file")
    assert whole(documents) == [words.strip("\n")]
    split = ByteLevel(add_prefix_space=False).pre_tokenize_str
    pieces = [word for d in documents for word, _ in split(d.text)]
    assert pieces == [word for word, _ in split(words.strip("\n"))]
    assert max(len(d.text) for d in documents) <= 40


def test_a_text_without_white_space_comes_in_pieces_too(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("^" * 500 + "<|endoftext|>" + "字。" * 200, encoding="utf-8")
    documents = read_small(path, 33)
    assert whole(documents) == ["^" * 500, "字。" * 200]
    assert len(documents) > 10


def test_sources_name_the_line_where_a_document_begins(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.txt"
    path.write_text("\n\none\nmore\n<|endoftext|>\n\ntwo<|endoftext|>three\n<|endoftext|>\n")
    assert [(d.text, d.source.line) for d in read(path)] == [
        ("one\nmore", 3), ("two", 7), ("three", 7),
    ]  # fmt: skip


def test_document_rules(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.txt"
    path.write_text("  a\nb\n \n\n\nc <|endoftext|> d\n")
    assert [d.text for d in read(path, documents="line")] == ["  a", "b", "c <|endoftext|> d"]
    assert [d.text for d in read(path, documents="paragraph")] == ["  a\nb", "c <|endoftext|> d"]
    assert [d.text for d in read(path, documents="file")] == ["  a\nb\n \n\n\nc <|endoftext|> d"]
    assert [d.text for d in read(path)] == ["  a\nb\n \n\n\nc ", " d"]


def test_white_space_alone_is_no_text(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.txt"
    path.write_text(" \n<|endoftext|>\n")
    with pytest.raises(DataError, match=r"t.txt has no text to learn from"):
        read(path)


def test_marked_documents(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.txt"
    path.write_text("<|startoftext|>one<|endoftext|>\n<|startoftext|>two\nlines<|endoftext|>\n")
    assert [d.text for d in read(path)] == ["one", "two\nlines"]


@given(chapters=st.lists(TEXT.filter(lambda t: "CHAPTER" not in t)), block=st.integers(1, 99))
def test_a_pattern_that_is_kept(
    tmp_path_factory: pytest.TempPathFactory, chapters: list[str], block: int
) -> None:
    chapters = [f"CHAPTER {i}\n{text}x" for i, text in enumerate(chapters)]
    path = tmp_path_factory.mktemp("f") / "t.txt"
    path.write_bytes("\n".join(["start", *chapters]).encode())
    found = read_small(path, block, split_at=r"(?m)^(?=CHAPTER )")
    assert whole(found) == ["start", *chapters]


def test_a_pattern_that_is_left_out(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.txt"
    path.write_text("one\n-----\ntwo\n-------\n")
    assert [d.text for d in read(path, split_at=r"-{3,}\n")] == ["one", "two"]
    with pytest.raises(UsageError, match="is not a regular expression"):
        read(path, split_at="(")
