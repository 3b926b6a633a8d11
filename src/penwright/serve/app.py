"""Put the server together: routes, errors, static files and the guard around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import Response

from penwright.errors import OutOfRoomError, PenwrightError
from penwright.serve import context_api, documents_api, kobold, llamacpp, openai, training_api
from penwright.serve.documents import UnknownDocumentError
from penwright.serve.scheduler import BusyError, LateError, UnloadedError
from penwright.serve.security import Access, Guard, refuse
from penwright.serve.server import Server, UnknownModelError, server_of
from penwright.serve.streams import ClientLeftError
from penwright.serve.training import TrainingBusyError, UnknownRunError
from penwright.serve.uploads import UnknownFileError

PAGE = Path(__file__).parent / "page"
STATUS = {
    BusyError: 429,
    LateError: 504,
    OutOfRoomError: 507,
    TrainingBusyError: 409,
    UnknownDocumentError: 404,
    UnknownFileError: 404,
    UnknownModelError: 404,
    UnknownRunError: 404,
    UnloadedError: 409,
}
"""HTTP status of errors; any other that a request causes is 400."""

router = APIRouter()


@router.get("/health")
async def health(request: Request) -> JSONResponse:
    scheduler = server_of(request).scheduler
    healthy = scheduler.is_healthy
    return JSONResponse({"status": "ok" if healthy else "not ready"}, 200 if healthy else 503)


@router.get("/metrics")
async def metrics(request: Request) -> PlainTextResponse:
    scheduler = server_of(request).scheduler
    gauges = {
        "penwright_texts_running": scheduler.running,
        "penwright_texts_waiting": scheduler.waiting,
        "penwright_cache_tokens": scheduler.cached,
    }
    text = scheduler.metrics.render(gauges)
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


@router.get("/")
async def page() -> FileResponse:
    return FileResponse(PAGE / "index.html")


def make_app(server: Server, access: Access) -> FastAPI:
    """Return the ASGI application of a server."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.scheduler.start()
        try:
            yield
        finally:
            await server.scheduler.close()

    # FastAPI's own documentation page loads scripts from a CDN, and lists the routes to anybody.
    app = FastAPI(
        title="Penwright", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.server = server
    apis = (openai, kobold, llamacpp, documents_api, context_api, training_api)
    for part in (router, *(api.router for api in apis)):
        app.include_router(part)
    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    app.add_exception_handler(PenwrightError, _explain)
    app.add_exception_handler(RequestValidationError, _explain_invalid)
    app.add_exception_handler(HTTPException, _explain_http)
    app.add_exception_handler(ClientLeftError, _say_nothing)
    app.add_middleware(Guard, access=access)
    return app


def _explain(_: Request, error: Exception) -> Response:
    kind = next((kind for kind in STATUS if isinstance(error, kind)), PenwrightError)
    answer = refuse(STATUS.get(kind, 400), str(error))
    if isinstance(error, BusyError):
        answer.headers["Retry-After"] = str(error.seconds)
    return answer


def _explain_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    if first["type"] == "json_invalid":
        return refuse(400, "The body is not valid JSON.")
    return refuse(400, f"{place}: {first['msg']}." if place else f"{first['msg']}.", param=place)


def _explain_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = str(error.detail)
    if error.status_code == 404:
        reason = f"The server has no {request.url.path[:80]}; it completes text at /v1/completions."
    return refuse(error.status_code, reason)


def _say_nothing(_: Request, __: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it
