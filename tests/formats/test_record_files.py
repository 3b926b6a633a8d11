from __future__ import annotations

import datetime
import math
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import formats
from penwright.config import DataConfig
from penwright.errors import DataError

from .conftest import Read

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

TEXT = st.text(st.characters(exclude_categories=("Cs",)))
TIMES = st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2200, 1, 1))
COLUMNS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "string": (pa.string(), TEXT),
    "large": (pa.large_string(), TEXT),
    "binary": (pa.binary(), TEXT.map(str.encode)),
    "int": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "float": (pa.float64(), st.floats()),
    "float32": (pa.float32(), st.floats(width=32)),
    "bool": (pa.bool_(), st.booleans()),
    "decimal": (pa.decimal128(9, 2), st.integers(-999, 999).map(lambda n: Decimal(n).scaleb(-2))),
    "time": (pa.timestamp("ns"), TIMES),
    "zone": (pa.timestamp("us", "UTC"), TIMES),
    "date": (pa.date32(), st.dates()),
    "duration": (pa.duration("ns"), st.integers(0, 10**15)),
    "strings": (pa.list_(pa.string()), st.lists(st.none() | TEXT, max_size=3)),
    "numbers": (pa.list_(pa.int64()), st.lists(st.integers(0, 9), max_size=3)),
    "times": (pa.list_(pa.timestamp("ns")), st.lists(st.integers(0, 2**40), max_size=2)),
    "struct": (pa.struct([("text", pa.string())]), st.fixed_dictionaries({"text": TEXT})),
    "map": (pa.map_(pa.string(), pa.string()), st.just([("a", "b")])),
    "none": (pa.null(), st.none()),
}


NESTED = ("numbers", "times", "struct", "map")


def expected(kind: str, value: Any) -> str:
    """What a person would write for a value; written apart from the code that is tested."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if kind == "binary":
        return str(value, "utf-8")
    if kind in ("float", "float32"):
        if value == int(value) if math.isfinite(value) and abs(value) < 1e16 else False:
            return f"{value:.0f}"
        return (
            str(float(str(pa.array([value], pa.float32()).to_numpy()[0])))
            if (kind == "float32")
            else str(value)
        )
    if kind == "bool":
        return "true" if value else "false"
    if kind == "duration":
        return str(datetime.timedelta(microseconds=value // 1000))
    if kind in ("time", "zone"):
        whole, _, fraction = str(value).partition(".")
        fraction = "." + fraction.rstrip("0") if fraction else ""
        return whole + fraction + ("Z" if kind == "zone" else "")
    if kind == "strings":
        return "\n".join(text for text in value if text is not None)
    return str(value)


@given(data=st.data(), kind=st.sampled_from(sorted(COLUMNS)))
def test_learned_text_is_in_the_file_and_rows_are_accounted_for(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    arrow, cells = COLUMNS[kind]
    values = data.draw(st.lists(st.none() | cells, min_size=1, max_size=6))
    path = tmp_path_factory.mktemp("f") / "t.parquet"
    table = pa.table({"x": pa.array(values, arrow), "id": pa.array(range(len(values)))})
    parquet.write_table(table, path, row_group_size=3)
    warned: list[str] = []
    refused = kind in NESTED and any(value is not None for value in values)
    shown = [] if refused else [expected(kind, value) for value in values]
    if not any(text.strip() for text in shown):
        with pytest.raises(DataError):
            list(formats.read([path], DataConfig(text_column="x"), warned.append))
        return
    documents = list(formats.read([path], DataConfig(text_column="x"), warned.append))
    skipped = sum(int(n) for w in warned for n in re.findall(r": (\d+) row", w))
    assert len(documents) + skipped == len(values)
    assert [d.learned for d in documents] == [text for text in shown if text.strip()]


def test_values_as_people_write_them(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.parquet"
    columns = {
        "text": pa.array([b"Ein K\xc3\xa4se", None], pa.binary()),
        "whole": pa.array([3.0, float("nan")]),
        "narrow": pa.array([0.1, None], pa.float32()),
        "day": pa.array([datetime.datetime(2024, 5, 1), None], pa.timestamp("ns")),
        "tags": pa.array([["a", None, "b"], []]),
        "vector": pa.array([[0.5], [1.5]]),
    }
    parquet.write_table(pa.table(columns), path)
    (document,) = read(path, text_column="text")
    assert document.text == "Ein Käse"
    assert document.fields == {
        "text": "Ein Käse",
        "whole": "3",
        "narrow": "0.1",
        "day": "2024-05-01 00:00:00",
        "tags": "a\nb",
    }
    with pytest.raises(DataError, match="row 1: 'vector' holds a list of something other than"):
        read(path, text_column="vector")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"text": [b"good", b"\xff\xd8"]}), path)
    with pytest.raises(DataError, match="row 2: 'text' holds bytes that are not UTF-8"):
        read(path)


def test_a_chat_in_structs(tmp_path: Path, read: Read) -> None:
    path = tmp_path / "t.parquet"
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    parquet.write_table(pa.table({"messages": [chat, chat]}), path)
    assert [d.text for d in read(path)] == ["User: Hi\nAssistant: Hello"] * 2
