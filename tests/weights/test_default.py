"""The model that is used when none is named; the Hub is a server of ours, or is not there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penwright import weights
from penwright.model import GPT2, SIZES
from penwright.tokens import Tokenizer

from .hub_server import Hub, serving

CHOOSE = """
import sys
from penwright import weights
said = []
print(weights.choose_model(sys.argv[1] if sys.argv[1:] else None, said.append))
print("|".join(said))
"""


@pytest.fixture
def server(saved: tuple[Path, GPT2]) -> Iterator[Hub]:
    files = {file.name: file.read_bytes() for file in saved[0].iterdir()}
    with serving(Hub({"gpt2": files})) as made:
        yield made


def run(code: str, home: Path, url: str, *words: str, **environment: str) -> tuple[list[str], str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    settings = {"HF_HOME": str(home / "hub"), "HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=kept | settings | {"PENWRIGHT_CACHE": str(home / "cache")} | environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


def test_a_named_model_is_taken_without_a_word(tmp_path: Path) -> None:
    assert run(CHOOSE, tmp_path, "http://127.0.0.1:9", "mine")[0] == ["mine", ""]


def test_the_hub_answers_and_gpt2_is_downloaded_once(server: Hub, tmp_path: Path) -> None:
    command = "from penwright.cli import main; main()"
    words = ("generate", "--max-new-tokens", "2")
    _, said = run(command, tmp_path, server.url, *words)
    assert "Model: GPT-2 124M, from the Hugging Face Hub" in said
    assert "--model base" in said
    assert "Downloading gpt2: 100%" in said
    assert " left" in said
    server.log.clear()
    _, said = run(command, tmp_path, server.url, *words)
    assert "Model: GPT-2 124M, which is on this machine" in said
    assert server.log == []


@pytest.mark.parametrize("offline", [True, False])
def test_without_the_hub_it_is_base(offline: bool, tmp_path: Path) -> None:
    environment = {"HF_HUB_OFFLINE": "1"} if offline else {}
    (name, said), _ = run(CHOOSE, tmp_path, "http://127.0.0.1:9", **environment)
    assert name == "base"
    assert ("HF_HUB_OFFLINE is set" if offline else "the Hub does not answer") in said
    assert "--model 124M" in said


def test_a_hub_that_is_silent_is_waited_for_three_seconds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        (name, said), _ = run(CHOOSE, tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert (name, "does not answer" in said) == ("base", True)
    assert time.monotonic() - start < 60  # and not for ever


@pytest.mark.parametrize("name", ["124M", "gpt2-xl", "openai-community/gpt2"])
def test_shapes_of_openai_s_sizes_need_no_download(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    config, read_tokenizer = weights.read_shape(name)
    assert config == (SIZES["1558M"] if name == "gpt2-xl" else SIZES["124M"])
    assert read_tokenizer().hash == Tokenizer.gpt2().hash
