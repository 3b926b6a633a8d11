"""Decode files block by block: encodings, byte order marks, line ends, invalid bytes."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from penwright.errors import DataError, UsageError, suggest
from penwright.formats.streams import open_bytes, read_block, read_head, refuse_content
from penwright.wording import Warn

BLOCK = 1 << 22
"""Bytes per read."""

TOLERATED = 0.001
"""The share of invalid UTF-8 bytes up to which a file is read."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COMMON = ("utf-8", "utf-16", "windows-1252", "latin-1", "shift_jis", "gb18030", "big5", "koi8-r")
_AROUND = 30
"""Bytes on each side of an invalid one that a message shows."""
_ESCAPED = re.compile("[\udc80-\udcff]")


class _Damage(NamedTuple):
    """Invalid UTF-8: the number of bytes, the file's size, and the first one's value and place."""

    invalid: int
    total: int
    byte: int
    offset: int
    line: int
    around: bytes = b""
    """The bytes of the first one's line on both sides of it."""


def find_encoding(path: str, encoding: str | None) -> str:
    """Return the codec for a file: the one given, else by its byte order mark, else UTF-8.

    Raises UsageError for an unknown codec, DataError for an empty or a binary file.
    """
    if encoding is not None:
        try:
            return codecs.lookup(encoding).name
        except LookupError:
            raise UsageError(
                f"There is no encoding '{encoding}'.",
                fix=suggest(encoding, _COMMON) or f"Common ones are {', '.join(_COMMON)}.",
            ) from None
    head = read_head(path)
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    refuse_content(path, head)
    return "utf-8"


def is_text_file(path: str | Path) -> bool:
    """Return whether a file begins with text: it is neither empty nor binary."""
    with open_bytes(str(path)) as stream:
        head = read_block(stream, 1 << 12, str(path))
    return bool(head) and (b"\0" not in head or head.startswith(tuple(mark for mark, _ in _BOMS)))


def find_line_ends(path: str, encoding: str) -> str:
    """Return the line ends of a file's beginning: LF, CRLF, CR, mixed, or "" for a single line."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    text = decoder.decode(read_head(path)).removesuffix("\r")  # an LF may follow
    both = text.count("\r\n")
    counts = {"CRLF": both, "LF": text.count("\n") - both, "CR": text.count("\r") - both}
    found = [name for name, count in counts.items() if count]
    return "mixed" if len(found) > 1 else "".join(found)


def read_blocks(path: str, encoding: str | None, warn: Warn) -> Iterator[str]:
    """Yield the file's text in blocks, line ends as `\\n`, without a byte order mark.

    Bytes that are not UTF-8 are read as Windows-1252, with one warning, when there are few of
    them and no encoding was given; otherwise they raise DataError.
    """
    name = find_encoding(path, encoding)
    lenient = encoding is None and name in ("utf-8", "utf-8-sig")
    texts = _decode_leniently(path, warn) if lenient else _decode_strictly(path, name)
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    first, line = True, 1
    for text in texts:
        block = newlines.decode(text)
        if encoding is None and name == "utf-8" and "\0" in block:
            line += block.count("\n", 0, block.index("\0"))
            raise DataError(
                f"{path}:{line}: there is a NUL byte, so this is no text, or a damaged one.",
                fix="Take such bytes out with --encoding utf-8 --clean control.",
            )
        line += block.count("\n")
        if first and block:
            block, first = block.removeprefix("\ufeff"), False
        if block:
            yield block
    if rest := newlines.decode("", final=True):
        yield rest


def read_lines(path: str, encoding: str | None, warn: Warn) -> Iterator[str]:
    """Yield the file's lines without their ends; only line ends split, not other Unicode breaks."""
    pending: list[str] = []
    for block in read_blocks(path, encoding, warn):
        head, *tail = block.split("\n")
        pending.append(head)
        if tail:
            yield "".join(pending)
            yield from tail[:-1]
            pending = [tail[-1]]
    if last := "".join(pending):
        yield last


def _decode_strictly(path: str, name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(name)()
    offset, line = 0, 1
    with open_bytes(path) as stream:
        while True:
            block = read_block(stream, BLOCK, path)
            held = len(decoder.getstate()[0])
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(name, "replace").count("\n")
                raise DataError(
                    f"{path}:{line + before}: byte 0x{error.object[error.start]:02x} at offset "
                    f"{offset - held + error.start:,} is not valid {name}.",
                    fix="Give the file's true encoding; without --encoding, likely ones are named.",
                ) from None
            offset += len(block)
            line += text.count("\n")
            yield text
            if not block:
                return


def _decode_leniently(path: str, warn: Warn) -> Iterator[str]:
    pending, warned = b"", False
    with open_bytes(path) as stream:
        while True:
            block = read_block(stream, BLOCK, path)
            data = pending + block
            try:
                text, used = codecs.utf_8_decode(data, "strict", not block)
            except UnicodeDecodeError:
                if not warned:
                    _judge(path, _measure(path), warn)
                    warned = True
                text, used = codecs.utf_8_decode(data, "surrogateescape", not block)
                text = _ESCAPED.sub(_windows_1252, text)
            pending = data[used:]
            yield text
            if not block:
                return


def _judge(path: str, damage: _Damage, warn: Warn) -> None:
    """Warn of bytes that are not UTF-8, or refuse the file when there are too many."""
    place = f"{path}:{damage.line}: byte 0x{damage.byte:02x} at offset {damage.offset:,}"
    if damage.invalid > TOLERATED * damage.total:
        raise DataError(
            f"{place} is not UTF-8. In all, {damage.invalid:,} of {damage.total:,} bytes are not.",
            fix=f"Say which encoding it has. With --encoding windows-1252 (Windows in Western "
            f"Europe) the place reads: {damage.around.decode('windows-1252', 'replace').strip()!r}."
            " Others are windows-1250, windows-1251, mac-roman, shift_jis, gb18030.",
        )
    others = damage.invalid - 1
    also = f" (and so are {others:,} more)" if others else ""
    warn(f"{place} is not UTF-8{also}; read as Windows-1252.")


def _measure(path: str) -> _Damage:
    invalid = total = line_ends = 0
    first: _Damage | None = None
    pending = b""
    with open_bytes(path) as stream:
        while True:
            block = read_block(stream, BLOCK, path)
            data = pending + block
            start = total - len(pending)
            total += len(block)
            try:
                _, used = codecs.utf_8_decode(data, "strict", not block)
            except UnicodeDecodeError as error:
                if first is None:
                    line = line_ends + data.count(b"\n", 0, error.start) + 1
                    before, after = data[: error.start][-_AROUND:], data[error.start :][:_AROUND]
                    around = before.split(b"\n")[-1] + after.split(b"\n")[0]
                    place = start + error.start
                    first = _Damage(0, 0, data[error.start], place, line, around)
                text, used = codecs.utf_8_decode(data, "surrogateescape", not block)
                invalid += len(_ESCAPED.findall(text))
            line_ends += data.count(b"\n", 0, used)
            pending = data[used:]
            if not block:
                break
    return (first or _Damage(0, 0, 0, 0, 1))._replace(invalid=invalid, total=total)


def _windows_1252(match: re.Match[str]) -> str:
    byte = bytes([ord(match.group()) - 0xDC00])
    try:
        return byte.decode("windows-1252")
    except UnicodeDecodeError:
        # Five bytes have no character there; browsers read them as control characters.
        return byte.decode("latin-1")
