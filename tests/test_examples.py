"""The notebooks and scripts of examples/ run: with a tiny model, and as they are in slow tests."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sys
from importlib.resources import files
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("known_speed")
EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """One cache for all, so that the machine is measured once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def place(tmp_path, cache, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(cache))
    return tmp_path


@pytest.fixture(scope="module")
def little(tmp_path_factory) -> Path:
    """The first few texts of each bundled sample."""
    whole = Path(str(files("penwright") / "assets" / "samples"))
    part = tmp_path_factory.mktemp("samples")
    for path in (*whole.glob("stories.wp_*"), *whole.glob("*.csv"), *whole.glob("*.txt")):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        kept = (
            lines[:200]
            if path.suffix == ".txt"
            else [line.rstrip("\n")[:400] + "\n" for line in lines[:16]]
        )
        (part / path.name).write_text("".join(kept), "utf-8")
    shutil.copy(whole / "completion.jsonl", part)
    shutil.copytree(whole / "sitcom", part / "sitcom")
    return part


def run_cells(notebook: Path, changes: dict[str, str]) -> dict[str, object]:
    """Run the code of a notebook in this process; `changes` replaces values that it begins with."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    names: dict[str, object] = {"Path": Path}
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        code = "".join(cell["source"])
        for name, value in changes.items():
            code = re.sub(rf"^{name} = [^#\n]*", f"{name} = {value} ", code, flags=re.M)
        code = re.sub(r"max_new_tokens=\d+", "max_new_tokens=4", code) if changes else code
        exec(compile(code, f"{notebook.name}: {cell['id']}", "exec"), names)
    return names


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook, tiny_base, little, place, capsys):
    changes = {"MODEL": repr(str(tiny_base)), "STEPS": "2", "samples": f"Path({str(little)!r})"}
    names = run_cells(notebook, changes)
    assert names["run"].steps == 2
    assert (place / "runs" / notebook.stem / "report.html").exists()
    assert len(capsys.readouterr().out) > 100


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_does_what_it_says(notebook, place, capsys):  # noqa: ARG001
    run = run_cells(notebook, {})["run"]
    if notebook.stem == "completion":
        assert "3 of 3" in capsys.readouterr().out
    else:
        assert run.perplexity_after < 0.6 * run.perplexity_before


def test_notebooks_hold_no_output_and_no_machine():
    assert len(NOTEBOOKS) == 5
    for path in NOTEBOOKS:
        notebook = json.loads(path.read_text("utf-8"))
        assert notebook["nbformat"] == 4
        for cell in notebook["cells"]:
            assert not cell.get("outputs")
            assert "/home/" not in "".join(cell["source"])


def test_drafts_are_ordered(tiny_base, place, monkeypatch, capsys):
    (place / "drafts.txt").write_text("The sea was calm.\nThe sea sea sea sea.\n")
    monkeypatch.setattr(sys, "argv", ["rank_drafts.py", str(tiny_base), "drafts.txt"])
    runpy.run_path(str(EXAMPLES / "rank_drafts.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert float(lines[0].split()[0]) <= float(lines[1].split()[0])


def test_two_rates_are_compared(tiny_base, place, monkeypatch, capsys):
    tales = [f"Tale {n}. " + "The goose asked for tea. " * 9 for n in range(20)]
    (place / "story.txt").write_text("<|endoftext|>".join(tales))
    words = ["two_rates.py", "story.txt", "--model", str(tiny_base), "--steps", "2"]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(EXAMPLES / "two_rates.py"), run_name="__main__")
    assert "comparison.html" in capsys.readouterr().out
