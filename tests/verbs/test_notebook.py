"""Live curves and the report in a notebook; without one nothing changes."""

from __future__ import annotations

import html
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest

import penwright

TEXT = "The goose asked for tea. Nobody had told her that it was raining on the harbour.\n\n"


@pytest.fixture
def train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text(TEXT * 20)

    def run():
        return penwright.finetune(
            "a.txt", model="base", steps=3, max_length=32, batch_size=2, sample_every=0,
            evaluate_every=2, method="lora", name="a", overwrite=True,
        )  # fmt: skip

    return run


@pytest.fixture
def notebook(monkeypatch):
    """A stand-in for IPython in a kernel; the pages that were shown, in order."""
    shown = []

    class Handle:
        def update(self, element):
            shown.append(element)

    def display(element, display_id):
        assert display_id
        shown.append(element)
        return Handle()

    module, parts = ModuleType("IPython"), ModuleType("IPython.display")
    module.get_ipython = lambda: SimpleNamespace(kernel=object())
    parts.HTML, parts.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", module)
    monkeypatch.setitem(sys.modules, "IPython.display", parts)
    return shown


def page_of(element):
    """The page in a frame."""
    return html.unescape(
        re.fullmatch(r'<div><iframe srcdoc="([^"]*)" .*></iframe></div>', element, re.S)[1]
    )


def test_curves_grow_while_it_trains_and_the_report_is_shown(train, notebook):
    run = train()
    assert notebook[0] == ""
    first, last = page_of(notebook[1]), page_of(notebook[-1])
    assert first.startswith("<!DOCTYPE html>")
    assert "<svg" in last
    assert len(last) > len(first)
    assert len(notebook) < 12
    assert page_of(run._repr_html_()) == run.report.read_text(encoding="utf-8")
    run.report.unlink()
    assert run._repr_html_() is None


def test_a_terminal_of_ipython_is_no_notebook(train, notebook, monkeypatch):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: SimpleNamespace())
    train()
    assert notebook == []
