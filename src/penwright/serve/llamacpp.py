"""The API of llama.cpp's server, as far as SillyTavern and mikupad use it.

https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from penwright.config import SamplingConfig
from penwright.errors import PenwrightError
from penwright.serve import fields
from penwright.serve.completions import (
    Prompt,
    build_sampling,
    found_stop,
    one_token_each,
    read_prompts,
    show_error,
    spell,
)
from penwright.serve.lane import Token
from penwright.serve.server import Server, server_of
from penwright.serve.streams import PING, OneText
from penwright.tokens import Tokenizer
from penwright.verbs.generate import Writer

router = APIRouter()

STOP_TYPES = {"end": "eos", "stop": "word", "length": "limit"}


class CompletionBody(fields.Body):
    """A request for a text; defaults are llama.cpp's."""

    model: str = ""
    prompt: str | list[int | str] = ""
    n_predict: Annotated[int, Field(ge=-2, le=2**18)] = -1
    temperature: fields.Temperature = 0.8
    top_k: fields.TopK = 40
    top_p: fields.Share = 0.95
    min_p: fields.Share = 0.05
    typical_p: fields.Share = 1.0
    repeat_penalty: fields.Penalty = 1.0
    presence_penalty: fields.Number = 0.0
    frequency_penalty: fields.Number = 0.0
    seed: fields.Seed | None = None
    stop: fields.Stops = ()
    stream: bool = False
    n_probs: fields.Logprobs = 0
    logit_bias: fields.Biases | None = None
    ignore_eos: bool = False

    def sampling(self, model: Writer, most: int) -> SamplingConfig:
        """Return the settings of the engine, for `most` new tokens. Raises UsageError."""
        return build_sampling(
            model,
            {
                "max_new_tokens": most,
                "temperature": self.temperature,
                "top_k": self.top_k,
                "top_p": self.top_p or 1.0,
                "min_p": self.min_p,
                "typical_p": self.typical_p or 1.0,
                "repetition_penalty": self.repeat_penalty,
                "presence_penalty": self.presence_penalty,
                "frequency_penalty": self.frequency_penalty,
                "min_new_tokens": most if self.ignore_eos else 0,
                "logit_bias": self.logit_bias,
                "stop": self.stop,
                "seed": self.seed,
            },
        )


class TokenizeBody(fields.Body):
    """A text to encode."""

    content: str = ""
    add_special: bool = False
    with_pieces: bool = False


class DetokenizeBody(fields.Body):
    """Token ids to decode."""

    tokens: Annotated[list[int], Field(max_length=2**18)] = []  # noqa: RUF012 - pydantic copies it


@router.get("/props")
async def show_properties(request: Request) -> dict[str, Any]:
    server = server_of(request)
    name, model = server.find("")
    context = model.source.config.n_positions
    return {
        "default_generation_settings": {"n_ctx": context, "params": {}},
        "total_slots": 1,
        "model_path": name,
        "model_alias": name,
        "chat_template": "",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
        "build_info": server.fingerprint,
    }


@router.post("/tokenize")
async def tokenize(request: Request, body: TokenizeBody) -> dict[str, Any]:
    tokenizer = server_of(request).find("")[1].tokenizer
    ids = tokenizer.encode_prompt(body.content)[0 if body.add_special else 1 :]
    if body.with_pieces:
        return {"tokens": [{"id": id_, "piece": spell(tokenizer, id_)} for id_ in ids]}
    return {"tokens": ids}


@router.post("/detokenize")
async def detokenize(request: Request, body: DetokenizeBody) -> dict[str, Any]:
    return {"content": server_of(request).find("")[1].tokenizer.decode(body.tokens)}


@router.post("/completion")
async def complete(request: Request, body: CompletionBody) -> Response:
    work = Work(server_of(request), body)
    if body.stream:
        return work.stream(_events(work))
    await work.finish(request.receive, work.pieces())
    whole = work.show(work.choice.text, work.choice.tokens, stop=True)
    return JSONResponse(whole | {"prompt": work.prompt.text})


class Work(OneText):
    """The text of a request as it grows."""

    def __init__(self, server: Server, body: CompletionBody) -> None:
        self.name, model = server.find(body.model)
        self.body = body
        prompt = _read_prompt(model, body.prompt, healed=not body.n_probs)
        most = body.n_predict
        if most < 0:  # until the context is full
            most = max(1, model.source.config.n_positions - len(prompt.ids))
        super().__init__(server, model, prompt, body.sampling(model, most), body.n_probs or None)

    def show(self, content: str, tokens: Sequence[Token], *, stop: bool) -> dict[str, Any]:
        """Return an answer, or a part of one."""
        shown: dict[str, Any] = {
            "index": 0,
            "content": content,
            "tokens": [token.id for token in tokens],
            "stop": stop,
            "id_slot": -1,
            "tokens_predicted": len(self.choice.tokens),
            "tokens_evaluated": self.prompt.tokens,
        }
        if self.body.n_probs:
            tokenizer = self.model.tokenizer
            shown["completion_probabilities"] = [_show_token(tokenizer, t) for t in tokens]
        if stop:
            sampling = self.job.sampling
            shown |= {
                "model": self.name,
                "stop_type": STOP_TYPES[self.choice.finish_reason],
                "stopping_word": found_stop(self.model.tokenizer, self.choice, self.body.stop),
                "generation_settings": {
                    "seed": sampling.seed,
                    "n_predict": sampling.max_new_tokens,
                },
                "truncated": len(self.prompt.ids) > self.model.source.config.n_positions,
            }
        return shown


def _read_prompt(model: Writer, given: str | list[int | str], *, healed: bool) -> Prompt:
    """Return a prompt of text, token ids, or both mixed."""
    if isinstance(given, str) or all(isinstance(item, int) for item in given):
        return read_prompts(model, given, healed=healed)[0]
    texts = [model.tokenizer.decode([i]) if isinstance(i, int) else i for i in given]
    return read_prompts(model, "".join(texts), healed=healed)[0]


async def _events(work: Work) -> AsyncIterator[bytes]:
    try:
        async for piece in work.pieces():
            for one in one_token_each(work.model.tokenizer, piece) if piece else ():
                yield _event(work.show(one.text, one.tokens, stop=False))
            if piece is None:
                yield PING
        yield _event(work.show("", (), stop=True))
    except PenwrightError as error:
        yield _event({"error": show_error(error), "content": "", "stop": True})


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _show_token(tokenizer: Tokenizer, token: Token) -> dict[str, Any]:
    """Return a token with its probabilities, by the names of new and of older versions."""
    best = dict(token.top)
    if token.logprob is not None:
        best.setdefault(token.id, token.logprob)
    return {
        "id": token.id,
        "token": spell(tokenizer, token.id),
        "bytes": list(tokenizer.token_bytes(token.id)),
        "logprob": token.logprob,
        "top_logprobs": [
            {
                "id": id_,
                "token": spell(tokenizer, id_),
                "bytes": list(tokenizer.token_bytes(id_)),
                "logprob": logprob,
            }
            for id_, logprob in best.items()
        ],
        "content": spell(tokenizer, token.id),
        "probs": [
            {"tok_str": spell(tokenizer, id_), "prob": math.exp(logprob)}
            for id_, logprob in best.items()
        ],
    }
