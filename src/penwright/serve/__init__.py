"""Serve models to other programs, and to the writer's page; needs the extra `serve`."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from penwright.config import ServeConfig
from penwright.errors import MissingExtraError, PenwrightError, UsageError
from penwright.wording import Warn, name_list

if TYPE_CHECKING:
    from penwright.serve.server import Server

KEY_VARIABLE = "PENWRIGHT_API_KEY"


def run(models: Sequence[str], config: ServeConfig, warn: Warn, *, open_page: bool = False) -> None:
    """Serve these models until the process is told to stop; requests under way are finished.

    `open_page` opens the page in the user's browser.
    Raises MissingExtraError, UsageError for invalid options, and ModelError.
    """
    uvicorn = _import_uvicorn()
    from penwright.serve.app import make_app
    from penwright.serve.security import Access

    check(config)
    config = replace(config, api_key=config.api_key or os.environ.get(KEY_VARIABLE) or None)
    token = secrets.token_urlsafe(24)
    with contextlib.closing(listen(config.host, config.port)) as listener:
        port = listener.getsockname()[1]
        access = Access.choose(
            config.host,
            port,
            token=token,
            api_key=config.api_key,
            allow_origin=config.allow_origin,
            allow_host=config.allow_host,
        )
        server = _open_models(models, config, warn)
        if deleted := server.training.clean():
            warn(
                f"Deleted what was sent to the Train view over a day ago and no run learned from: "
                f"{name_list(deleted)}."
            )
        http = uvicorn.Config(
            make_app(server, access),
            lifespan="on",
            ws="none",
            log_config=None,
            access_log=False,  # the text of prompts and keys stays out of logs
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=int(config.timeout),
        )
        warn(f"Serving {', '.join(server.models)}. Ctrl-C stops; texts under way are finished.")
        page = _tell_addresses(config.host, port, token, warn)
        if open_page:  # a browser waits for a socket that listens; some block until they end
            threading.Thread(target=_open_page, args=(page, warn), daemon=True).start()
        uvicorn.Server(http).run(sockets=[listener])


def _import_uvicorn() -> ModuleType:
    """Return uvicorn; raises MissingExtraError unless all that the server needs is installed."""
    try:
        import fastapi  # noqa: F401
        import pydantic  # noqa: F401
        import uvicorn
    except ModuleNotFoundError as error:
        if error.name in ("fastapi", "starlette", "uvicorn", "pydantic"):
            raise MissingExtraError("The server", "serve") from error
        raise
    return uvicorn


def _open_models(models: Sequence[str], config: ServeConfig, warn: Warn) -> Server:
    """Load the models, and return the state of their server; raises ModelError."""
    from penwright.serve.documents import Documents
    from penwright.serve.metrics import Metrics
    from penwright.serve.scheduler import Scheduler
    from penwright.serve.server import Server
    from penwright.verbs.generate import load_with

    open_model = partial(load_with, config=config.compute, warn=warn)
    writers = [open_model(name) for name in models or (None,)]
    names = name_models([writer.name for writer in writers])
    return Server(
        dict(zip(names, writers, strict=True)),
        Scheduler(writers, Metrics(), batch_size=config.batch_size, max_waiting=config.max_waiting),
        Documents(config.documents),
        config.timeout,
        open=open_model,
    )


def _tell_addresses(host: str, port: int, token: str, warn: Warn) -> str:
    """Name the addresses of the page and of the API; return the page's."""
    address = f"http://{'[' + host + ']' if ':' in host else host}:{port}"
    page = f"{address}/#token={token}"
    warn(f"The page:           {page}")
    warn(f"OpenAI-compatible:  {address}/v1")
    return page


def _open_page(address: str, warn: Warn) -> None:
    if not webbrowser.open(address):
        warn("No browser could be opened here; open the address of the page yourself.")


def check(config: ServeConfig) -> None:
    """Raise UsageError for a number out of range."""
    for name in ("batch_size", "max_waiting", "timeout"):
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise UsageError(f"--{name.replace('_', '-')} must be above 0, not {value}.")
    if not 0 <= config.port < 2**16:
        raise UsageError(f"--port is from 1 to 65535, not {config.port}.")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address. Raises UsageError when that is impossible."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refuse_address(host, port, error) from None
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PenwrightError(
                f"Port {port} is in use by another program.", fix=f"Give --port {port + 1}."
            ) from None
        raise _refuse_address(host, port, error) from None
    return listener


def _refuse_address(host: str, port: int, error: OSError) -> UsageError:
    return UsageError(
        f"The server cannot listen on '{host}' port {port}: {error}.",
        fix="Leave --host out for this machine alone, and give a --port above 1023.",
    )


def name_models(names: Sequence[str]) -> list[str]:
    """Return the models' names for clients: of a path its last part, no other folder.

    Raises UsageError for a name that is there twice.
    """
    chosen = [Path(name).name if Path(name).exists() else name for name in names]
    for name in chosen:
        if chosen.count(name) > 1:
            raise UsageError(
                f"The model {name} is named twice.",
                fix="Name each model once, and give folders different names.",
            )
    return chosen
