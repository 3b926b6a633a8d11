"""The examples of docs/serving.md run against a server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")


def blocks(language: str, live) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)
    return [text.replace("http://127.0.0.1:8000", live.address) for text in found]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_requests_by_curl(live):
    commands = blocks("sh", live)
    assert commands
    for command in commands:
        said = subprocess.run(
            ["bash", "-c", command], check=True, capture_output=True, text=True
        ).stdout
        answers = re.findall(r"^data: (\{.*\})$", said, re.M) or [said]
        assert "error" not in [json.loads(answer) for answer in answers]


def test_the_python(live, capsys):
    pytest.importorskip("openai", reason="the examples use OpenAI's client")
    examples = blocks("python", live)
    assert examples
    for example in examples:
        exec(compile(example.replace('"base"', '"tiny"'), "serving.md", "exec"), {})
        assert capsys.readouterr().out.strip()
