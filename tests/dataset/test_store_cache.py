"""Stores in the cache: used again as long as the files are read in the same way."""

from __future__ import annotations

from pathlib import Path

import pytest

from penwright.config import DataConfig
from penwright.dataset.store_cache import open_data
from penwright.tokens import Tokenizer


def test_a_store_of_files_that_were_read_otherwise_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.csv"
    path.write_text("text\nOne day.\nAnother day.\n")
    store = open_data([path], DataConfig(), Tokenizer.gpt2(), print).store
    header = store.folder / "header.json"
    written = header.read_text()
    header.write_text(written.replace('"format": "csv"', '"format": "text"'))
    assert header.read_text() != written
    again = open_data([path.rename(tmp_path / "b.csv")], DataConfig(), Tokenizer.gpt2(), print)
    assert '"format": "csv"' in header.read_text()
    assert again.store.n_documents == 2
    made = header.stat().st_mtime_ns
    open_data([tmp_path / "b.csv"], DataConfig(), Tokenizer.gpt2(), print)
    assert header.stat().st_mtime_ns == made
