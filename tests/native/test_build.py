"""The library is compiled once, into the cache; without it, PyTorch computes."""

from __future__ import annotations

import pytest

from penwright import native
from penwright.errors import UsageError
from penwright.native import build
from tests.native.conftest import LIBRARIES, needs_library


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path))
    monkeypatch.delenv("PENWRIGHT_NATIVE", raising=False)
    return tmp_path


@needs_library
def test_compiled_once_and_said_once(cache):
    said: list[str] = []
    first = native.load(said.append)
    assert first is not None
    assert cache in first.path.parents
    assert native.load(said.append) is first
    assert said == [f"Compiled the native library, once, into {first.path}."]
    assert first.variant == list(LIBRARIES)[-1]
    assert native.describe() == f"native decoder, {first.variant} ({first.path})"


def test_without_a_compiler(cache, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    said: list[str] = []
    assert native.load(said.append) is None
    assert native.describe() == "PyTorch (there is no C compiler)"
    assert said == []
    assert list(cache.iterdir()) == []


def test_a_compiler_that_fails_is_tried_once(cache, monkeypatch):
    compiler = cache / "cc"
    compiler.write_text("#!/bin/sh\necho x >> $0.calls\necho 'error: no headers' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    said: list[str] = []
    assert native.load(said.append) is None
    assert len(said) == 1
    assert "error: no headers" in said[0]
    calls = (cache / "cc.calls").read_text()
    assert native.load(said.append) is None
    assert "no headers; delete" in native.describe()
    assert (cache / "cc.calls").read_text() == calls
    assert len(said) == 1


def test_a_cache_that_cannot_be_written(cache, monkeypatch):
    (cache / "file").write_text("")
    monkeypatch.setenv("PENWRIGHT_CACHE", str(cache / "file"))
    if build.find_compiler() is None:
        pytest.skip("there is no C compiler")
    assert native.load() is None
    assert "could not be written" in native.describe()


def test_switched_off(monkeypatch):
    monkeypatch.setenv("PENWRIGHT_NATIVE", "torch")
    assert native.load() is None
    assert native.describe() == "PyTorch (PENWRIGHT_NATIVE=torch)"


@needs_library
@pytest.mark.parametrize("variant", list(LIBRARIES))
def test_the_variable_chooses_the_instruction_set(monkeypatch, variant):
    monkeypatch.setenv("PENWRIGHT_NATIVE", variant)
    library = native.load()
    assert library is not None
    assert library.variant == variant


def test_an_unknown_instruction_set(monkeypatch):
    monkeypatch.setenv("PENWRIGHT_NATIVE", "sse9")
    with pytest.raises(UsageError, match="sse9"):
        native.load()
