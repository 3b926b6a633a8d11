"""Texts that gpt-2-simple or nshepperd's gpt-2 have already encoded: arrays of GPT-2's ids."""

from __future__ import annotations

import codecs
import gzip
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt

from penwright.config import DataConfig
from penwright.errors import DataError
from penwright.formats.plain import TextReader, find_rule
from penwright.formats.reader import Choice, Input
from penwright.formats.streams import open_bytes
from penwright.markers import END_OF_TEXT

STRETCH = 1 << 20
"""Ids decoded at a time."""


def open_npz(item: Input, data: DataConfig) -> TextReader:
    """Open an archive of arrays of GPT-2's token ids, as the text that they spell."""
    for _ in _arrays(item.path):
        break
    pattern, says = find_rule(data)
    choice = Choice(item.path, "npz", says=f"GPT-2's ids are turned back into text; {says}")
    return TextReader(choice, pattern, lambda _: _blocks(item.path))


def _blocks(path: str) -> Iterator[str]:
    spell = gpt2_bytes()
    for name, ids in _arrays(path):
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < len(spell):
            raise DataError(f"{path}: array {name} holds ids that GPT-2 does not have.")
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for start in range(0, len(ids), STRETCH):
            part = ids[start : start + STRETCH].tolist()
            yield decoder.decode(b"".join([spell[i] for i in part]))
        yield decoder.decode(b"", final=True) + f"\n{END_OF_TEXT}\n"


def _arrays(path: str) -> Iterator[tuple[str, npt.NDArray[np.integer]]]:
    try:
        # Pickled arrays can run anything, so they are refused.
        with open_bytes(path) as stream, np.load(stream, allow_pickle=False) as archive:
            for name in archive.files:
                ids = archive[name]
                if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
                    raise DataError(f"{path}: array {name} is not a row of token ids.")
                yield name, ids
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile):
        raise DataError(
            f"{path} is not an .npz of token ids, or a damaged one.",
            fix="Encode its text again, or give the text itself.",
        ) from None


@cache
def gpt2_bytes() -> list[bytes]:
    """Return the bytes of each of GPT-2's token ids: single bytes, merges in order, end of text."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(printable))
    value = {chr(byte): byte for byte in printable}
    value |= {chr(256 + i): byte for i, byte in enumerate(others)}
    packed = (resources.files("penwright") / "assets/gpt2/merges.txt.gz").read_bytes()
    merges = gzip.decompress(packed).decode().splitlines()[1:]
    spelled = [*value, *(merge.replace(" ", "") for merge in merges)]
    return [*(bytes(value[letter] for letter in token) for token in spelled), END_OF_TEXT.encode()]
