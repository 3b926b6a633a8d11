"""Read documents of word processors and the web: Word, OpenDocument, RTF, EPUB, HTML, ...

.docx, .odt and .epub are zip archives of XML, so the standard library is enough.
"""

from __future__ import annotations

import itertools
import posixpath
import re
import zipfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html.parser import HTMLParser
from urllib.parse import unquote
from xml.etree import ElementTree

from penwright.config import DataConfig
from penwright.document import END_OF_TEXT
from penwright.errors import DataError, MissingExtraError
from penwright.formats.decode import find_encoding, read_blocks, read_lines
from penwright.formats.plain import TextReader, find_rule
from penwright.formats.reader import Choice, Input
from penwright.formats.streams import open_bytes, read_block, read_head
from penwright.wording import Warn

_SAVE_AGAIN = "Open it in its own program and save it again, or save it as plain text."
_WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,80}>|<\d[\d:.]*>|\{\\[^{}]{1,80}\}")
_TIMED_WORD = re.compile(rb"<\d\d:\d\d:\d\d\.\d\d\d><c")
_CLIPPED = "=" * 10
_CLIPPING = re.compile(rf"[^\n]+\n- [^\n]*\|[^\n]*\n\n(?:.*\n){{1,200}}?{_CLIPPED}\n")
_ASIDE = ("note", "annotation", "tracked-changes")
_CONTAINER = "META-INF/container.xml"
_BLOCKS = re.compile(
    "p|div|h[1-6]|hr|li|dt|dd|tr|blockquote|pre|section|article|figcaption", re.IGNORECASE
)
_UNSEEN = frozenset(("head", "script", "style", "title", "svg", "nav"))
_FRONT_MATTER = re.compile(r"---\n.*?\n(?:---|\.\.\.)\n", re.DOTALL)


def open_docx(item: Input, data: DataConfig) -> TextReader:
    """Open a Word document: its paragraphs, a line each."""
    return _open_archive(item, data, "docx", "a Word document", "word/document.xml", _read_docx)


def open_odt(item: Input, data: DataConfig) -> TextReader:
    """Open an OpenDocument text (LibreOffice, Google Docs): its paragraphs, a line each."""
    return _open_archive(item, data, "odt", "an OpenDocument text", "content.xml", _read_odt)


def _open_archive(
    item: Input,
    data: DataConfig,
    name: str,
    kind: str,
    member: str,
    read: Callable[[str], Iterator[str]],
) -> TextReader:
    with _unzip(item.path, kind) as archive:
        _member(archive, item.path, member, kind)
    pattern, says = find_rule(data)
    says = f"paragraphs are lines, notes and comments are left out; {says}"
    choice = Choice(item.path, name, says=says)
    return TextReader(choice, pattern, lambda _: read(item.path))


def open_rtf(item: Input, data: DataConfig) -> TextReader:
    """Open rich text (TextEdit, WordPad, Scrivener) as plain text; needs striprtf."""
    try:
        from striprtf.striprtf import rtf_to_text
    except ImportError:
        raise MissingExtraError(f"Reading {item.path}", "office") from None
    if not read_head(item.path).lstrip().startswith(b"{\\rtf"):
        raise DataError(f"{item.path} is not rich text (RTF), or a damaged one.", fix=_SAVE_AGAIN)

    def blocks(_: Warn) -> Iterator[str]:
        with open_bytes(item.path) as stream:
            source = read_block(stream, -1, item.path).decode("ascii", "replace")
        codec = data.encoding or "cp1252"  # for characters that are not written as Unicode
        yield rtf_to_text(source, codec, "replace")  # type: ignore[no-untyped-call]

    pattern, says = find_rule(data)
    choice = Choice(item.path, "rtf", says=f"its text without fonts and pictures; {says}")
    return TextReader(choice, pattern, blocks)


def open_html(item: Input, data: DataConfig) -> TextReader:
    """Open a page: its text without tags, scripts and menus."""
    encoding = find_encoding(item.path, data.encoding)
    pattern, says = find_rule(data)

    def blocks(warn: Warn) -> Iterator[str]:
        yield _page("".join(read_blocks(item.path, data.encoding, warn)))

    choice = Choice(item.path, "html", encoding, says=f"its text without tags; {says}")
    return TextReader(choice, pattern, blocks)


def open_subtitles(item: Input, data: DataConfig) -> TextReader:
    """Open .srt or .vtt subtitles: what is said, without numbers and times."""
    encoding = find_encoding(item.path, data.encoding)
    pattern, says = find_rule(data)

    def blocks(warn: Warn) -> Iterator[str]:
        lines = (_TAG.sub("", line) for line in read_lines(item.path, data.encoding, warn))
        for caption in _captions(lines, rolling):
            yield caption + "\n"

    # Captions of YouTube roll: they time each word, and show the line before once more.
    rolling = _TIMED_WORD.search(read_head(item.path)) is not None
    form = "each line once, though it shows in several captions" if rolling else "a line a caption"
    choice = Choice(item.path, "subtitles", encoding, says=f"{form}; {says}")
    return TextReader(choice, pattern, blocks)


def open_epub(item: Input, data: DataConfig) -> TextReader:
    """Open a book: each chapter is a document unless another rule is given."""
    chapters = data.documents in ("auto", "marker") and data.split_at is None
    _read_spine(item.path)
    pattern, says = find_rule(data)
    choice = Choice(item.path, "epub", says="each chapter is a document" if chapters else says)
    joint = f"\n{END_OF_TEXT}\n" if chapters else "\n\n"
    return TextReader(choice, pattern, lambda warn: _read_epub(item.path, joint, warn))


def open_markdown(item: Input, data: DataConfig) -> TextReader:
    """Open Markdown as it is written, without the front matter (settings before the text)."""
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


def open_kindle(item: Input, data: DataConfig) -> TextReader:
    """Open a Kindle's My Clippings.txt: each highlight, without its book, place and time."""
    encoding = find_encoding(item.path, data.encoding)
    pattern, says = find_rule(data)
    if data.documents == "auto" and data.split_at is None:
        says = "each highlight is a document"

    def blocks(warn: Warn) -> Iterator[str]:
        number = 0
        for line in read_lines(item.path, data.encoding, warn):
            number = 0 if line.startswith(_CLIPPED) else number + 1
            # The lines of book and place stay, empty, so that places keep their numbers.
            yield f"{END_OF_TEXT}\n" if number == 0 else f"{line}\n" if number > 2 else "\n"

    says = f"{says}; books, places and times are left out"
    return TextReader(Choice(item.path, "kindle", encoding, says=says), pattern, blocks)


def is_kindle(head: bytes) -> bool:
    """Return whether a text begins with a clipping: book, place and time, text, a double line."""
    return _CLIPPING.match(head.decode("utf-8-sig", "replace").replace("\r\n", "\n")) is not None


def _read_docx(path: str) -> Iterator[str]:
    with (
        _unzip(path, "a Word document") as archive,
        archive.open("word/document.xml") as stream,
    ):
        for _, element in _parse(path, stream):
            if element.tag == f"{_WORD}p":
                yield _paragraph(element) + "\n"
                element.clear()


def _captions(lines: Iterator[str], rolling: bool) -> Iterator[str]:
    """Join the lines below each line of times, up to a blank line, by spaces.

    With `rolling`, leave out lines that equal the one before.
    """
    last = ""
    said: list[str] | None = None
    for line in itertools.chain(lines, [""]):
        if "-->" in line:
            said = []
        elif not line.strip():
            if said:
                yield " ".join(said)
            said = None
        elif said is not None and not (rolling and line.strip() == last):
            last = line.strip()
            said.append(last)


def _read_odt(path: str) -> Iterator[str]:
    with _unzip(path, "an OpenDocument text") as archive, archive.open("content.xml") as stream:
        hidden = 0
        for event, element in _parse(path, stream, ("start", "end")):
            name = _local(element)
            if name in _ASIDE:
                hidden += 1 if event == "start" else -1
            if event == "end" and hidden == 0 and name in ("p", "h"):
                yield _odt_text(element) + "\n"
                element.clear()
            elif event == "end" and name in _ASIDE:
                tail = element.tail
                element.clear()
                element.tail = tail  # the paragraph goes on


def _odt_text(element: ElementTree.Element) -> str:
    parts = [element.text or ""]
    for child in element:
        name = _local(child)
        if name == "s":
            parts.append(" " * int(child.get(f"{_TEXT}c", "1")))
        elif name in ("tab", "line-break"):
            parts.append("\t" if name == "tab" else "\n")
        else:
            parts.append(_odt_text(child))
        parts.append(child.tail or "")
    return "".join(parts)


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
            text = _page(archive.read(name).decode("utf-8-sig", "replace"))
            if text:
                yield text + joint


def _read_spine(path: str) -> list[str]:
    """Return the names of a book's chapters in the archive, in reading order."""
    with _unzip(path, "an EPUB book") as archive:
        container = _member(archive, path, _CONTAINER, "an EPUB book")
        root = next((e.get("full-path") for e in container.iter() if _local(e) == "rootfile"), None)
        package = _member(archive, path, root or "", "an EPUB book")
    files = {e.get("id"): e.get("href", "") for e in package.iter() if _local(e) == "item"}
    folder = posixpath.dirname(root or "")
    spine = [files.get(e.get("idref")) for e in package.iter() if _local(e) == "itemref"]
    names = [posixpath.normpath(posixpath.join(folder, unquote(name))) for name in spine if name]
    if not names:
        raise DataError(
            f"{path} is an EPUB book without chapters.", fix="Convert it to plain text or HTML."
        )
    return names


def _page(source: str) -> str:
    """Return the text of an HTML page."""
    page = _Page()
    page.feed(source)
    page.close()
    return page.text()


class _Page(HTMLParser):
    """A parser that collects the text of a page: blocks with runs of white space as one space."""

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
        """Return the page's paragraphs, a blank line between them."""
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
            raise DataError(
                f"{path} is not {kind}, or a damaged one.",
                fix="Open it in the program that it is from, and save it again.",
            ) from None
        with archive:
            yield archive


def _member(archive: zipfile.ZipFile, path: str, name: str, kind: str) -> ElementTree.Element:
    try:
        with archive.open(name) as stream:
            # The root is the last element to end; a document without one does not parse.
            return deque(_parse(path, stream), maxlen=1)[0][1]
    except KeyError:
        raise DataError(
            f"{path} is not {kind}: it has no {name or 'package'} in it.", fix=_SAVE_AGAIN
        ) from None


def _parse(
    path: str, stream: object, events: Sequence[str] = ("end",)
) -> Iterator[tuple[str, ElementTree.Element]]:
    try:
        yield from ElementTree.iterparse(stream, events)  # type: ignore[call-overload]
    except (ElementTree.ParseError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged: {error}.", fix=_SAVE_AGAIN) from None


def _local(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
