from __future__ import annotations

import json
import subprocess
import sys


def write_rows(folder):
    rows = ["text", *(f"Row {n} is about geese &amp; owls on a pond." for n in range(30))]
    (folder / "rows.csv").write_text("\n".join([*rows, rows[-1]]))


def test_the_page_says_what_where_and_what_to_type(penwright, tmp_path):
    write_rows(tmp_path)
    said = penwright("inspect", "rows.csv", "--model", "base", "--windows", "1")
    assert said.code == 0
    lines = [line.strip() for line in said.out.splitlines()]
    at = next(n for n, line in enumerate(lines) if "repeats an earlier one exactly" in line)
    assert lines[at + 1 : at + 3] == [
        "line 32 repeats line 31",
        "Leave them out with --drop-duplicates.",
    ]
    assert any("hold HTML entities" in line for line in lines)
    for word in ("shortest", "longest", "cut", "white space"):
        assert any(line.startswith(word) for line in lines)
    assert len(lines) < 40


def test_json_and_html_hold_the_same_findings(penwright, tmp_path):
    write_rows(tmp_path)
    said = penwright("inspect", "rows.csv", "--model", "base", "--json", "--html", "page.html")
    found = json.loads(said.out)
    assert {item["name"] for item in found["findings"]} >= {"duplicates", "entities"}
    page = (tmp_path / "page.html").read_text()
    assert "&amp;amp;" in page, "a finding's text is escaped"
    for item in found["findings"]:
        assert item["says"].split("&")[0].split("'")[0][:40] in page


def test_a_model_is_described_from_its_headers_without_torch(penwright, tmp_path):
    said = penwright("inspect", "base")
    assert said.code == 0
    assert "6,967,296" in said.out
    assert json.loads(penwright("inspect", "base", "--json").out)["layers"] == 6
    code = (
        "import sys; from penwright.cli import run; run(['inspect', 'base']); "
        "print([m for m in ('torch', 'tokenizers', 'safetensors') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
