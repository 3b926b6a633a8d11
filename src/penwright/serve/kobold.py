"""KoboldAI's API, as far as KoboldAI Lite and SillyTavern use it of KoboldCpp.

https://lite.koboldai.net/koboldcpp_api. The order of fields in events matters: clients cut the
stream into `event:` and `data:` lines by position.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from penwright.config import SamplingConfig
from penwright.errors import PenwrightError
from penwright.sample.healing import Healed, heal
from penwright.serve import fields
from penwright.serve.completions import (
    FINISH_REASONS,
    Prompt,
    build_sampling,
    found_stop,
    spell,
)
from penwright.serve.server import Server, server_of
from penwright.serve.streams import PING, OneText
from penwright.verbs.generate import Writer

router = APIRouter(prefix="/api")

API_VERSION = "1.2.5"
CPP_VERSION = "1.100"
"""The version of KoboldCpp whose answers these are; clients stream from 1.40 on."""
MOST_KEYS = 64
"""Requests whose text can be asked for by `genkey`."""


class GenerateBody(fields.Body):
    """A request for a text."""

    model: str = ""
    prompt: str = ""
    memory: str = ""
    max_context_length: Annotated[int, Field(ge=1, le=2**20)] | None = None
    max_length: Annotated[int, Field(ge=0, le=2**18)] = 100
    temperature: fields.Temperature = 0.75
    top_p: fields.Share = 0.92
    top_k: fields.TopK = 0
    min_p: fields.Share = 0.0
    typical: fields.Share = 1.0
    rep_pen: fields.Penalty = 1.0
    presence_penalty: fields.Number = 0.0
    sampler_seed: fields.Seed | None = None
    stop_sequence: fields.Stops = ()
    trim_stop: bool = False
    bypass_eos: bool = False
    ban_eos_token: bool = False
    banned_tokens: fields.Stops = ()
    logit_bias: fields.Biases | None = None
    logprobs: bool = False
    genkey: Annotated[str, Field(max_length=200)] = ""

    def sampling(self, model: Writer) -> SamplingConfig:
        """Return the settings of the engine. Raises UsageError."""
        endless = self.bypass_eos or self.ban_eos_token
        return build_sampling(
            model,
            {
                "max_new_tokens": self.max_length,
                "temperature": self.temperature,
                "top_p": self.top_p or 1.0,
                "top_k": self.top_k,
                "min_p": self.min_p,
                "typical_p": self.typical or 1.0,
                "repetition_penalty": self.rep_pen,
                "presence_penalty": self.presence_penalty,
                "min_new_tokens": self.max_length if endless else 0,
                "logit_bias": self.logit_bias,
                "ban": self.banned_tokens,
                "stop": self.stop_sequence,
                "seed": self.sampler_seed,
            },
        )


class KeyBody(fields.Body):
    """A request about another one."""

    genkey: str = ""


class CountBody(fields.Body):
    """A text to count the tokens of."""

    prompt: str = ""


class IdsBody(fields.Body):
    """Token ids to decode."""

    ids: Annotated[list[int], Field(max_length=2**18)] = []  # noqa: RUF012 - pydantic copies it


class Work(OneText):
    """The text of a request as it grows."""

    def __init__(self, server: Server, body: GenerateBody) -> None:
        _, model = server.find(body.model)
        self.body = body
        prompt = place_memory(model, body)
        logprobs = 5 if body.logprobs else None
        super().__init__(server, model, prompt, body.sampling(model), logprobs)

    async def texts(self) -> AsyncIterator[str | None]:
        """Yield new text as it comes, the stop text included; None while nothing does."""
        async for piece in self.pieces():
            if piece is None:
                yield None
                continue
            stop = ""
            if piece.finish_reason == "stop" and not self.body.trim_stop:
                stop = found_stop(self.model.tokenizer, self.choice, self.body.stop_sequence)
                self.choice.text += stop
            yield piece.text + stop


class Keys:
    """The latest requests by the key that their clients gave them."""

    def __init__(self) -> None:
        self._works: OrderedDict[str, Work] = OrderedDict()
        self.last: Work | None = None

    def add(self, work: Work) -> None:
        """Keep a request, and forget the oldest."""
        self.last = self._works[work.body.genkey] = work
        self._works.move_to_end(work.body.genkey)
        if len(self._works) > MOST_KEYS:
            self._works.popitem(last=False)

    def find(self, key: str) -> Work | None:
        """Return the request of a key; without a key, the last that had none."""
        return self._works.get(key)


def place_memory(model: Writer, body: GenerateBody) -> Prompt:
    """Return the memory and as much of the prompt's end as leaves room for the new text."""
    tokenizer = model.tokenizer
    memory = tokenizer.encode_prompt(body.memory)
    end = Healed(tokenizer.encode_prompt(body.prompt), b"")
    if not body.logprobs:
        end = heal(body.prompt, end.ids, tokenizer)
    rest = end.ids[1:]
    context = model.source.config.n_positions
    context = min(context, body.max_context_length or context)
    room = max(1, context - min(body.max_length, context // 2) - len(memory))
    return Prompt(body.memory + body.prompt, [*memory, *rest[-room:]], 1, end.again)


@router.get("/v1/model")
async def show_model(request: Request) -> dict[str, str]:
    return {"result": f"penwright/{server_of(request).find('')[0]}"}


@router.get("/v1/info/version")
async def show_api_version() -> dict[str, str]:
    return {"result": API_VERSION}


@router.get("/v1/config/max_length")
async def show_longest_text(request: Request) -> dict[str, int]:
    return {"value": server_of(request).find("")[1].source.config.n_positions // 2}


@router.get("/v1/config/max_context_length")
@router.get("/extra/true_max_context_length")
async def show_context(request: Request) -> dict[str, int]:
    return {"value": server_of(request).find("")[1].source.config.n_positions}


@router.get("/extra/version")
async def show_version() -> dict[str, Any]:
    lacks = ("protected", "txt2img", "vision", "transcribe", "multiplayer", "websearch", "tts")
    return {"result": "KoboldCpp", "version": CPP_VERSION, "llm": True} | dict.fromkeys(
        lacks, False
    )


@router.get("/extra/preloadstory")
async def show_story() -> dict[str, Any]:
    return {}


@router.get("/extra/perf")
async def show_speed(request: Request) -> dict[str, Any]:
    server = server_of(request)
    last = _keys(request).last
    return {
        "last_token_count": 0 if last is None else len(last.choice.tokens),
        "last_seed": -1 if last is None else last.job.sampling.seed,
        "total_gens": server.scheduler.metrics.requests,
        "queue": server.scheduler.waiting,
        "idle": int(not server.scheduler.running),
        "uptime": int(time.time()) - server.started,
    }


@router.post("/v1/generate")
async def generate(request: Request, body: GenerateBody) -> dict[str, Any]:
    work = _begin(request, body)
    await work.finish(request.receive, work.texts())
    result: dict[str, Any] = {
        "text": work.choice.text,
        "finish_reason": FINISH_REASONS[work.choice.finish_reason],
        "prompt_tokens": work.prompt.tokens,
        "completion_tokens": len(work.choice.tokens),
    }
    if work.body.logprobs:
        result["logprobs"] = _show_logprobs(work)
    return {"results": [result]}


@router.post("/extra/generate/stream")
async def stream(request: Request, body: GenerateBody) -> Response:
    work = _begin(request, body)
    return work.stream(_events(work))


@router.post("/extra/generate/check")
async def check(request: Request, body: KeyBody | None = None) -> dict[str, Any]:
    """Return the text so far, for clients that ask again and again."""
    work = _keys(request).find(body.genkey if body else "")
    return {"results": [{"text": work.choice.text if work else ""}]}


@router.post("/extra/abort")
async def abort(request: Request, body: KeyBody | None = None) -> dict[str, Any]:
    """End a request early; it is answered with the text so far."""
    work = _keys(request).find(body.genkey if body else "")
    if work is not None:
        server_of(request).scheduler.stop(work.job)
    return {"success": work is not None, "done": True}


@router.post("/extra/last_logprobs")
async def last_logprobs(request: Request, body: KeyBody | None = None) -> dict[str, Any]:
    keys = _keys(request)
    work = keys.find(body.genkey) if body and body.genkey else keys.last
    return {"logprobs": _show_logprobs(work) if work else None}


@router.post("/extra/tokencount")
async def count_tokens(request: Request, body: CountBody) -> dict[str, Any]:
    _, model = server_of(request).find("")
    ids = model.tokenizer.encode_prompt(body.prompt)[1:]
    return {"value": len(ids), "ids": ids}


@router.post("/extra/detokenize")
async def detokenize(request: Request, body: IdsBody) -> dict[str, Any]:
    _, model = server_of(request).find("")
    return {"result": model.tokenizer.decode(body.ids), "success": True}


def _begin(request: Request, body: GenerateBody) -> Work:
    work = Work(server_of(request), body)
    _keys(request).add(work)
    return work


async def _events(work: Work) -> AsyncIterator[bytes]:
    try:
        async for text in work.texts():
            if text is None:
                yield PING
                continue
            reason = FINISH_REASONS.get(work.choice.finish_reason)
            if text or reason:
                yield _event({"token": text, "finish_reason": reason})
    except PenwrightError as error:
        yield _event({"token": "", "finish_reason": "error", "error": str(error)})


def _event(data: dict[str, Any]) -> bytes:
    return f"event: message\ndata: {json.dumps(data)}\n\n".encode()


def _show_logprobs(work: Work) -> dict[str, Any] | None:
    if not work.body.logprobs:
        return None
    tokenizer = work.model.tokenizer
    content = [
        {
            "token": spell(tokenizer, token.id),
            "logprob": token.logprob,
            "bytes": list(tokenizer.token_bytes(token.id)),
            "top_logprobs": [
                {"token": spell(tokenizer, id_), "logprob": logprob} for id_, logprob in token.top
            ],
        }
        for token in work.choice.tokens
    ]
    return {"content": content}


def _keys(request: Request) -> Keys:
    if not hasattr(request.app.state, "kobold"):
        request.app.state.kobold = Keys()
    keys: Keys = request.app.state.kobold
    return keys
