"""Requests that schemathesis makes up from the server's OpenAPI schema: none is answered by a 500.

Its dependencies are many, so it is in no extra: pip install schemathesis. The number of examples
for each route is PENWRIGHT_FUZZ_EXAMPLES; 400 take about ten minutes.
"""

from __future__ import annotations

import os
import re

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from penwright.serve.app import make_app
from penwright.serve.security import TOKEN_HEADER, Access
from tests.serve.conftest import TOKEN, Live, make_server, wait_until

pytestmark = pytest.mark.slow
EXAMPLES = int(os.environ.get("PENWRIGHT_FUZZ_EXAMPLES", "40"))
LEFT_OUT = re.compile(r"/penwright/(training|models|uploads)")
"""These start processes and unload the model."""


@pytest.fixture(scope="module")
def served(writers, tmp_path_factory):
    """A server that gives up on a request after a second."""
    live = Live(make_server(writers, tmp_path_factory.mktemp("documents"), timeout=1.0))
    live.start()
    yield live
    live.stop()


def test_no_request_is_answered_by_an_internal_error(served):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    access = Access.choose("127.0.0.1", served.port, token=TOKEN)
    schema = schemathesis.openapi.from_dict(make_app(served.server, access).openapi())
    operations = [
        found.ok() for found in schema.get_all_operations() if not LEFT_OUT.match(found.ok().path)
    ]
    assert len(operations) > 20
    modes = list(schemathesis.GenerationMode)
    seen: set[int] = set()
    with httpx.Client(timeout=30) as http:

        @settings(
            max_examples=EXAMPLES * len(operations),
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
            deadline=None,
        )
        @given(st.data())
        def run(data):
            operation = data.draw(st.sampled_from(operations))
            mode = data.draw(st.sampled_from(modes))
            case = data.draw(operation.as_strategy(generation_mode=mode))
            request = case.as_transport_kwargs(base_url=served.address)
            request.pop("cookies", None)
            if "data" in request:
                request["content"] = request.pop("data")
            headers = {str(k): str(v) for k, v in dict(request.pop("headers", {})).items()}
            headers = {k: v for k, v in headers.items() if k.lower() != "host"}
            try:
                answer = http.request(**request, headers=headers | {TOKEN_HEADER: TOKEN})
            except (httpx.InvalidURL, httpx.LocalProtocolError, UnicodeEncodeError):
                return  # the client does not send it
            seen.add(answer.status_code)
            assert answer.status_code != 500, (request, answer.text)

        run()
    assert {200, 400} <= seen
    wait_until(lambda: served.server.scheduler.running == 0)
    assert httpx.get(f"{served.address}/health").json() == {"status": "ok"}
