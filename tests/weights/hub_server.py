"""A small server that speaks the Hub's protocol, as far as its client needs it for models."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

COMMIT = "a" * 40


@dataclass
class Hub:
    """What is on the server, and what was asked of it."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    """Files whose first download breaks off in the middle."""
    log: list[str] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.hub.log.append(f"{self.command} {path} {self.headers.get('Range', '')}".strip())
        if match := re.fullmatch(r"/api/models/(.+?)(/tree/.+|/revision/.+)?", path):
            files = self.hub.repositories.get(match[1])
            if files is None:
                self.refuse(401, "RepoNotFound")
            elif (match[2] or "").startswith("/tree/"):
                self.answer([self.tree_entry(name, data) for name, data in files.items()])
            else:
                self.answer(
                    {
                        "id": match[1],
                        "modelId": match[1],
                        "sha": COMMIT,
                        "private": False,
                        "siblings": [{"rfilename": name} for name in files],
                    }
                )
        elif match := re.fullmatch(r"/(.+?)/resolve/[^/]+/(.+)", path):
            self.send_file(match[1], match[2])
        else:
            self.refuse(404, "EntryNotFound")

    def tree_entry(self, name: str, data: bytes) -> dict[str, Any]:
        oid = hashlib.sha1(data).hexdigest()
        return {"type": "file", "path": name, "size": len(data), "oid": oid}

    def send_file(self, repository: str, name: str) -> None:
        if repository in self.hub.gated:
            self.refuse(403, "GatedRepo")
            return
        data = self.hub.repositories.get(repository, {}).get(name)
        if data is None:
            self.refuse(404, "EntryNotFound")
            return
        start = int((re.match(r"bytes=(\d+)-", self.headers.get("Range", "")) or [0, 0])[1])
        self.send_response(206 if start else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "HEAD":
            return
        if name in self.hub.cut:
            self.hub.cut.discard(name)
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.wfile.write(data[start:])

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        self.hub.log.append(f"POST {path}")
        body = self.read_body()
        if path == "/api/repos/create":
            request = json.loads(body)
            owner = request.get("organization") or "me"
            repository = f"{owner}/{request['name']}"
            self.hub.repositories.setdefault(repository, {})
            self.answer({"url": f"{self.hub.url}/{repository}", "name": repository})
        elif path.endswith("/preupload/main"):
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith("safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            self.answer({"files": files})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**item, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{item['oid']}"}}}
                for item in json.loads(body)["objects"]
            ]
            self.answer({"transfer": "basic", "objects": objects})
        elif match := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            self.commit(self.hub.repositories[match[1]], body.decode())
            address = f"{self.hub.url}/{match[1]}/commit/{COMMIT}"
            self.answer({"commitUrl": address, "commitOid": COMMIT})
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        else:
            self.refuse(404, "EntryNotFound")

    def commit(self, files: dict[str, bytes], text: str) -> None:
        for line in text.splitlines():
            item = json.loads(line)
            if item["key"] == "file":
                files[item["value"]["path"]] = base64.b64decode(item["value"]["content"])
            elif item["key"] == "lfsFile":
                files[item["value"]["path"]] = self.hub.objects[item["value"]["oid"]]

    def do_PUT(self) -> None:
        self.hub.objects[self.path.rpartition("/")[2]] = self.read_body()
        self.answer({})

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    handler = type("Bound", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
