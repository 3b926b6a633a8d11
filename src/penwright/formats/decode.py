"""Decode files block by block: encodings, byte order marks, line ends, invalid bytes."""

from __future__ import annotations

import codecs
import io
import re
from collections import Counter
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
_WESTERN = {"windows-1252": "Windows in Western Europe", "mac-roman": "old Macs"}
"""The encodings that are guessed, and who writes them; the first where both are as likely."""
_USUAL = frozenset("áàâäãåæçéèêëíìîïñóòôöõøœúùûüß‘’“”–—…«»¿¡€£°\u00a0")
"""What texts in Western languages use besides ASCII and capitals."""
_AROUND = 30
"""Bytes on each side of an invalid one that a message shows."""
_ESCAPED = re.compile("[\udc80-\udcff]")
_AFTER = re.compile("([a-z]?)([\udc80-\udcff])")


class _Damage(NamedTuple):
    """Invalid UTF-8: its bytes, the file's size, and the first one's value and place."""

    invalid: Counter[tuple[str, str]]
    """How often each byte, as a surrogate escape, follows each small letter or none."""
    total: int
    byte: int
    offset: int
    line: int
    around: bytes = b""
    """The bytes of the first one's line on both sides of it."""

    @property
    def likely(self) -> str:
        """The encoding of `_WESTERN` in which more of the bytes are usual in their places.

        Curly quotes of one are capitals of the other (0xD2 is “ or Ò), and so are small letters
        (0xE9 is é or È): capitals are not usual within a word.
        """

        def usual(encoding: str) -> int:
            said = 0
            for (before, byte), times in self.invalid.items():
                character = _read_escapes(byte, encoding)
                capital = character.isupper() and character.lower() in _USUAL and not before
                said += times * (capital or character in _USUAL)
            return said

        return max(_WESTERN, key=usual)


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

    Bytes that are not UTF-8 are read as Windows-1252 or Mac Roman, with one warning, when there
    are few of them and no encoding was given; otherwise they raise DataError.
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


def guess_encoding(path: str) -> str:
    """Return windows-1252 or mac-roman, the likelier encoding of a file that is not UTF-8."""
    return _measure(path).likely


def _decode_leniently(path: str, warn: Warn) -> Iterator[str]:
    pending, guess = b"", ""
    with open_bytes(path) as stream:
        while True:
            block = read_block(stream, BLOCK, path)
            data = pending + block
            try:
                text, used = codecs.utf_8_decode(data, "strict", not block)
            except UnicodeDecodeError:
                if not guess:
                    damage = _measure(path)
                    _judge(path, damage, warn)
                    guess = damage.likely
                text, used = codecs.utf_8_decode(data, "surrogateescape", not block)
                text = _read_escapes(text, guess)
            pending = data[used:]
            yield text
            if not block:
                return


def _judge(path: str, damage: _Damage, warn: Warn) -> None:
    """Warn of bytes that are not UTF-8, or refuse the file when there are too many."""
    place = f"{path}:{damage.line}: byte 0x{damage.byte:02x} at offset {damage.offset:,}"
    invalid, likely = damage.invalid.total(), damage.likely
    if invalid > TOLERATED * damage.total:
        others = (*(name for name in _WESTERN if name != likely), "windows-1250", "windows-1251")
        raise DataError(
            f"{place} is not UTF-8. In all, {invalid:,} of {damage.total:,} bytes are not.",
            fix=f"Say which encoding it has. With --encoding {likely} ({_WESTERN[likely]}) the "
            f"place reads: {damage.around.decode(likely, 'replace').strip()!r}. "
            f"Others are {', '.join(others)}, shift_jis, gb18030.",
        )
    also = f" (and so are {invalid - 1:,} more)" if invalid > 1 else ""
    warn(f"{place} is not UTF-8{also}; read as {likely}. --encoding sets another.")


def _measure(path: str) -> _Damage:
    total = line_ends = 0
    invalid: Counter[tuple[str, str]] = Counter()
    first: _Damage | None = None
    pending, letter = b"", ""  # a small letter before them
    with open_bytes(path) as stream:
        while True:
            block = read_block(stream, BLOCK, path)
            data = pending + block
            start = total - len(pending)
            total += len(block)
            try:
                text, used = codecs.utf_8_decode(data, "strict", not block)
            except UnicodeDecodeError as error:
                if first is None:
                    line = line_ends + data.count(b"\n", 0, error.start) + 1
                    before, after = data[: error.start][-_AROUND:], data[error.start :][:_AROUND]
                    around = before.split(b"\n")[-1] + after.split(b"\n")[0]
                    place = start + error.start
                    first = _Damage(invalid, 0, data[error.start], place, line, around)
                text, used = codecs.utf_8_decode(data, "surrogateescape", not block)
                invalid.update(_AFTER.findall(letter + text))
            letter = text[-1:] if "a" <= text[-1:] <= "z" else ""
            line_ends += data.count(b"\n", 0, used)
            pending = data[used:]
            if not block:
                break
    return (first or _Damage(invalid, 0, 0, 0, 1))._replace(total=total)


def _read_escapes(text: str, encoding: str) -> str:
    """Return `text` with the characters of its invalid bytes, which are surrogate escapes."""

    def read(match: re.Match[str]) -> str:
        byte = bytes([ord(match[0]) - 0xDC00])
        try:
            return byte.decode(encoding)
        except UnicodeDecodeError:
            # Windows-1252 lacks five bytes; browsers read them as control characters.
            return byte.decode("latin-1")

    return _ESCAPED.sub(read, text)
