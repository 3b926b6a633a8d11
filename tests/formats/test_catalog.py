from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from penwright.config import FormatName
from penwright.formats import detect
from penwright.formats.catalog import FORMATS, SUFFIXES


def test_the_option_names_the_formats_of_the_table() -> None:
    assert {"auto", *FORMATS} == set(get_args(FormatName))


def test_formats_that_share_a_suffix_can_be_told_apart() -> None:
    for suffix in SUFFIXES:
        *others, last = (kind for kind in FORMATS.values() if suffix in kind.suffixes)
        assert all(kind.recognize for kind in others), f"{suffix} never reaches {last.help}"


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_a_suffix_finds_one_of_its_formats_whatever_the_file_holds(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"FILE{suffix.upper()}"
    path.write_bytes(b"\x00\xff{[<")
    assert suffix in FORMATS[detect(path)].suffixes
