"""Every route refuses foreign hosts, foreign pages, other bodies, and clients without a key."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from penwright.errors import UsageError
from penwright.serve.app import make_app
from penwright.serve.security import BODY_BYTES, OURS, TOKEN_HEADER, Access, is_open, split_host
from tests.serve.conftest import KEY, TOKEN, make_server, make_writer

GOOD = {"Authorization": f"Bearer {KEY}", TOKEN_HEADER: TOKEN}


def make_client(tmp_path, **options) -> TestClient:
    access = Access.choose("127.0.0.1", 8000, token=TOKEN, api_key=KEY, **options)
    app = make_app(make_server([make_writer("tiny", 1)], tmp_path), access)
    return TestClient(app, base_url="http://127.0.0.1:8000")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with make_client(tmp_path_factory.mktemp("documents")) as client:
        yield client


def list_routes() -> list[tuple[str, str]]:
    """Every method and path of the server, as OpenAPI lists them, and the page's files."""
    access = Access.choose("127.0.0.1", 8000, token=TOKEN)
    app = make_app(make_server([make_writer("tiny", 1)], "nowhere"), access)
    paths = app.openapi()["paths"]
    found = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    assert len(found) > 10
    return [*found, ("GET", "/page/index.html"), ("GET", "/no-such-path")]


ROUTES = list_routes()


def ask(client: TestClient, method: str, path: str, headers: dict[str, str], **body):
    if method == "POST" and not body:
        body = {"json": {}}
    return client.request(method, path.replace("{", "").replace("}", ""), headers=headers, **body)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:8000"}, 421),
        ({"Host": ""}, 421),
        ({"Host": "evil.example@127.0.0.1"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:9999"}, 403),
        ({"Origin": "http://evil.example:8000", "Host": "evil.example:8000"}, 421),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_foreign_hosts_and_pages_are_refused_everywhere(guarded, method, path, headers, status):
    answer = ask(guarded, method, path, GOOD | headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_key_or_the_token_is_needed_everywhere_but_for_the_page(guarded, method, path):
    wrong = {"Authorization": "Bearer a-key-for-guests", TOKEN_HEADER: "another-token"}
    for headers in ({}, wrong, {"Authorization": KEY}, {"Cookie": f"token={TOKEN}"}):
        assert (ask(guarded, method, path, headers).status_code == 401) != is_open(path)
    if path.startswith(OURS):
        assert ask(guarded, method, path, {"Authorization": f"Bearer {KEY}"}).status_code == 401
    assert ask(guarded, method, path, {TOKEN_HEADER: TOKEN}).status_code != 401


@pytest.mark.parametrize(("method", "path"), [r for r in ROUTES if r[0] == "POST"])
@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_bodies_that_need_no_preflight_are_refused(guarded, method, path, kind):
    headers = GOOD | {"Content-Type": kind}
    assert ask(guarded, method, path, headers, content=b"{}").status_code == 415


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_other_method_changes_anything(guarded, method, path):
    for other in {"GET", "POST", "PUT", "DELETE", "PATCH"} - {method}:
        taken = (other, path) in ROUTES
        assert taken or ask(guarded, other, path, GOOD).status_code in (404, 405)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_answer_forbids_frames_sniffing_and_foreign_scripts(guarded, method, path):
    for headers in (GOOD, {}, {"Host": "evil.example"}):
        answer = ask(guarded, method, path, headers)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "no-" in answer.headers["cache-control"]
        assert "set-cookie" not in answer.headers


def test_pages_of_this_server_and_allowed_ones_may_use_it(tmp_path):
    with make_client(tmp_path, allow_origin=["https://lite.koboldai.net"]) as client:
        ours = client.get("/v1/models", headers=GOOD | {"Origin": "http://localhost:8000"})
        assert ours.status_code == 200
        assert "access-control-allow-origin" not in ours.headers
        headers = {"Origin": "https://lite.koboldai.net", "Sec-Fetch-Site": "cross-site"}
        allowed = client.get("/v1/models", headers=GOOD | headers)
        assert allowed.headers["access-control-allow-origin"] == "https://lite.koboldai.net"
        preflight = client.options("/v1/completions", headers=headers)
        assert preflight.status_code == 204
        assert "Authorization" in preflight.headers["access-control-allow-headers"]


def test_a_body_that_is_too_large_is_refused(guarded):
    answer = guarded.post("/v1/completions", headers=GOOD, json={"prompt": "a" * BODY_BYTES})
    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/page/../app.py"])
def test_nothing_lists_the_routes_or_leaves_the_page(guarded, path):
    assert guarded.get(path, headers=GOOD).status_code == 404


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("localhost:8000", "localhost"),
        ("[::1]:8000", "::1"),
        ("[::1]", "::1"),
        ("LocalHost.", "localhost"),
        ("localhost:x", ""),
        ("a/b", ""),
        ("", ""),
        ("[::1", ""),
    ],
)
def test_a_host_is_parsed(value, name):
    assert split_host(value) == name


def test_ports_of_ipv6_hosts_and_names_behind_a_proxy():
    access = Access.choose("::1", 8000, token=TOKEN, allow_host=["writer.example.org"])
    for host in ("[::1]:8000", "[::1]", "localhost", "writer.example.org"):
        assert access.refuse("GET", "/", Headers({"host": host})) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])
def test_a_wider_address_needs_a_key(host):
    with pytest.raises(UsageError, match="needs a key"):
        Access.choose(host, 8000, token=TOKEN)
    access = Access.choose(host, 8000, token=TOKEN, api_key=KEY)
    assert access.refuse("GET", "/v1/models", Headers({"host": "evil.example"}))


@pytest.mark.parametrize(
    "options", [{"api_key": "short"}, {"allow_origin": ["*"]}, {"allow_origin": ["example.org"]}]
)
def test_options_that_cannot_be(options):
    with pytest.raises(UsageError):
        Access.choose("127.0.0.1", 8000, token=TOKEN, **options)
