from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.errors import DataError

from .conftest import Read

openpyxl = pytest.importorskip("openpyxl")

TEXT = st.text(
    st.characters(min_codepoint=32, exclude_categories=("Cs", "Cn", "Co", "Cc")),
    max_size=200,  # a longer one is no field
)


def write(path: Path, **sheets: list[list[Any]]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)


def test_golden(tmp_path: Path, read: Read, warnings: list[str]) -> None:
    path = tmp_path / "t.xlsx"
    day = datetime.datetime(2024, 1, 31)
    rows = [["no", "day", "story"], [1.0, day, "One\nday"], [2, day, 'Two, "both"'], [3], []]
    write(path, Empty=[], Stories=[*rows, [4, None, None, "astray"]], Notes=[["x"]])
    (choice,) = formats.describe([path], DataConfig()).choices
    assert "the rows of sheet 'Stories', not those of Notes" in choice.says
    found = read(path, skip_bad_rows=True)
    assert [d.text for d in found] == ["One\nday", 'Two, "both"']
    assert found[0].fields["day"] == "2024-01-31"
    assert found[0].fields["no"] == "1"
    assert [text.partition("xlsx:")[2][:8] for text in warnings] == ["6: 1 row", "4: 1 row"]
    with pytest.raises(DataError, match=r"t.xlsx:6: this row has 4 columns"):
        read(path)


@given(rows=st.lists(st.tuples(TEXT, TEXT.filter(lambda text: bool(text.strip()))), min_size=1))
def test_a_workbook_gives_back_its_rows(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("f") / "t.xlsx"
    book = openpyxl.Workbook()
    book.active.append(["category", "text"])
    for number, row in enumerate(rows, 2):
        for column, value in enumerate(row, 1):
            book.active.cell(number, column, value).data_type = "s"  # no formula
    book.save(path)
    found = formats.read([path], DataConfig(text_column="text"), print)
    assert [(d.fields["category"], d.text) for d in found] == rows


def test_bad_workbooks(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.xlsx"
    path.write_bytes(b"PK nothing")
    with pytest.raises(DataError, match="is not an Excel workbook"):
        read(path)
    write(path, Empty=[])
    with pytest.raises(DataError, match="is empty"):
        read(path)
