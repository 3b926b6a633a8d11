from __future__ import annotations

import zipfile
from html import escape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.errors import DataError

from .conftest import Read

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
LINE = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp", "Zs"), exclude_characters="<"),
    min_size=1,
)


def write_docx(path: Path, body: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "word/document.xml",
            f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        )


def write_epub(path: Path, chapters: list[str]) -> None:
    items = "".join(
        f'<item id="c{i}" href="text/c%20{i}.xhtml" media-type="application/xhtml+xml"/>'
        for i in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(chapters)))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        )
        archive.writestr(
            "OEBPS/book.opf",
            '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
            f"{items}</manifest><spine>{spine}</spine></package>",
        )
        for i, chapter in enumerate(chapters):
            archive.writestr(f"OEBPS/text/c {i}.xhtml", chapter)


def test_docx_golden(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "novel.docx"
    write_docx(
        path,
        '<w:p><w:pPr><w:tabs><w:tab w:val="left" w:pos="9"/></w:tabs></w:pPr>'
        "<w:r><w:t>Chapter </w:t></w:r><w:r><w:t>One</w:t></w:r></w:p>"
        '<w:p/><w:p><w:r><w:t xml:space="preserve">It </w:t><w:tab/><w:t>was &amp; is</w:t>'
        "<w:br/><w:t>é</w:t></w:r></w:p>",
    )
    (document,) = read(path)
    assert document.text == "Chapter One\n\nIt \twas & is\né"


@given(paragraphs=st.lists(LINE, min_size=1))
def test_docx_gives_back_its_paragraphs(
    tmp_path_factory: pytest.TempPathFactory, paragraphs: list[str]
) -> None:
    path = tmp_path_factory.mktemp("f") / "t.docx"
    runs = (f"<w:p><w:r><w:t>{escape(text)}</w:t></w:r></w:p>" for text in paragraphs)
    write_docx(path, "".join(runs))
    (document,) = formats.read([path], DataConfig(documents="file"), print)
    assert document.text == "\n".join(paragraphs)


def test_epub_golden(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "book.epub"
    write_epub(
        path,
        [
            "<html><head><title>no</title><style>no</style></head><body><h1>One</h1>"
            "<p>It\n  was <i>a</i> dark&nbsp;<b>night</b>.<br/>Rain.</p></body></html>",
            "<html><body><div><p>Two &mdash; &#233;</p></div><script>no</script></body></html>",
            "<html><body/></html>",
        ],
    )
    assert [d.text for d in read(path)] == ["One\n\nIt was a dark night.\nRain.", "Two — é"]
    assert [d.text for d in read(path, documents="file")] == [
        "One\n\nIt was a dark night.\nRain.\n\nTwo — é"
    ]


@given(chapters=st.lists(st.lists(LINE, min_size=1), min_size=1))
def test_epub_gives_back_its_chapters(
    tmp_path_factory: pytest.TempPathFactory, chapters: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("f") / "t.epub"
    pages = ["".join(f"<p>{escape(text)}</p>" for text in chapter) for chapter in chapters]
    write_epub(path, [f"<html><body>{page}</body></html>" for page in pages])
    found = formats.read([path], DataConfig(), print)
    assert [d.text for d in found] == ["\n\n".join(chapter) for chapter in chapters]


ODT = (
    '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:text>'
    "{}</office:text></office:body></office:document-content>"
)


def write_odt(path: Path, body: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("content.xml", ODT.format(body))


def test_odt_golden(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.odt"
    write_odt(
        path,
        "<text:tracked-changes><text:p>Deleted.</text:p></text:tracked-changes>"
        "<text:h>Chapter One</text:h><text:p/>"
        '<text:p>It<text:s text:c="2"/>was <text:span>a<text:tab/>dark</text:span> night'
        "<text:note><text:note-body><text:p>A note.</text:p></text:note-body></text:note>"
        "<text:line-break/>indeed.</text:p><text:list><text:list-item><text:p>Item</text:p>"
        "</text:list-item></text:list>",
    )
    (document,) = read(path)
    assert document.text == "Chapter One\n\nIt  was a\tdark night\nindeed.\nItem"


@given(paragraphs=st.lists(LINE, min_size=1))
def test_odt_gives_back_its_paragraphs(
    tmp_path_factory: pytest.TempPathFactory, paragraphs: list[str]
) -> None:
    path = tmp_path_factory.mktemp("f") / "t.odt"
    write_odt(path, "".join(f"<text:p>{escape(text)}</text:p>" for text in paragraphs))
    (document,) = formats.read([path], DataConfig(documents="file"), print)
    assert document.text == "\n".join(paragraphs)


def test_html(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.html"
    path.write_text(
        "<!doctype html><html><head><title>no</title></head><body><nav>no</nav><h1>One</h1>"
        "<p>Caf&eacute; &amp;\n more<br>lines</p></body></html>"
    )
    (document,) = read(path)
    assert document.text == "One\n\nCafé & more\nlines"


def test_subtitles(tmp_path: Path, read: Read) -> None:
    srt = "1\n00:00:01,000 --> 00:00:02,000\n<i>Hello</i>,\nyou.\n\n2\n00:01 --> 00:02\n1984\n"
    (tmp_path / "t.srt").write_bytes(b"\xef\xbb\xbf" + srt.replace("\n", "\r\n").encode())
    (tmp_path / "t.vtt").write_text("WEBVTT\n\nNOTE no\n\n" + srt.replace(",000", ".000"))
    for name in ("t.srt", "t.vtt"):
        (document,) = read(tmp_path / name)
        assert document.text == "Hello, you.\n1984"


def test_captions_that_roll_are_written_once(tmp_path: Path, read: Read) -> None:
    lines = ["Well,", "so", "so", "it is."]
    captions = [
        f"00:00:0{n}.000 --> 00:00:0{n}.990\n{before}\n{word}<00:00:0{n}.100><c> {word}</c>\n\n"
        f"00:00:0{n}.990 --> 00:00:0{n}.999\n{word} {word}\n \n\n"
        for n, (before, word) in enumerate([(" ", "Oh"), ("Oh Oh", "no"), ("no no", "yes")])
    ]
    path = tmp_path / "t.vtt"
    path.write_text("WEBVTT\n\n" + "".join(captions))
    (document,) = read(path)
    assert document.text == "Oh Oh\nno no\nyes yes"
    path.write_text("WEBVTT\n\n" + "".join(f"00:01 --> 00:02\n{line}\n\n" for line in lines))
    (document,) = read(path)
    assert document.text.split("\n") == lines


def test_kindle_clippings(tmp_path: Path, read: Read) -> None:
    place = "- Your Highlight on page 3 | Location 10-12 | Added on Tuesday, March 5, 2024"
    path = tmp_path / "My Clippings.txt"
    texts = ["A first line.\nA second one.", "- A dash"]
    path.write_bytes(
        b"\xef\xbb\xbf"
        + "".join(f"A Book (Ann O. Nymous)\n{place}\n\n{t}\n==========\n" for t in texts)
        .replace("\n", "\r\n")
        .encode()
    )
    found = read(path)
    assert [d.text for d in found] == texts
    assert [d.source.line for d in found] == [4, 10]
    assert len(read(path, format="text")) == 1


def test_rtf(tmp_path: Path, read: Read) -> None:
    pytest.importorskip("striprtf")
    path = tmp_path / "t.rtf"
    path.write_text(
        r"{\rtf1\ansi\ansicpg1252{\fonttbl\f0 Times;}{\*\generator x;}"
        r"\f0\fs24 Caf\'e9 \b bold\b0 .\par Two \u8212? end.\par}"
    )
    (document,) = read(path)
    assert document.text == "Café bold.\nTwo — end."
    path.write_text("Not rich.")
    with pytest.raises(DataError, match="is not rich text"):
        read(path)


def test_markdown_without_its_front_matter(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "post.md"
    path.write_text("---\ntitle: x\n---\n# Hello\n\n*World*\n\n---\n")
    (document,) = read(path)
    assert document.text == "# Hello\n\n*World*\n\n---"
    assert document.source.line == 4


@given(
    lines=st.lists(
        st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="<")), min_size=1
    ),
    front=st.booleans(),
)
def test_markdown_keeps_every_line(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], front: bool
) -> None:
    path = tmp_path_factory.mktemp("f") / "t.md"
    text = "\n".join(["# Title", *lines, "The end."])
    path.write_text("---\ntitle: x\n---\n" * front + text, encoding="utf-8", newline="")
    found = formats.read([path], DataConfig(encoding="utf-8"), print)
    assert [d.text for d in found] == [text]


def test_bad_markdown(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "a.md"
    for content, error in (
        (b"", "a.md is empty"),
        (b"---\ntitle: x\n---\n", "a.md has no text to learn from"),
        (b"# A\n\xff\xfe\xfd", r"a.md:2: byte 0xff at offset 4"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=error):
            read(path)


@pytest.mark.parametrize("name", ["a.docx", "a.epub"])
def test_bad_books(tmp_path: Path, read: Read, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"PK not really")
    with pytest.raises(DataError, match=rf"{name} is not an? .*, or a damaged one"):
        read(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(DataError, match=rf"{name} is not an? .*: it has no "):
        read(path)
    path.with_suffix(".docx").unlink(missing_ok=True)
    write_docx(tmp_path / "b.docx", "<w:p>")
    with pytest.raises(DataError, match=r"b.docx is damaged"):
        read(tmp_path / "b.docx")


def test_a_missing_chapter_is_told(tmp_path: Path, read: Read, warnings: list[str]) -> None:
    path = tmp_path / "book.epub"
    write_epub(path, ["<p>one</p>", "<p>two</p>"])
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if "c 0" not in name}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
    assert [d.text for d in read(path)] == ["two"]
    assert warnings == [f"{path}: the chapter OEBPS/text/c 0.xhtml is missing from the book."]
