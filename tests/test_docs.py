"""What the documentation tells people to type is understood, and its Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from penwright.cli import list_verbs, make_app, run
from penwright.cli.options import spell_out

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def commands(page: Path) -> list[str]:
    found = []
    for language in ("", "sh", "bash", "console"):
        for block in blocks(page, language):
            for line in block.replace("\\\n", " ").splitlines():
                line = line.split("  #")[0].strip().removeprefix("$ ").removeprefix(".venv/bin/")
                if line.startswith("penwright "):
                    found.append(line.split(" > ")[0])
    inline = re.findall(r"`(penwright [^`]+)`", page.read_text("utf-8"))
    return found + [line for line in inline if "..." not in line and " / " not in line]


CASES = [(page.name, command) for page in PAGES for command in commands(page)]


def test_there_is_something_to_check():
    assert len(CASES) > 15
    documented = {shlex.split(command)[1] for _, command in CASES}
    assert {"quickstart", "inspect", "finetune", "write", "generate", "evaluate"} <= documented


@pytest.mark.parametrize(("page", "command"), CASES)
def test_a_documented_command_is_understood(page, command):
    words = shlex.split(command)[1:]
    if len(words) == 1 and words[0] in list_verbs():
        assert run([words[0], "--help"]) == 0, page
        return
    words = ["--n" if word == "-n" else "--output" if word == "-o" else word for word in words]
    make_app().parse_args(spell_out(words, set), print_error=False, exit_on_error=False)


def test_the_readme_s_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    rows = "".join(f'"Title {n}","Once, {n} geese came to tea."\n' for n in range(12))
    (tmp_path / "stories.csv").write_text("prompt,story\n" + rows)
    (snippet,) = blocks(ROOT / "README.md", "python")
    exec(compile(snippet, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    before, after = map(float, lines[0].split())
    assert after < before
