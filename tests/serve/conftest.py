"""A server on a tiny model: in the test's own process, and listening on a port."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs penwright[serve]")

import uvicorn
from starlette.testclient import TestClient

from penwright import serve
from penwright.model import GPT2, GPT2Config, init_weights
from penwright.sample.decoder import as_source
from penwright.serve.app import make_app
from penwright.serve.documents import Documents
from penwright.serve.metrics import Metrics
from penwright.serve.scheduler import Scheduler
from penwright.serve.security import Access
from penwright.serve.server import Server
from penwright.tokens import Tokenizer
from penwright.verbs.generate import Writer
from penwright.weights.names import base_folder

TOKEN = "a-token-for-tests"
KEY = "a-key-for-tests"


def make_writer(name: str, seed: int) -> Writer:
    tokenizer = Tokenizer.from_folder(base_folder())
    config = GPT2Config(
        vocab_size=tokenizer.vocab_size,
        n_positions=64,
        n_embd=16,
        n_layer=1,
        n_head=2,
        initializer_range=0.3,
    )
    model = GPT2(config)
    init_weights(model, seed=seed)
    return Writer(name, Path("nowhere"), as_source(model.eval()), lambda: model, tokenizer, None)


@pytest.fixture(scope="session")
def writers() -> list[Writer]:
    """Two tiny models, `tiny` and `other`."""
    return [make_writer("tiny", 1), make_writer("other", 2)]


@pytest.fixture(scope="session")
def writer(writers) -> Writer:
    return writers[0]


def make_server(
    writers: list[Writer], documents: Path, *, timeout: float = 60.0, **options
) -> Server:
    scheduler = Scheduler(writers, Metrics(), **options)
    models = {writer.name: writer for writer in writers}
    return Server(models, scheduler, Documents(documents), timeout=timeout)


@pytest.fixture
def server(writers, tmp_path) -> Server:
    return make_server(writers, tmp_path / "documents")


@pytest.fixture
def client(server) -> Iterator[TestClient]:
    """A client in this process, as a program on this machine is one."""
    access = Access.choose("127.0.0.1", 8000, token=TOKEN)
    with TestClient(make_app(server, access), base_url="http://127.0.0.1:8000") as client:
        yield client


class Live:
    """A server that listens on a free port, in a thread."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._listener = serve.listen("127.0.0.1", 0)
        self.port = self._listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        access = Access.choose("127.0.0.1", self.port, token=TOKEN)
        config = uvicorn.Config(
            make_app(server, access), lifespan="on", ws="none", log_config=None, access_log=False
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._uvicorn.run, kwargs={"sockets": [self._listener]}, daemon=True
        )

    def start(self) -> None:
        self._thread.start()
        while not self._uvicorn.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self._uvicorn.should_exit = True
        self._thread.join()
        self._listener.close()


@pytest.fixture(scope="module")
def live(writers, tmp_path_factory) -> Iterator[Live]:
    live = Live(make_server(writers, tmp_path_factory.mktemp("documents")))
    live.start()
    yield live
    live.stop()


def wait_until(holds, seconds: float = 20.0) -> None:
    """Wait until `holds()` is true; fails when it never is."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
