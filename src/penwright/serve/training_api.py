"""Routes of training and of models: files, findings, plans, runs and their reports.

All need the server's token, but for a report, whose address holds a ticket.
"""

from __future__ import annotations

import base64
import binascii
import math
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.responses import Response

from penwright import __version__
from penwright.config import DocumentRule
from penwright.serve.security import REPORTS
from penwright.serve.server import server_of
from penwright.serve.training import Training
from penwright.serve.uploads import LARGEST_FILE, PIECE_BYTES
from penwright.weights.describing import MIND
from penwright.weights.stored import shapes

router = APIRouter()
_TRAINING = "/penwright/training"
LONGEST_CARD = 200_000

REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""A report is one file with its style in it. It names its own script in a policy of its own, and
in the sandbox it has an origin that nothing here answers to."""


def _decode(value: Any) -> Any:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else value
    except binascii.Error:
        raise ValueError("is not base64") from None


Id = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Name = Annotated[str, Path(max_length=200)]
Column = Annotated[str, Field(min_length=1, max_length=200)]
Steps = Annotated[int, Field(ge=1, le=10**8)]
Epochs = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]
Step = Literal[
    "detokenize", "spaces", "news", "whitespace", "entities", "mojibake", "tags", "newlines",
    "control", "markers", "gutenberg", "quotes", "unwrap",
]  # fmt: skip


class Strict(BaseModel):
    """A body in which an unknown field is an error: nothing that was asked for is passed over."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class NewFile(Strict):
    """A file that will be sent in pieces."""

    name: Annotated[str, Field(max_length=400)]
    size: Annotated[int, Field(ge=0)]


class FilePiece(Strict):
    """A piece of a file in base64, and the place of its first byte."""

    offset: Annotated[int, Field(ge=0, le=LARGEST_FILE)]
    size: Annotated[int, Field(ge=1, le=LARGEST_FILE)]
    data: Annotated[bytes, BeforeValidator(_decode), Field(max_length=PIECE_BYTES)]


class Options(Strict):
    """Options of `finetune` that the page offers; what is left out is chosen by the data."""

    model: Annotated[str, Field(max_length=200)] = "base"
    documents: DocumentRule | None = None
    text_column: Column | None = None
    prompt_column: Column | None = None
    completion_column: Column | None = None
    encoding: Annotated[str, Field(pattern=r"^[\w.-]{1,40}$")] | None = None
    learn: tuple[Literal["all"], ...] | None = None
    clean: Annotated[tuple[Step, ...], Field(max_length=20)] | None = None
    drop_duplicates: bool | None = None
    drop_near: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    drop_repeats: Annotated[int, Field(ge=1, le=100_000)] | None = None
    fix: bool | None = None
    epochs: Epochs | None = None
    steps: Steps | None = None
    learning_rate: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | None = None
    max_length: Annotated[int, Field(ge=2, le=65_536)] | None = None
    method: Literal["auto", "full", "lean", "lora"] | None = None
    held_out: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] | None = None
    sample_every: Annotated[int, Field(ge=0, le=10**8)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    def given(self) -> dict[str, Any]:
        """Return what the page gave."""
        return self.model_dump(exclude_none=True)


class OnFile(Strict):
    """A file that was sent, and the options to read it and train on it with."""

    file: Id
    options: Options = Options()


class Start(OnFile):
    """A run to start, by default named after its file."""

    name: Annotated[str, Field(pattern=r"^\w[\w.-]{0,63}$")] | None = None


class Resume(Strict):
    """A run to continue, to its end or further."""

    epochs: Epochs | None = None
    steps: Steps | None = None


ModelName = Annotated[str, Field(min_length=1, max_length=200)]
Written = Annotated[str, Field(max_length=20_000)]


class Texts(Strict):
    """A text of each of two models."""

    a: Written
    b: Written


class Vote(Strict):
    """A choice between two texts whose writers were hidden."""

    a: ModelName
    b: ModelName
    winner: Literal["a", "b", "neither"]
    prompt: Written
    texts: Texts


class Nothing(Strict):
    """An empty body."""


@router.get(_TRAINING)
def overview(request: Request) -> Response:
    """Return the models to start from, and the runs."""
    training = _training(request)
    limits = {"largest": LARGEST_FILE, "piece": PIECE_BYTES}
    return JSONResponse({"models": training.models(), **limits, **training.runs()})


@router.post(_TRAINING + "/files")
def begin_file(request: Request, given: NewFile) -> Response:
    return JSONResponse({"id": _training(request).uploads.begin(given.name, given.size)})


@router.post(_TRAINING + "/files/{id_}")
def append_to_file(request: Request, id_: Name, given: FilePiece) -> Response:
    """Append a piece; the last one is answered with the id that the whole file has."""
    uploads = _training(request).uploads
    file = uploads.append(id_, given.offset, given.data, given.size)
    return JSONResponse({"file": file, "name": uploads.find(file).name if file else None})


@router.post(_TRAINING + "/inspect")
def inspect(request: Request, given: OnFile) -> Response:
    found = _training(request).inspect(given.file, given.options.given())
    return JSONResponse(found.as_json())


@router.post(_TRAINING + "/plan")
def plan(request: Request, given: OnFile) -> Response:
    planned = _training(request).plan(given.file, given.options.given())
    return JSONResponse(planned.as_json())


@router.post(_TRAINING + "/start")
def start(request: Request, given: Start) -> Response:
    training = _training(request)
    return JSONResponse({"name": training.start(given.file, given.options.given(), given.name)})


@router.get(_TRAINING + "/runs/{name}")
def watch(
    request: Request,
    name: Name,
    offset: Annotated[int, Query(ge=0, le=2**40)] = 0,
    step: Annotated[int, Query(ge=-1, le=10**8)] = -1,
) -> Response:
    """Return what is new of a run: metrics from byte `offset` on, and samples after `step`."""
    return JSONResponse(_training(request).watch(name, offset, step))


@router.post(_TRAINING + "/runs/{name}/stop")
def stop(request: Request, name: Name, _: Nothing) -> Response:
    _training(request).stop(name)
    return JSONResponse({"stopping": name})


@router.post(_TRAINING + "/runs/{name}/resume")
def resume(request: Request, name: Name, given: Resume) -> Response:
    _training(request).resume(name, given.model_dump(exclude_none=True))
    return JSONResponse({"resuming": name})


@router.post(_TRAINING + "/runs/{name}/load")
async def load(request: Request, name: Name, _: Nothing) -> Response:
    """Open a run's best model, so that the server writes with it; answers with its name."""
    server = server_of(request)
    run = server.training.find(name)
    return JSONResponse({"model": await server.load(run.folder)})


@router.get(_TRAINING + "/votes")
def count_votes(request: Request, a: ModelName, b: ModelName) -> Response:
    return JSONResponse(_training(request).votes(a, b))


@router.post(_TRAINING + "/votes")
def vote(request: Request, given: Vote) -> Response:
    """Keep a vote, and return the count of the votes between the two."""
    training = _training(request)
    texts = (given.texts.a, given.texts.b)
    training.vote(given.a, given.b, given.prompt, texts, given.winner)
    return JSONResponse(training.votes(given.a, given.b))


@router.get("/penwright/models/{name:path}")
def about(request: Request, name: Name) -> Response:
    """Return what a loaded model is, its card, and the statement about what it writes."""
    name, writer = server_of(request).find(name)
    card = writer.path / "README.md"
    return JSONResponse(
        {
            "name": name,
            "parameters": sum(map(math.prod, shapes(writer.source.config).values())),
            "context": writer.source.config.n_positions,
            "weights": writer.source.weights,
            "card": card.read_text("utf-8", "replace")[:LONGEST_CARD] if card.is_file() else "",
            "statement": MIND,
            "version": __version__,
        }
    )


@router.post("/penwright/models/{name:path}/unload")
async def unload(request: Request, name: Name, _: Nothing) -> Response:
    """Give a loaded model's memory back."""
    await server_of(request).unload(name)
    return JSONResponse({"unloaded": name})


@router.get(REPORTS + "{name}/{ticket}")
def show_report(request: Request, name: Name, ticket: Annotated[str, Path(max_length=64)]) -> Any:
    path = _training(request).report(name, ticket)
    headers = {"Content-Security-Policy": REPORT_POLICY, "Cache-Control": "no-store"}
    return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)


def _training(request: Request) -> Training:
    return server_of(request).training
