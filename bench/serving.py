"""A `penwright serve` of its own for a script, and requests to it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen


class Served:
    """A running server: its address and token, and the port of its APIs."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        self.page = f"{address}/#token={token}"
        self.port = int(address.rpartition(":")[2])
        self._token = token

    def post(self, path: str, body: Any) -> Any:
        """Send a request to the documents' API, and return its answer."""
        headers = {"X-Penwright-Token": self._token, "Content-Type": "application/json"}
        url = f"{self.address}/penwright/documents{path}"
        with urlopen(Request(url, json.dumps(body).encode(), headers)) as answer:
            return json.load(answer)


@contextmanager
def serve(*words: str) -> Iterator[Served]:
    """Run `penwright serve WORDS` in a folder of its own, until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "penwright", "serve", *words, "--port", "0"]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            said = ""
            try:
                for line in process.stderr:
                    said += line
                    if found := re.search(r"(http://\S+)/#token=(\S+)", line):
                        yield Served(*found.groups())
                        break
                else:
                    raise SystemExit(said)
            finally:
                process.terminate()
