"""The Hub through its real client, in a process of its own, against a server of ours."""

from __future__ import annotations

import errno
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from penwright import weights
from penwright.errors import OutOfRoomError
from penwright.model import GPT2
from penwright.weights import hub

from .hub_server import Hub, serving

RUN = """
import sys
from pathlib import Path
from penwright.errors import ModelError
from penwright.weights import hub
from penwright.weights.names import resolve
try:
    match sys.argv[1:]:
        case ["fetch", name]:
            print(hub.fetch(resolve(name).repository))
        case ["download", name]:
            print(hub.download(name))
        case ["upload", folder, name]:
            print(hub.upload(Path(folder), name))
except ModelError as error:
    print("ModelError:", error)
"""


@pytest.fixture
def server(saved: tuple[Path, GPT2]) -> Iterator[Hub]:
    files = {file.name: file.read_bytes() for file in saved[0].iterdir()}
    files["flax_model.msgpack"] = b"not wanted"
    with serving(Hub({"gpt2": files, "her/model": files, "her/secret": files})) as made:
        yield made


def ask(home: Path, url: str, *arguments: str, **environment: str) -> str:
    settings = {
        "HF_HOME": str(home),
        "HF_ENDPOINT": url,
        "HF_TOKEN": "hf_x",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    result = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        env={**kept, **settings, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_download_once_and_never_ask_again(
    server: Hub, tmp_path: Path, saved: tuple[Path, GPT2]
) -> None:
    folder = Path(ask(tmp_path / "hf", server.url, "fetch", "124M"))
    assert not (folder / "flax_model.msgpack").exists()
    opened = weights.open(folder)
    wte = saved[1].embed_tokens.weight
    assert torch.equal(opened.model.embed_tokens.weight, wte)
    server.log.clear()
    assert ask(tmp_path / "hf", server.url, "fetch", "gpt2") == str(folder)
    assert ask(tmp_path / "hf", server.url, "fetch", "gpt2", HF_HUB_OFFLINE="1") == str(folder)
    assert server.log == []


def test_a_cut_connection_goes_on_where_it_stopped(server: Hub, tmp_path: Path) -> None:
    whole = random.Random(0).randbytes(24 << 20)
    server.repositories["her/model"] = {"config.json": b"{}", "model.safetensors": whole}
    server.cut.add("model.safetensors")
    folder = Path(ask(tmp_path, server.url, "download", "her/model"))
    assert (folder / "model.safetensors").read_bytes() == whole
    gets = [line for line in server.log if line.startswith("GET") and "model.safetensors" in line]
    assert len(gets) == 2
    # The client keeps whole chunks, which are 10 MiB.
    assert gets[1].endswith(f"bytes={10 << 20}-")


def test_a_download_that_was_stopped_is_not_taken_for_whole(server: Hub, tmp_path: Path) -> None:
    folder = Path(ask(tmp_path, server.url, "download", "her/model"))
    (folder / "model.safetensors").unlink()
    assert ask(tmp_path, server.url, "fetch", "her/model") == str(folder)
    assert (folder / "model.safetensors").is_file()


def test_missing_gated_and_unreachable(server: Hub, tmp_path: Path) -> None:
    said = ask(tmp_path, server.url, "fetch", "distillgpt2")
    assert "no model 'distillgpt2' on the Hub" in said
    assert "Did you mean 'distilgpt2'?" in said
    server.gated.add("her/secret")
    said = ask(tmp_path, server.url, "fetch", "her/secret")
    assert "her/secret is gated" in said
    assert "HF_TOKEN" in said


@pytest.mark.parametrize("offline", ["0", "1"])
def test_offline_and_not_cached_offers_base(tmp_path: Path, offline: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = ask(tmp_path, f"http://127.0.0.1:{port}", "fetch", "distilgpt2", HF_HUB_OFFLINE=offline)
    assert said.startswith("ModelError: distilgpt2 is not on this machine and the Hub cannot be")
    assert "`base` is bundled" in said


def test_upload_of_a_checkpoint(server: Hub, tmp_path: Path, saved: tuple[Path, GPT2]) -> None:
    folder, _ = saved
    (folder / "optimizer.safetensors").write_bytes(b"stays here")
    page = ask(tmp_path, server.url, "upload", str(folder), "me/pirates")
    assert page.endswith("me/pirates")
    arrived = server.repositories["me/pirates"]
    assert arrived["model.safetensors"] == (folder / "model.safetensors").read_bytes()
    assert arrived["README.md"] == (folder / "README.md").read_bytes()
    assert "optimizer.safetensors" not in arrived


def test_which_files_make_a_model() -> None:
    both = ["config.json", "pytorch_model.bin", "model.safetensors", "onnx/model.onnx", "a.h5"]
    assert hub.choose(both) == ["config.json", "model.safetensors"]
    shards = ["model.safetensors.index.json", "model-00001-of-00002.safetensors"]
    assert hub.choose(shards) == shards
    assert hub.choose(["pytorch_model.bin"]) == ["pytorch_model.bin"]
    assert hub.choose(["tf_model.h5"]) == []


def test_a_full_disk_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", fill)
    with pytest.raises(OutOfRoomError, match=r"no space left on device.*HF_HOME"):
        hub.download("gpt2")
