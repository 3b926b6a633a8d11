"""OpenAI's completions API, with vLLM's names for what OpenAI lacks.

https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from penwright.config import SamplingConfig, WriteConfig
from penwright.errors import PenwrightError, UsageError
from penwright.serve import fields
from penwright.serve.completions import (
    FINISH_REASONS,
    MOST_TEXTS,
    Choice,
    Offsets,
    Prompt,
    build_sampling,
    check_size,
    check_weights,
    found_stop,
    one_token_each,
    read_prompts,
    score,
    show_error,
    spell,
)
from penwright.serve.lane import Piece, Token
from penwright.serve.scheduler import Job
from penwright.serve.server import Server, server_of
from penwright.serve.streams import PING, EventStream, running, while_connected
from penwright.verbs.generate import Writer

router = APIRouter(prefix="/v1")


class StreamOptions(fields.Body):
    """Options of a stream."""

    include_usage: bool = False


class CompletionBody(fields.Body):
    """A request for completions."""

    model: str = ""
    prompt: str | list[str] | list[int] | list[list[int]] = ""
    max_tokens: Annotated[int, Field(ge=0, le=2**18)] = 16
    temperature: fields.Temperature = 1.0
    top_p: fields.Share = 1.0
    n: Annotated[int, Field(ge=1, le=MOST_TEXTS)] = 1
    best_of: Annotated[int, Field(ge=1, le=MOST_TEXTS)] | None = None
    stop: fields.Stops = ()
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    logprobs: fields.Logprobs | None = None
    echo: bool = False
    seed: fields.Seed | None = None
    presence_penalty: fields.Number = 0.0
    frequency_penalty: fields.Number = 0.0
    logit_bias: fields.Biases | None = None
    # vLLM's
    top_k: fields.TopK = 0
    min_p: fields.Share = 0.0
    typical_p: fields.Share = 1.0
    repetition_penalty: fields.Penalty = 1.0
    min_tokens: fields.Count = 0
    ignore_eos: bool = False
    bad_words: fields.Stops = ()
    allowed_token_ids: fields.Ids = ()
    stop_token_ids: fields.Ids = ()
    include_stop_str_in_output: bool = False
    return_token_ids: bool = False
    # ours
    no_repeat_ngram_size: fields.Count = 0
    max_copy: fields.Count = 0
    require: fields.Stops = ()
    pin: fields.Stops = ()
    finish_sentence: bool = False
    on_loop: Literal["allow", "stop"] = "allow"
    heal: bool | None = None
    """Whether a prompt that ends inside a word or in a space is healed. Default: if it is text, and
    no tokens are asked for."""
    weights: str | None = None
    """The type of weights to write with; only the one that the model was loaded with."""
    keywords: str | None = None
    category: str | None = None
    raw: bool = True
    """Whether the prompt is passed to the model unchanged, not in the form of its training data."""

    def sampling(self, model: Writer) -> SamplingConfig:
        """Return the settings of the engine. Raises UsageError."""
        return build_sampling(
            model,
            {
                "max_new_tokens": self.max_tokens,
                "temperature": self.temperature,
                "top_p": self.top_p,
                "top_k": self.top_k,
                "min_p": self.min_p,
                "typical_p": self.typical_p,
                "repetition_penalty": self.repetition_penalty,
                "no_repeat_ngram_size": self.no_repeat_ngram_size,
                "min_new_tokens": self.max_tokens if self.ignore_eos else self.min_tokens,
                "presence_penalty": self.presence_penalty,
                "frequency_penalty": self.frequency_penalty,
                "logit_bias": (*(self.logit_bias or ()), *fields.allow(self.allowed_token_ids)),
                "ban": self.bad_words,
                "require": self.require,
                "pin": self.pin,
                "max_copy": self.max_copy,
                "finish_sentence": self.finish_sentence,
                "on_loop": self.on_loop,
                "stop": self.stop,
                "seed": self.seed,
            },
        )

    @property
    def heals(self) -> bool:
        """Whether the ends of prompts are healed."""
        shows_tokens = self.echo or self.logprobs is not None or self.return_token_ids
        return not shows_tokens if self.heal is None else self.heal

    @property
    def form(self) -> WriteConfig | None:
        """The form to put prompts in, or None to leave them."""
        if self.raw and self.keywords is None and self.category is None:
            return None
        return WriteConfig(raw=self.raw, keywords=self.keywords, category=self.category)


@router.get("/models")
def list_models(request: Request) -> dict[str, Any]:
    server = server_of(request)
    return {"object": "list", "data": [show_model(server, name) for name in server.models]}


@router.get("/models/{name:path}")
def show(request: Request, name: str) -> dict[str, Any]:
    server = server_of(request)
    server.find(name)
    return show_model(server, name)


def show_model(server: Server, name: str) -> dict[str, Any]:
    """Return the entry of a model in the list of models."""
    config = server.models[name].source.config
    return {
        "id": name,
        "object": "model",
        "created": server.started,
        "owned_by": "penwright",
        "max_model_len": config.n_positions,
        "root": name,
        "parent": None,
        "permission": [],
    }


@router.post("/completions")
async def complete(request: Request, body: CompletionBody) -> Response:
    server = server_of(request)
    work = _Completion.begin(server, body)
    if body.max_copy:  # opening the training text takes long, once
        await asyncio.to_thread(work.model.training, work.job.sampling)
    if body.stream:
        return EventStream(await _stream(work), work.job, server.scheduler)
    answer = await while_connected(request.receive, _answer(work))
    return Response(json.dumps(answer), media_type="application/json")


class _Completion:
    """A request under way: its job, and how its answer is put together."""

    def __init__(
        self, server: Server, body: CompletionBody, model: Writer, name: str, prompts: list[Prompt]
    ) -> None:
        self.server, self.body, self.model, self.prompts = server, body, model, prompts
        self.n = body.n
        self.best_of = max(body.n, body.best_of or body.n)
        sampling = body.sampling(model)
        logprobs = body.logprobs
        self.job = Job(
            model,
            [prompt.ids for prompt in prompts],
            self.best_of,
            sampling,
            logprobs=0 if logprobs is None and self.best_of > self.n else logprobs,
            again=[prompt.again for prompt in prompts],
            stop_ids=body.stop_token_ids,
            seconds=server.timeout,
        )
        self.generated = 0
        self.head: dict[str, Any] = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": name,
            "system_fingerprint": server.fingerprint,
            "seed": sampling.seed,
        }

    @classmethod
    def begin(cls, server: Server, body: CompletionBody) -> _Completion:
        """Check a request. Raises PenwrightError."""
        name, model = server.find(body.model)
        check_weights(model, body.weights)
        prompts = read_prompts(model, body.prompt, body.form, healed=body.heals)
        best_of = max(body.n, body.best_of or body.n)
        check_size(prompts, best_of, body.max_tokens)
        if body.stream and best_of > body.n:
            raise UsageError("best_of cannot be larger than n in a stream.")
        return cls(server, body, model, name, prompts)

    @property
    def usage(self) -> dict[str, int]:
        read = sum(prompt.tokens for prompt in self.prompts)
        return {
            "prompt_tokens": read,
            "completion_tokens": self.generated,
            "total_tokens": read + self.generated,
        }

    def stop_of(self, choice: Choice) -> str:
        """Return the stop text that ended a choice, if the client wants it in the text."""
        wanted = self.body.include_stop_str_in_output
        return found_stop(self.model.tokenizer, choice, self.body.stop) if wanted else ""

    async def score_prompts(self) -> list[list[Token]]:
        """Return the tokens of each prompt as the client counts them, if they are echoed."""
        if not self.body.echo:
            return [[] for _ in self.prompts]
        found: list[list[Token]] = []
        for prompt in self.prompts:
            if self.body.logprobs is None:
                found.append([Token(id_) for id_ in prompt.ids[prompt.hidden :]])
            else:
                scored = score(self.model, prompt.ids, self.body.logprobs)
                tokens = (await self.server.scheduler.run(scored))[prompt.hidden :]
                found.append([Token(token.id) for token in tokens[:1]] + tokens[1:])
        return found

    def show_choice(
        self, index: int, text: str, tokens: Sequence[Token], offsets: Offsets, reason: str
    ) -> dict[str, Any]:
        """Return a choice, or what is new of it."""
        choice: dict[str, Any] = {
            "index": index,
            "text": text,
            "logprobs": None,
            "finish_reason": FINISH_REASONS[reason] if reason else None,
        }
        if reason == "loop":
            choice["stop_reason"] = reason
        if self.body.logprobs is not None:
            choice["logprobs"] = show_logprobs(self.model, tokens, offsets)
        if self.body.return_token_ids:
            choice["token_ids"] = [token.id for token in tokens]
            prompt = self.prompts[index // self.n]
            choice["prompt_token_ids"] = prompt.ids[prompt.hidden :]
        return choice


async def _answer(work: _Completion) -> dict[str, Any]:
    echoed = await work.score_prompts()
    choices = [Choice(index) for index in range(work.job.texts)]
    async with running(work.server.scheduler, work.job) as job:
        async for pieces in job.pieces():
            for piece in pieces:
                choices[piece.index].add(piece)
    work.generated = sum(len(choice.tokens) for choice in choices)
    shown: list[dict[str, Any]] = []
    for number, prompt in enumerate(work.prompts):
        group = choices[number * work.best_of : (number + 1) * work.best_of]
        if work.best_of > work.n:
            group = sorted(group, key=lambda choice: -choice.likelihood)[: work.n]
        for choice in group:
            text = prompt.text + choice.text if work.body.echo else choice.text
            text += work.stop_of(choice)
            offsets = Offsets(work.model.tokenizer, 0 if work.body.echo else len(prompt.text))
            tokens = [*echoed[number], *choice.tokens]
            reason = choice.finish_reason
            shown.append(work.show_choice(len(shown), text, tokens, offsets, reason))
    return work.head | {"choices": shown, "usage": work.usage}


async def _stream(work: _Completion) -> AsyncIterator[bytes]:
    """Return the events of a stream; what can be refused is refused before it begins."""
    echoed = await work.score_prompts()
    work.server.scheduler.submit(work.job)
    return _events(work, echoed)


async def _events(work: _Completion, echoed: list[list[Token]]) -> AsyncIterator[bytes]:
    choices = [Choice(index) for index in range(work.job.texts)]
    head = json.dumps(work.head)[:-1]
    with_usage = work.body.stream_options.include_usage
    tail = ', "usage": null}\n\n' if with_usage else "}\n\n"
    tokenizer = work.model.tokenizer
    offsets: list[Offsets] = []
    echo: list[bytes] = []

    def event(choice: dict[str, Any]) -> bytes:
        return f'data: {head}, "choices": [{json.dumps(choice)}]{tail}'.encode()

    for index in range(work.job.texts):
        prompt = work.prompts[index // work.n]
        offsets.append(Offsets(tokenizer, 0 if work.body.echo else len(prompt.text)))
        if work.body.echo:
            tokens = echoed[index // work.n]
            echo.append(event(work.show_choice(index, prompt.text, tokens, offsets[index], "")))
    if echo:
        yield b"".join(echo)

    def show(piece: Piece) -> bytes:
        work.generated += len(piece.tokens)
        text = piece.text
        if work.body.include_stop_str_in_output:
            choices[piece.index].add(piece)
            text += work.stop_of(choices[piece.index])
        if not (text or piece.finish_reason or work.body.logprobs is not None):
            return b""
        return event(
            work.show_choice(
                piece.index, text, piece.tokens, offsets[piece.index], piece.finish_reason
            )
        )

    try:
        async for pieces in work.job.pieces():
            if work.body.logprobs is not None:
                pieces = [one for each in pieces for one in one_token_each(tokenizer, each)]
            if sent := b"".join(map(show, pieces)) if pieces else PING:
                yield sent
    except PenwrightError as error:
        yield f"data: {json.dumps({'error': show_error(error)})}\n\n".encode()
    if with_usage:
        yield f'data: {head}, "choices": [], "usage": {json.dumps(work.usage)}}}\n\n'.encode()
    yield b"data: [DONE]\n\n"


def show_logprobs(model: Writer, tokens: Sequence[Token], offsets: Offsets) -> dict[str, Any]:
    """Return the log-probabilities of tokens in OpenAI's format; `token_ids` is ours."""
    tokenizer = model.tokenizer
    tops: list[dict[str, float] | None] = []
    for token in tokens:
        best = {spell(tokenizer, id_): logprob for id_, logprob in token.top}
        if token.logprob is not None:
            best.setdefault(spell(tokenizer, token.id), token.logprob)
        tops.append(best if token.logprob is not None else None)
    return {
        "tokens": [spell(tokenizer, token.id) for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": tops,
        "text_offset": list(offsets.take([token.id for token in tokens])),
        "token_ids": [token.id for token in tokens],
    }
