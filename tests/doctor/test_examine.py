from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penwright import doctor, formats
from penwright.config import DataConfig
from penwright.doctor import Bin, Piece, count_duplicates
from penwright.doctor.survey import measure_lengths, survey
from penwright.document import Document, Source, Span
from penwright.errors import DataError
from penwright.formats import FileReading
from penwright.tokens.batches import BatchSchedule
from penwright.tokens.bpe import Tokenizer
from penwright.tokens.encode import prepare
from penwright.tokens.store_split import Split


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.gpt2()


def look(folder: Path, tokenizer: Tokenizer, name: str, text: str) -> doctor.Examination:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    data = DataConfig()
    store = prepare(formats.read([path], data, print), tokenizer, folder / "store")
    return doctor.examine(
        formats.describe([path], data),
        formats.read([path], data, print),
        store,
        BatchSchedule(Split.whole(store), "packed", 2, 32, 0),
        tokenizer,
    )


def test_pairs(tmp_path: Path, tokenizer: Tokenizer) -> None:
    row = {"prompt": "Harry Potter is a series of", "completion": "seven fantasy novels"}
    found = look(tmp_path, tokenizer, "one.jsonl", (json.dumps(row) + "\n") * 3)
    assert (found.documents, found.words, found.tokens, found.learned) == (3, 27, 27, 12)
    assert found.duplicates.count == 2
    assert found.duplicates.examples[1][1].endswith("one.jsonl:3")
    assert found.lengths.histogram == (Bin(8, 15, 3),)
    document = (
        Piece("<|endoftext|>", False),
        Piece("Harry Potter is a series of", False),
        Piece(" seven fantasy novels", True),
        Piece("<|endoftext|>", True),
    )
    (window,) = found.windows
    # The last end-of-text token of a document is only ever a target, never an input.
    assert window.documents == (document, document, document)
    assert window.padding == 2
    assert found.cut.padding == 2 / 32
    assert json.loads(json.dumps(found.as_json()))["cut"]["rows"] == 1


def test_a_long_document_goes_on_in_further_rows(tmp_path: Path, tokenizer: Tokenizer) -> None:
    found = look(tmp_path, tokenizer, "long.txt", "word " * 70 + "<|endoftext|>short one")
    assert found.cut.longer == 1
    assert "1 longer one goes on" in found.cut.says
    assert (found.lengths.shortest, found.lengths.longest) == (2, 71)
    shown = "".join(piece.text for window in found.windows for piece in window.pieces)
    assert shown.count("word") >= 70


def test_another_store_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    documents = [Document((Span(text),), Source("x")) for text in "abc"]
    store = prepare(documents, tokenizer, tmp_path / "store")
    plan = BatchSchedule(Split.whole(store), "packed", 2, 32, 0)
    with pytest.raises(DataError, match="has 2 documents, but the token store has 3"):
        doctor.examine(FileReading(()), documents[:2], store, plan, tokenizer)


@given(numbers=st.lists(st.integers(0, 5)))
def test_duplicates_are_those_seen_before(numbers: list[int]) -> None:
    count, pairs = count_duplicates(np.array(numbers, dtype=np.int64))
    expected = [(numbers.index(n), i) for i, n in enumerate(numbers) if n in numbers[:i]]
    assert (count, pairs) == (len(expected), expected)


@given(lengths=st.lists(st.integers(0, 5000), min_size=1))
def test_the_histogram_counts_each_once(lengths: list[int]) -> None:
    found = measure_lengths(np.array(lengths, dtype=np.int64))
    for b in found.histogram:
        assert b.count == sum(b.low <= n <= b.high for n in lengths)
    assert sum(b.count for b in found.histogram) == len(lengths)
    assert (found.shortest, found.longest) == (min(lengths), max(lengths))


def test_pieces_are_surveyed_as_one_document() -> None:
    whole = [Document((Span("one two three"),), Source("a", 3))]
    pieces = [
        Document((Span("one two"),), Source("a", 3), more=True),
        Document((Span(" three"),), Source("a", 9), more=True),
        Document((), Source("a", 10)),
    ]
    a, b = survey(whole), survey(pieces)
    assert a.digests == b.digests
    assert (
        (a.words, a.characters, a.place(0)) == (b.words, b.characters, b.place(0)) == (3, 13, "a:3")
    )
