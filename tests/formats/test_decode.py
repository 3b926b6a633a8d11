from __future__ import annotations

import io
import re
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.errors import DataError, UsageError
from penwright.formats import decode

TEXT = st.text(st.characters(exclude_categories=("Cs",)))


def read_all(path: Path, encoding: str | None = None) -> tuple[str, list[str]]:
    warnings: list[str] = []
    return "".join(decode.read_blocks(str(path), encoding, warnings.append)), warnings


@given(
    text=TEXT,
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "gb18030"]),
    block=st.integers(1, 9),
)
def test_text_survives_any_encoding_and_block_size(
    tmp_path_factory: pytest.TempPathFactory, text: str, codec: str, block: int
) -> None:
    text = "a" + text  # so that U+FEFF does not come first, which is a byte order mark
    path = tmp_path_factory.mktemp("f") / "text"
    path.write_bytes(text.encode(codec))
    given_codec = codec if codec in ("utf-16-le", "gb18030") else None
    if given_codec is None and codec == "utf-8" and "\0" in text:
        given_codec = codec
    with mock.patch.object(decode, "BLOCK", block):
        found, warnings = read_all(path, given_codec)
    assert found == io.TextIOWrapper(io.BytesIO(text.encode("utf-8")), "utf-8").read()
    assert warnings == []


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_few_bad_bytes_are_windows_1252_with_one_warning(tmp_path: Path, block: int) -> None:
    path = tmp_path / "one.txt"
    path.write_bytes("é\r\n".encode() * 500 + b"means\xdf\r\n" + b"caf\xe9 " + b"x" * 1000)
    with mock.patch.object(decode, "BLOCK", block):
        text, warnings = read_all(path)
    # What was UTF-8 stays so, though the file is not.
    assert text == "é\n" * 500 + "meansß\ncafé " + "x" * 1000
    assert warnings == [
        f"{path}:501: byte 0xdf at offset 2,005 is not UTF-8 (and so are 1 more); "
        "read as windows-1252. --encoding sets another."
    ]


def test_undefined_windows_1252_bytes_do_not_stop_reading(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_bytes(b"x" * 5000 + b"\x81")
    assert read_all(path)[0][-1] == "\x81"


def test_many_bad_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"un\ncaf\xe9\n")
    said = r"latin.txt:2: byte 0xe9 at offset 6 .* 1 of 8 bytes.*windows-1252 .* reads: 'café'"
    with pytest.raises(DataError, match=said):
        read_all(path)
    assert read_all(path, "windows-1252")[0] == "un\ncafé\n"


CURLY_AND_SMALL = "’“”‘–—…áàâäãåæçéèêëíìîïñóòôöõøùúûüß"
CLEAR = ["don’t", "“so”", "café", "über", "naïve", "garçon", "été…", "là"]
UNCLEAR = ["plain", "señor", "cómo", "aquí", "Ärger", "À", "SEÑOR", "RENÉ", "½"]


@given(
    words=st.lists(
        st.tuples(
            st.from_regex("[A-Za-zÀÉÖÜ]?[a-z]+", fullmatch=True), st.sampled_from(CURLY_AND_SMALL)
        ).map("".join),
        min_size=1,
    )
)
def test_windows_1252_is_never_taken_for_mac_roman(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    path = tmp_path_factory.mktemp("f") / "text"
    path.write_bytes(" ".join(words).encode("windows-1252"))
    assert decode.guess_encoding(str(path)) == "windows-1252"


@given(
    clear=st.lists(st.sampled_from(CLEAR), min_size=1),
    others=st.lists(st.sampled_from(UNCLEAR)),
    encoding=st.sampled_from(["windows-1252", "mac-roman"]),
)
@example(clear=["“so”"], others=[], encoding="mac-roman")
def test_the_likelier_encoding_is_offered_first_and_reads_the_text(
    tmp_path_factory: pytest.TempPathFactory, clear: list[str], others: list[str], encoding: str
) -> None:
    if encoding == "mac-roman":
        others = [word.replace("½", "π") for word in others]
    text = " ".join([*others, *clear])
    path = tmp_path_factory.mktemp("f") / "text"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError) as caught:
        read_all(path)
    offered = re.search(r"--encoding (\S+)", caught.value.fix or "")
    assert offered is not None
    assert offered[1] == encoding
    assert read_all(path, offered[1])[0] == text


def test_few_bytes_of_mac_roman_are_read_as_such(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    text = "It doesn’t matter, said the baker. " + "He went on with his bread. " * 100
    path.write_bytes(text.encode("mac-roman"))
    found, (warning,) = read_all(path)
    assert found == text
    assert warning.endswith("read as mac-roman. --encoding sets another.")


def test_a_given_encoding_is_meant_strictly(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    path.write_bytes(b"x\n" * 5000 + b"\xdf")
    with pytest.raises(DataError, match=r"one.txt:5001: byte 0xdf at offset 10,000 is not valid"):
        read_all(path, "utf-8")


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        read_all(tmp_path / "none")
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(DataError, match="is empty"):
        read_all(empty)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\x7fELF\0\0")
    with pytest.raises(DataError, match="is a binary file"):
        read_all(binary)
    with pytest.raises(UsageError, match="Did you mean 'utf-8'"):
        read_all(binary, "utf-88")


@given(lines=st.lists(TEXT.map(lambda text: text.replace("\r", "").replace("\n", ""))))
def test_only_line_ends_end_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = tmp_path_factory.mktemp("f") / "lines"
    path.write_bytes("".join(f"{line}\r\n" for line in ["a", *lines]).encode())
    with mock.patch.object(decode, "BLOCK", 5):
        assert list(decode.read_lines(str(path), "utf-8", print)) == ["a", *lines]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"one\r\ntwo\r\n", "text, utf-8, CRLF line ends"),
        (b"one\rtwo\r", "text, utf-8, CR line ends"),
        (b"one\r\ntwo\n", "text, utf-8, mixed line ends"),
        (b"one\ntwo\n", "text, utf-8"),
        (b"one", "text, utf-8"),
        ("one\r\ntwo\r\n".encode("utf-16"), "text, utf-16, CRLF line ends"),
    ],
)
def test_line_ends_are_told(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(content)
    assert formats.describe([path], DataConfig()).choices[0].kind == says
