"""`penwright serve` as a user starts and stops it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi", reason="needs penwright[serve]")


@pytest.fixture
def taken():
    """A port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_in_use(penwright, taken):
    said = penwright("serve", "base", "--port", str(taken))
    assert said.code == 1
    assert said.sentences == [f"penwright: Port {taken} is in use by another program."]
    assert f"--port {taken + 1}" in said.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("storylin",), 1, "storylin"),
        (("base", "base"), 2, "The model base is named twice."),
        (("base", "--host", "0.0.0.0"), 2, "needs a key"),
        (("base", "--api-key", "short"), 2, "at least 8 characters"),
        (("base", "--allow-origin", "example.org"), 2, "is not a web page's origin"),
        (("base", "--host", "no such host"), 2, "cannot listen"),
        (("base", "--port", "70000"), 2, "--port is from 1"),
        (("base", "--batch-size", "0"), 2, "batch-size"),
        (("base", "--timeout", "0"), 2, "timeout"),
    ],
)
def test_what_cannot_be_is_one_sentence(penwright, words, code, says):
    said = penwright("serve", *words, *(() if "--port" in words else ("--port", "0")))
    assert said.code == code
    assert len(said.sentences) == 1
    assert says in said.sentences[0]


def test_a_missing_extra(penwright, monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == "uvicorn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    said = penwright("serve", "base")
    assert said.code == 1
    assert "pip install 'penwright[serve]'" in said.err


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_a_server_under_load_finishes_its_texts_on_sigterm(tmp_path):
    command = [sys.executable, "-m", "penwright", "serve", "base", "--port", "0"]
    environment = os.environ | {"PENWRIGHT_API_KEY": "from-the-environment"}
    server = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert server.stderr is not None
    said = ""
    while "/v1" not in said:
        line = server.stderr.readline()
        assert line, said
        said += line
    address = re.findall(r"http://127.0.0.1:\d+", said)[0]
    key = {"Authorization": "Bearer from-the-environment"}
    refused = httpx.post(f"{address}/v1/completions", json={"prompt": "x"}, timeout=60)
    assert refused.status_code == 401
    assert refused.json()["error"]["message"] == "The API key is missing or wrong."
    body = {"prompt": "The sea", "max_tokens": 60, "ignore_eos": True, "stream": True}
    answers: list[str] = []

    def ask() -> None:
        url = f"{address}/v1/completions"
        answers.append(httpx.post(url, json=body, headers=key, timeout=60).text)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while "running 4" not in httpx.get(f"{address}/metrics", headers=key, timeout=60).text:
        assert any(thread.is_alive() for thread in threads)
    server.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert [answer.endswith("data: [DONE]\n\n") for answer in answers] == [True] * 4
    assert "error" not in "".join(answers)
    server.wait(timeout=30)
    said += server.stderr.read()
    assert "Traceback" not in said
    assert "The sea" not in said  # nor any other prompt or key
    assert "from-the-environment" not in said
    server.stderr.close()
