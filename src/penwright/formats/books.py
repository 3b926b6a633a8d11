"""What writers have: Word documents, EPUB books and Markdown, as text.

Both .docx and .epub are zip archives of XML, so the standard library is enough.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree

from penwright.config import DataConfig
from penwright.errors import DataError
from penwright.formats.decode import find_encoding, read_blocks
from penwright.formats.plain import TextReader, find_rule
from penwright.formats.reader import Choice, Input
from penwright.formats.streams import open_bytes
from penwright.markers import END_OF_TEXT
from penwright.wording import Warn

_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_CONTAINER = "META-INF/container.xml"
_BLOCKS = re.compile(
    "p|div|h[1-6]|hr|li|dt|dd|tr|blockquote|pre|section|article|figcaption", re.IGNORECASE
)
_UNSEEN = frozenset(("head", "script", "style", "title", "svg", "nav"))
_FRONT_MATTER = re.compile(r"---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)


def open_docx(item: Input, data: DataConfig) -> TextReader:
    """A Word document: its paragraphs, a line each."""
    with _unzip(item.path, "a Word document") as archive:
        _member(archive, item.path, "word/document.xml", "a Word document")
    pattern, says = find_rule(data)
    choice = Choice(item.path, "docx", says=f"paragraphs are lines; {says}")
    return TextReader(choice, pattern, lambda _: _read_docx(item.path))


def open_epub(item: Input, data: DataConfig) -> TextReader:
    """A book: each chapter is a document unless another rule is given."""
    chapters = data.documents in ("auto", "marker") and data.split_at is None
    _read_spine(item.path)
    pattern, says = find_rule(data)
    choice = Choice(item.path, "epub", says="each chapter is a document" if chapters else says)
    joint = f"\n{END_OF_TEXT}\n" if chapters else "\n\n"
    return TextReader(choice, pattern, lambda warn: _read_epub(item.path, joint, warn))


def open_markdown(item: Input, data: DataConfig) -> TextReader:
    """Markdown as it is written, without the settings (front matter) that may stand before it."""
    encoding = find_encoding(item.path, data.encoding)
    pattern, says = find_rule(data)

    def blocks(warn: Warn) -> Iterator[str]:
        for number, block in enumerate(read_blocks(item.path, data.encoding, warn)):
            settings = None if number else _FRONT_MATTER.match(block)
            # Their lines stay, empty, so that places in the file keep their numbers.
            yield (
                "\n" * settings.group().count("\n") + block[settings.end() :] if settings else block
            )

    return TextReader(Choice(item.path, "markdown", encoding, says=says), pattern, blocks)


def _read_docx(path: str) -> Iterator[str]:
    with (
        _unzip(path, "a Word document") as archive,
        archive.open("word/document.xml") as stream,
    ):
        for _, element in _parse(path, stream):
            if element.tag == f"{_WORD}p":
                yield _paragraph(element) + "\n"
                element.clear()


def _paragraph(element: ElementTree.Element) -> str:
    parts: list[str] = []
    for node in element.iter():
        if node.tag == f"{_WORD}t":
            parts.append(node.text or "")
        elif node.tag == f"{_WORD}tab":
            parts.append("\t" if node.attrib == {} else "")
        elif node.tag in (f"{_WORD}br", f"{_WORD}cr"):
            parts.append("\n")
        elif node.tag == f"{_WORD}noBreakHyphen":
            parts.append("-")
    return "".join(parts)


def _read_epub(path: str, joint: str, warn: Warn) -> Iterator[str]:
    with _unzip(path, "an EPUB book") as archive:
        for name in _read_spine(path):
            if name not in archive.namelist():
                warn(f"{path}: the chapter {name} is missing from the book.")
                continue
            chapter = _Chapter()
            chapter.feed(archive.read(name).decode("utf-8-sig", "replace"))
            chapter.close()
            text = chapter.text()
            if text:
                yield text + joint


def _read_spine(path: str) -> list[str]:
    """The names of a book's chapters in the archive, in reading order."""
    with _unzip(path, "an EPUB book") as archive:
        container = _member(archive, path, _CONTAINER, "an EPUB book")
        root = next((e.get("full-path") for e in container.iter() if _local(e) == "rootfile"), None)
        package = _member(archive, path, root or "", "an EPUB book")
    files = {e.get("id"): e.get("href", "") for e in package.iter() if _local(e) == "item"}
    folder = posixpath.dirname(root or "")
    spine = [files.get(e.get("idref")) for e in package.iter() if _local(e) == "itemref"]
    names = [posixpath.normpath(posixpath.join(folder, unquote(name))) for name in spine if name]
    if not names:
        raise DataError(f"{path} is an EPUB book without chapters.")
    return names


class _Chapter(HTMLParser):
    """The text of a page: a paragraph is a block, white space inside it is one space."""

    def __init__(self) -> None:
        super().__init__()
        self._done: list[str] = []
        self._open: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._hidden += tag in _UNSEEN
        if _BLOCKS.fullmatch(tag):
            self._end_block()
        elif tag == "br":
            self._open.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _UNSEEN:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _UNSEEN and self._hidden > 0
        if _BLOCKS.fullmatch(tag):
            self._end_block()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._open.append(re.sub(r"\s+", " ", data))

    def text(self) -> str:
        """The page's paragraphs, a blank line between them."""
        self._end_block()
        return "\n\n".join(self._done)

    def _end_block(self) -> None:
        text = re.sub(r" *\n *", "\n", re.sub(r" +", " ", "".join(self._open))).strip()
        self._open.clear()
        if text:
            self._done.append(text)


@contextmanager
def _unzip(path: str, kind: str) -> Iterator[zipfile.ZipFile]:
    with open_bytes(path) as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except zipfile.BadZipFile:
            raise DataError(f"{path} is not {kind}, or a damaged one.") from None
        with archive:
            yield archive


def _member(archive: zipfile.ZipFile, path: str, name: str, kind: str) -> ElementTree.Element:
    try:
        with archive.open(name) as stream:
            # The root is the last element to end; a document without one does not parse.
            return deque(_parse(path, stream), maxlen=1)[0][1]
    except KeyError:
        raise DataError(f"{path} is not {kind}: it has no {name or 'package'} in it.") from None


def _parse(path: str, stream: object) -> Iterator[tuple[str, ElementTree.Element]]:
    try:
        yield from ElementTree.iterparse(stream)  # type: ignore[call-overload]
    except (ElementTree.ParseError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged: {error}.") from None


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
