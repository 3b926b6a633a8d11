"""Decide who may talk to the server, before any route sees the request.

The rules follow from attacks on other local servers. A page on the internet can make a browser send
requests to 127.0.0.1, and a name whose address changes to 127.0.0.1 (DNS rebinding) makes the
answers readable; so the Host and the Origin must be known names. A text/plain or form body needs no
preflight request; so a POST must be application/json. Bodies are read here, within a limit of size
and time, so that no route waits for a client that stalls.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import ipaddress
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penwright.errors import UsageError

BODY_BYTES = 8 * 2**20
BODY_SECONDS = 20.0
SHORTEST_KEY = 8
LOOPBACK = ("localhost", "127.0.0.1", "::1")
TOKEN_HEADER = "X-Penwright-Token"
OURS = "/penwright/"
"""Paths below this one read and change documents, files and runs; they always need the token."""
OPEN = ("/", "/health")
"""Paths that need neither key nor token; so do the files of the page."""
PAGE = "/page/"
REPORTS = "/report/"
"""Reports of runs: a browser opens them, so the path itself holds a secret."""

HEADERS = {
    "Cache-Control": "no-cache",  # an update must not leave old files of the page in a browser
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "img-src 'self' data:; object-src 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Access:
    """Who may talk to the server."""

    hosts: frozenset[str]
    """Names in the Host header, without port, in lower case."""
    origins: frozenset[str]
    """Origins of pages, with scheme and port: the server's own, and those that were allowed."""
    shared: frozenset[str]
    """The allowed origins alone, which get CORS headers."""
    api_key: str | None
    token: str
    """The token of this start; the page's own address carries it in its fragment."""

    @classmethod
    def choose(
        cls,
        host: str,
        port: int,
        *,
        token: str,
        api_key: str | None = None,
        allow_origin: Iterable[str] = (),
        allow_host: Iterable[str] = (),
    ) -> Access:
        """Return the rules for a server on `host` and `port`.

        Raises UsageError for an address beyond this machine without a key, and for a key or an
        origin that cannot be.
        """
        if api_key is not None and len(api_key) < SHORTEST_KEY:
            raise UsageError(f"The API key needs at least {SHORTEST_KEY} characters.")
        if not is_loopback(host) and api_key is None:
            raise UsageError(
                f"A server on {host} can be reached from other machines, so it needs a key.",
                fix="Give --api-key, or PENWRIGHT_API_KEY in the environment.",
            )
        shared = frozenset(map(_check_origin, allow_origin))
        hosts = {*LOOPBACK, host.lower(), *(name.lower() for name in allow_host)}
        if not is_loopback(host):
            hosts |= _own_addresses()
        own = {
            f"{scheme}://{f'[{name}]' if ':' in name else name}{end}"
            for name in hosts
            for scheme in ("http", "https")
            for end in (f":{port}", "")
        }
        return cls(frozenset(hosts), shared | own, shared, api_key, token)

    def refuse(self, method: str, path: str, headers: Headers) -> tuple[int, str] | None:
        """Return the status and the reason for refusing a request, or None to let it pass."""
        host = split_host(headers.get("host", ""))
        if host not in self.hosts:
            return 421, f"The host '{host}' is unknown here; --allow-host allows it."
        origin = headers.get("origin")
        if origin is not None and origin not in self.origins:
            return 403, f"Pages of {origin} may not use this server; --allow-origin allows them."
        if origin is None and headers.get("sec-fetch-site") == "cross-site":
            return 403, "Another site's page may not use this server."
        if method == "OPTIONS":
            return None
        if path.startswith(OURS):
            if not self._has_token(headers):
                return 401, "The token of this server is missing or old; open its new address."
        elif not is_open(path) and not (self._has_key(headers) or self._has_token(headers)):
            return 401, "The API key is missing or wrong."
        if method not in ("GET", "HEAD", "POST"):
            return 405, f"{method} is not used here."
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and kind != "application/json":
            return 415, "The body must be application/json."
        return None

    def _has_key(self, headers: Headers) -> bool:
        if self.api_key is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and _same(given.strip(), self.api_key)

    def _has_token(self, headers: Headers) -> bool:
        return _same(headers.get(TOKEN_HEADER, ""), self.token)


def is_open(path: str) -> bool:
    """Return whether a path needs neither key nor token."""
    return path in OPEN or path.startswith((PAGE, REPORTS))


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on is reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_host(value: str) -> str:
    """Return the name in a Host header, without port and brackets; "" for what is no host."""
    try:
        parts = urlsplit(f"//{value}")
        _ = parts.port  # raises ValueError
    except ValueError:
        return ""
    if parts.path or parts.query or parts.fragment or "@" in value:
        return ""
    return (parts.hostname or "").rstrip(".")


def _check_origin(origin: str) -> str:
    parts = urlsplit(origin)
    if origin == "null" or (parts.scheme in ("http", "https") and parts.netloc and not parts.path):
        return origin
    raise UsageError(
        f"'{origin}' is not a web page's origin.", fix="Write it as https://example.org."
    )


def _own_addresses() -> set[str]:
    """Return the names and addresses of this machine."""
    name = socket.gethostname().lower()
    found = {name, f"{name}.local"}
    with contextlib.suppress(OSError):
        found |= {str(entry[4][0]) for entry in socket.getaddrinfo(name, None)}
    # Connecting a UDP socket sends nothing; it chooses the address that would send.
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        found.add(probe.getsockname()[0])
    return found


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


class Guard:
    """ASGI middleware that refuses requests by `Access`, reads bodies, and adds headers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        shared = {}
        if origin in self._access.shared:
            shared = {"Access-Control-Allow-Origin": str(origin), "Vary": "Origin"}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(scope=message)
                for name, value in (HEADERS | shared).items():
                    added.setdefault(name, value)
            await send(message)

        refused = self._access.refuse(scope["method"], scope["path"], headers)
        if refused is not None:
            await refuse(*refused)(scope, receive, send_with_headers)
        elif scope["method"] == "OPTIONS":
            await _answer_preflight(shared)(scope, receive, send_with_headers)
        elif scope["method"] == "POST":
            body = await _read_body(headers, receive)
            if isinstance(body, bytes):
                await self._app(scope, _replay(body, receive), send_with_headers)
            elif body is not None:
                await body(scope, receive, send_with_headers)
        else:
            await self._app(scope, receive, send_with_headers)


def refuse(status: int, reason: str, **extra: str) -> JSONResponse:
    """Return an error in OpenAI's format."""
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(
        status, "server_error" if status >= 500 else "invalid_request_error"
    )
    error = {"message": reason, "type": kind, "param": None, "code": None} | extra
    return JSONResponse({"error": error}, status)


def _answer_preflight(shared: Mapping[str, str]) -> Response:
    allowed = {
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, *",
        "Access-Control-Allow-Private-Network": "true",
        "Access-Control-Max-Age": "600",
    }
    return Response(status_code=204, headers=allowed if shared else None)


async def _read_body(headers: Headers, receive: Receive) -> bytes | Response | None:
    """Return the body, the answer to one that is too large or slow, or None when nobody waits."""
    too_large = _refuse_body(413, f"The body is larger than {BODY_BYTES // 2**20} MiB.")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > BODY_BYTES:
        return too_large
    parts = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                parts += message.get("body", b"")
                if len(parts) > BODY_BYTES:
                    return too_large
                if not message.get("more_body", False):
                    return bytes(parts)
    except TimeoutError:
        return _refuse_body(408, f"The body did not arrive within {BODY_SECONDS:g} seconds.")


def _refuse_body(status: int, reason: str) -> Response:
    answer = refuse(status, reason)
    answer.headers["Connection"] = "close"  # the rest of the body is not read
    return answer


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
