"""Data sets of the Hugging Face Hub, `hf://`, from a server of our own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("fsspec")

CONTENT = "title\n" + "".join(f"Title {n}, fünf\n" for n in range(40)).replace(", ", " ")
FILE = {"type": "file", "path": "titles.csv", "size": len(CONTENT.encode()), "oid": "abc"}


class Hub(BaseHTTPRequestHandler):
    """What the Hub answers about a data set of one file."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if not self.path.startswith("/api/"):
            self._send_file()
        elif "/tree/" in self.path:
            self._send_json([FILE])
        else:
            self._send_json({"id": "me/titles", "sha": "c" * 40, "siblings": []})

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        self._send_json([FILE] if b"titles.csv" in asked else [])

    def log_message(self, *_: object) -> None:
        pass

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _send_file(self) -> None:
        content = CONTENT.encode()
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(content)), len(content) - 1)
        place = f"bytes {start}-{end}/{len(content)}"
        self._send(206, content[start : end + 1], {"Content-Range": place, "ETag": '"abc"'})

    def _send(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


PROGRAM = """
import sys
from penwright import formats
from penwright.config import DataConfig
from penwright.errors import DataError
try:
    for document in formats.read(sys.argv[1:], DataConfig(), print):
        sys.stdout.buffer.write((document.text + "\\n").encode())
except DataError as error:
    sys.exit(str(error))
"""


def read(address: str, hub: str) -> subprocess.CompletedProcess[bytes]:
    """The Hub's address is read once, when its library is imported: so in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, address],
        capture_output=True,
        env={**kept, "HF_ENDPOINT": hub, "HF_HUB_DISABLE_TELEMETRY": "1"},
    )


def test_a_file_of_a_data_set(hub: str) -> None:
    done = read("hf://datasets/me/titles/titles.csv", hub)
    assert done.stdout.decode() == CONTENT.removeprefix("title\n"), done.stderr.decode()
    done = read("hf://datasets/me/titles/none.csv", hub)
    assert "hf://datasets/me/titles/none.csv cannot be opened" in done.stderr.decode()
    assert done.returncode == 1


def test_a_hub_that_does_not_answer() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        hub = f"http://127.0.0.1:{free.getsockname()[1]}"
    done = read("hf://datasets/me/titles/titles.csv", hub)
    assert done.returncode == 1
    assert "hf://datasets/me/titles/titles.csv cannot be opened: " in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
