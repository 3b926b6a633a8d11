"""The official `openai` client against the server, over every parameter."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

pytest.importorskip("openai", reason="needs openai")

import openai

from penwright.sample import generate
from penwright.serve.app import make_app
from penwright.serve.completions import build_sampling, score
from penwright.serve.security import Access
from tests.serve.conftest import TOKEN, make_server, make_writer


@pytest.fixture(scope="module")
def ai(live):
    with openai.OpenAI(base_url=f"{live.address}/v1", api_key="none", max_retries=0) as client:
        yield client


def write(writer, prompts, n=1, **options):
    """The texts that the engine writes offline, with the API's defaults."""
    defaults = {"max_new_tokens": 16, "temperature": 1.0, "top_p": 1.0, "seed": 0}
    sampling = build_sampling(writer, defaults | options)
    return [s.text for s in generate(writer.model, writer.tokenizer, prompts, n, sampling)]


def test_models(ai):
    listed = {model.id: model for model in ai.models.list()}
    assert set(listed) == {"tiny", "other"}
    assert listed["tiny"].model_extra["max_model_len"] == 64
    assert ai.models.retrieve("other").id == "other"


@pytest.mark.parametrize(
    ("sent", "ours"),
    [
        ({}, {}),
        ({"max_tokens": 5}, {"max_new_tokens": 5}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"temperature": 0.5, "top_p": 0.6}, {"temperature": 0.5, "top_p": 0.6}),
        ({"presence_penalty": 1.5}, {"presence_penalty": 1.5}),
        ({"frequency_penalty": -0.5}, {"frequency_penalty": -0.5}),
        ({"logit_bias": {"300": 100}}, {"logit_bias": ("id:300=100",)}),
        ({"logit_bias": {" the mill": 50}}, {"logit_bias": (" the mill=50",)}),
        ({"stop": " the"}, {"stop": (" the",)}),
        ({"stop": ["e", "zz"]}, {"stop": ("e", "zz")}),
        ({"user": "me", "suffix": "."}, {}),
        ({"extra_body": {"top_k": 5}}, {"top_k": 5}),
        ({"extra_body": {"top_k": -1, "top_p": 1.0, "min_p": 0.3}}, {"min_p": 0.3}),
        ({"extra_body": {"repetition_penalty": 1.3}}, {"repetition_penalty": 1.3}),
        ({"extra_body": {"typical_p": 0.5}}, {"typical_p": 0.5}),
        ({"extra_body": {"no_repeat_ngram_size": 1}}, {"no_repeat_ngram_size": 1}),
        ({"extra_body": {"min_tokens": 16}}, {"min_new_tokens": 16}),
        ({"extra_body": {"ignore_eos": True}}, {"min_new_tokens": 16}),
        ({"extra_body": {"bad_words": ["e", "the"]}}, {"ban": ("e", "the")}),
        ({"extra_body": {"require": ["goose"]}}, {"require": ("goose",), "on_loop": "stop"}),
        ({"extra_body": {"finish_sentence": True}}, {"finish_sentence": True}),
        ({"extra_body": {"on_loop": "stop"}}, {"on_loop": "stop"}),
        ({"extra_body": {"weights": "float32"}}, {}),
        ({"extra_body": {"mirostat": 2, "dry_multiplier": 0.8, "grammar": None}}, {}),
    ],
)
def test_each_parameter_is_the_engine_s_streamed_and_whole(ai, writer, sent, ours):
    prompts = ["The sea", "A goose"]
    wanted = write(writer, prompts, 2, seed=7, **ours)
    request = {"model": "tiny", "prompt": prompts, "n": 2, "seed": 7} | sent
    answer = ai.completions.create(**request)
    assert [choice.text for choice in answer.choices] == wanted
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert all(choice.finish_reason in ("stop", "length") for choice in answer.choices)
    texts, reasons = [""] * 4, [None] * 4
    for chunk in ai.completions.create(**request, stream=True):
        for choice in chunk.choices:
            assert reasons[choice.index] is None
            texts[choice.index] += choice.text
            reasons[choice.index] = choice.finish_reason
    assert texts == wanted
    assert reasons == [choice.finish_reason for choice in answer.choices]


def test_a_model_is_chosen_by_name(ai, writers):
    for writer in writers:
        answer = ai.completions.create(model=writer.name, prompt="The sea", seed=1)
        assert (answer.model, answer.choices[0].text) == (
            writer.name,
            write(writer, ["The sea"], seed=1)[0],
        )


def test_usage_counts_what_the_client_sent_and_got(ai, writer):
    ids = writer.tokenizer.encode("The sea is deep")
    for prompt in ("The sea is deep", ids):
        usage = ai.completions.create(model="tiny", prompt=prompt, max_tokens=9, seed=1).usage
        assert (usage.prompt_tokens, usage.total_tokens) == (len(ids), len(ids) + 9)
    chunks = list(
        ai.completions.create(
            model="tiny",
            prompt=["The sea", "is"],
            max_tokens=4,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1].choices, chunks[-1].usage.completion_tokens) == ([], 8)


def test_token_prompts_are_read_as_their_text(ai, writer):
    ids = writer.tokenizer.encode("The sea")
    texts = [
        ai.completions.create(model="tiny", prompt=prompt, seed=2).choices[0].text
        for prompt in (ids, [ids], [writer.tokenizer.eot_id, *ids], "The sea", ["The sea"])
    ]
    assert len(set(texts)) == 1


def test_best_of_returns_the_likeliest(ai):
    request = {"model": "tiny", "prompt": "The sea", "seed": 3, "logprobs": 0, "max_tokens": 6}
    every = ai.completions.create(**request, n=8).choices
    best = ai.completions.create(**request, n=2, best_of=8).choices

    def mean(choice):
        return sum(choice.logprobs.token_logprobs) / len(choice.logprobs.token_logprobs)

    ranked = sorted(every, key=mean, reverse=True)
    assert [choice.text for choice in best] == [choice.text for choice in ranked[:2]]
    with pytest.raises(openai.BadRequestError, match="best_of"):
        ai.completions.create(**request, n=2, best_of=8, stream=True)


def scores(writer, ids, top=0):
    """The log-probabilities of a text's tokens, by the generator run to its end."""
    work = score(writer, ids, top)
    while True:
        try:
            next(work)
        except StopIteration as finished:
            return finished.value


def test_logprobs_are_the_model_s_own(ai, writer):
    request = {"model": "tiny", "prompt": "The sea", "seed": 3, "temperature": 0.7, "top_p": 0.9}
    choice = ai.completions.create(**request, logprobs=3).choices[0]
    assert choice.text == ai.completions.create(**request).choices[0].text
    logprobs = choice.logprobs
    ids = logprobs.model_extra["token_ids"]
    prompt = writer.tokenizer.encode_prompt("The sea")
    wanted = scores(writer, [*prompt, *ids], 3)[len(prompt) :]
    assert logprobs.token_logprobs == pytest.approx([t.logprob for t in wanted], abs=1e-4)
    assert "".join(writer.tokenizer.decode(ids)) == choice.text
    for token, logprob, top in zip(
        logprobs.tokens, logprobs.token_logprobs, logprobs.top_logprobs, strict=True
    ):
        assert top[token] == pytest.approx(logprob)
        assert 3 <= len(top) <= 4
    streamed = list(ai.completions.create(**request, logprobs=3, stream=True))
    parts = [chunk.choices[0].logprobs for chunk in streamed]
    assert all(len(part.tokens) == 1 for part in parts)
    assert [part.tokens[0] for part in parts] == logprobs.tokens
    assert [part.text_offset[0] for part in parts] == logprobs.text_offset
    assert logprobs.text_offset[0] == len("The sea")


@pytest.mark.parametrize(("asked", "most"), [(0, 1), (True, 2), (1, 2)])
def test_odd_numbers_of_logprobs(ai, asked, most):
    choice = ai.completions.create(model="tiny", prompt="The sea", logprobs=asked).choices[0]
    assert all(1 <= len(top) <= most for top in choice.logprobs.top_logprobs)


@pytest.mark.parametrize("stream", [False, True])
def test_echo_scores_the_prompt(ai, writer, stream):
    text = "The sea — déjà vu 🦆 " * 20
    request = {"model": "tiny", "prompt": text, "max_tokens": 0, "echo": True, "logprobs": 1}
    answer = ai.completions.create(**request, stream=stream)
    choice = (list(answer) if stream else [answer])[0].choices[0]
    wanted = scores(writer, writer.tokenizer.encode_prompt(text), 1)[1:]
    assert choice.text == text
    logprobs = choice.logprobs
    assert logprobs.token_logprobs[0] is logprobs.top_logprobs[0] is None
    assert logprobs.token_logprobs[1:] == pytest.approx([t.logprob for t in wanted[1:]], abs=1e-4)
    assert len(logprobs.tokens) > 64  # longer than the context
    for token, place in zip(logprobs.tokens, logprobs.text_offset, strict=True):
        if not token.startswith("bytes:"):
            assert text.startswith(token, place)
    assert any(token.startswith("bytes:\\x") for token in logprobs.tokens)


def test_echo_before_new_text(ai):
    request = {"model": "tiny", "prompt": "The sea", "seed": 3, "max_tokens": 4}
    plain = ai.completions.create(**request).choices[0].text
    echoed = ai.completions.create(**request, echo=True, logprobs=1).choices[0]
    assert echoed.text == f"The sea{plain}"
    assert len(echoed.logprobs.tokens) == 2 + 4
    parts = list(ai.completions.create(**request, echo=True, stream=True))
    assert "".join(part.choices[0].text for part in parts) == f"The sea{plain}"


def test_tokens_keep_their_probabilities_where_a_stop_takes_their_text(ai):
    whole = ai.completions.create(model="tiny", prompt="The sea", seed=5, logprobs=0).choices[0]
    stop = whole.text[len(whole.text) // 2 :][:3]
    request = {"model": "tiny", "prompt": "The sea", "seed": 5, "logprobs": 0, "stop": stop}
    choice = ai.completions.create(**request).choices[0]
    assert (choice.text, choice.finish_reason) == (whole.text.partition(stop)[0], "stop")
    count = len(choice.logprobs.tokens)
    assert choice.logprobs.token_logprobs == whole.logprobs.token_logprobs[:count]
    parts = [c.choices[0] for c in ai.completions.create(**request, stream=True)]
    assert "".join(part.text for part in parts) == choice.text
    assert [p.logprobs.token_logprobs[0] for p in parts] == choice.logprobs.token_logprobs


def test_token_ids(ai, writer):
    answer = ai.completions.create(
        model="tiny", prompt="The sea", seed=5, extra_body={"return_token_ids": True}
    )
    extra = answer.choices[0].model_extra
    assert extra["prompt_token_ids"] == writer.tokenizer.encode("The sea")
    assert writer.tokenizer.decode(extra["token_ids"]) == answer.choices[0].text


def test_only_some_tokens_are_allowed(ai, writer):
    allowed = writer.tokenizer.encode(" the sea goose")
    request = {"model": "tiny", "prompt": "The sea", "seed": 5, "logprobs": 0}
    choice = ai.completions.create(**request, extra_body={"allowed_token_ids": allowed}).choices[0]
    ids = choice.logprobs.model_extra["token_ids"]
    assert set(ids) <= set(allowed)
    prompt = writer.tokenizer.encode_prompt("The sea")
    wanted = scores(writer, [*prompt, *ids])[len(prompt) :]
    own = [token.logprob for token in wanted]
    assert choice.logprobs.token_logprobs == pytest.approx(own, abs=1e-4)


@pytest.mark.parametrize("stream", [False, True])
def test_a_token_ends_a_text(ai, writer, stream):
    request = {"model": "tiny", "prompt": "The sea", "seed": 5, "logprobs": 0}
    whole = ai.completions.create(**request).choices[0]
    ids = whole.logprobs.model_extra["token_ids"]
    end = next(i for i in range(3, len(ids)) if ids[i] not in ids[:i])
    request = {"model": "tiny", "prompt": "The sea", "seed": 5, "stream": stream}
    answer = ai.completions.create(**request, extra_body={"stop_token_ids": [ids[end]]})
    parts = [c.choices[0] for c in (answer if stream else [answer])]
    assert "".join(part.text for part in parts) == writer.tokenizer.decode(ids[:end])
    assert parts[-1].finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_the_stop_text_can_be_kept(ai, stream):
    request = {"model": "tiny", "prompt": "The sea", "seed": 5}
    whole = ai.completions.create(**request).choices[0].text
    stop = whole[len(whole) // 2 :][:3]
    more = {"include_stop_str_in_output": True}
    answer = ai.completions.create(**request, stop=stop, stream=stream, extra_body=more)
    text = "".join(c.choices[0].text for c in (answer if stream else [answer]))
    assert text == whole.partition(stop)[0] + stop


def test_a_prompt_that_ends_in_a_space_is_healed_as_in_generate(ai, writer):
    def ask(**more):
        request = {"model": "tiny", "prompt": "The sea ", "seed": 5}
        return ai.completions.create(**request, **more).choices[0].text

    assert ask() == write(writer, ["The sea "], seed=5)[0]
    left = write(writer, ["The sea "], seed=5, heal=False)[0]
    assert ask(extra_body={"heal": False}) == ask(logprobs=1) == left
    ids = writer.tokenizer.encode_prompt("The sea ")
    assert ai.completions.create(model="tiny", prompt=ids, seed=5).choices[0].text == left


def test_the_seed_of_a_random_text_is_told(ai):
    answer = ai.completions.create(model="tiny", prompt="The sea", seed=-1)
    again = ai.completions.create(model="tiny", prompt="The sea", seed=answer.model_extra["seed"])
    assert answer.choices[0].text == again.choices[0].text


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"temperature": -1}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"max_tokens": 2**17, "n": 3}, "tokens"),
        ({"n": 0}, "n"),
        ({"n": 10**6}, "n"),
        ({"prompt": ["a"] * 200, "n": 2}, "texts"),
        ({"prompt": [10**6]}, "Token ids"),
        ({"prompt": [-1]}, "Token ids"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"stop": ["x"] * 100}, "stop"),
        ({"logprobs": 1000}, "logprobs"),
        ({"extra_body": {"logit_bias": {"x": "y"}}}, "logit_bias"),
        ({"logit_bias": {"100000": 1}}, "logit bias"),
        ({"extra_body": {"keywords": "sea"}}, "keywords"),
        ({"extra_body": {"max_copy": 20}}, "--max-copy needs the text"),
        ({"extra_body": {"weights": "int4"}}, "--weights int4"),
        ({"extra_body": {"min_tokens": 99}}, "min_new_tokens"),
        ({"extra_body": {"no_repeat_ngram_size": -2}}, "no_repeat_ngram_size"),
    ],
)
def test_what_cannot_be_is_refused_in_openai_s_format(ai, sent, says):
    with pytest.raises(openai.BadRequestError) as caught:
        ai.completions.create(**({"model": "tiny", "prompt": "The sea"} | sent))
    error = caught.value.body
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert says in error["message"]


def test_an_unknown_model_is_not_found(ai):
    with pytest.raises(openai.NotFoundError, match="'tiny'"):
        ai.completions.create(model="tinny", prompt="The sea")
    with pytest.raises(openai.NotFoundError):
        ai.completions.create(model="/etc/passwd", prompt="The sea")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"[" * 10_000, b"null"])
def test_a_malformed_body_is_refused(client, body):
    answer = client.post(
        "/v1/completions", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


def test_nulls_are_defaults_and_the_end_is_marked(client):
    names = ("max_tokens", "temperature", "top_p", "n", "stop", "logprobs", "seed", "logit_bias")
    body = {"prompt": "The sea", "stream": True, "max_tokens": 3} | dict.fromkeys(names[1:])
    lines = client.post("/v1/completions", json=body).text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    reasons = [event["choices"][0]["finish_reason"] for event in events]
    assert reasons[-1] in ("length", "stop")
    assert set(reasons[:-1]) <= {None}


def test_a_text_that_repeats_itself_says_why_it_ended(client):
    body = {"prompt": "The sea", "allowed_token_ids": [257], "max_tokens": 100}
    choices = [
        client.post("/v1/completions", json=body | {"on_loop": on_loop}).json()["choices"][0]
        for on_loop in ("stop", "allow")
    ]
    assert [one["finish_reason"] for one in choices] == ["stop", "length"]
    assert [one.get("stop_reason") for one in choices] == ["loop", None]


def test_keywords_and_the_form_of_the_training_data(tmp_path):
    writer = replace(
        make_writer("titles", 3),
        sections=("category", "keywords", "title"),
        prompt_format="Q: {prompt}\n",
    )
    access = Access.choose("127.0.0.1", 8000, token=TOKEN)
    app = make_app(make_server([writer], tmp_path), access)
    sent = {"prompt": "The", "max_tokens": 9, "seed": 2, "temperature": 0.7, "top_p": 0.9}
    options = {"max_new_tokens": 9, "seed": 2, "temperature": 0.7, "top_p": 0.9}
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        for more in ({"keywords": "sea,moon", "category": "aww"}, {"raw": False}):
            answer = client.post("/v1/completions", json=sent | more).json()
            (wanted,) = writer.generate("The", **(options | more))
            assert answer["choices"][0]["text"] == wanted.text
        raw = client.post("/v1/completions", json=sent).json()["choices"][0]["text"]
        assert raw == writer.generate("The", raw=True, **options)[0].text


def test_a_model_that_computes_no_numbers_is_an_error(tmp_path):
    broken = make_writer("broken", 1)
    broken.model.embed_tokens.weight.data.fill_(math.nan)
    access = Access.choose("127.0.0.1", 8000, token=TOKEN)
    app = make_app(make_server([broken], tmp_path), access)
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        for _ in range(2):
            answer = client.post("/v1/completions", json={"prompt": "The sea", "n": 2})
            assert answer.status_code == 400
            assert "not numbers" in answer.json()["error"]["message"]
        said = client.post("/v1/completions", json={"prompt": "x", "stream": True}).text
        assert "not numbers" in said
        assert said.endswith("data: [DONE]\n\n")
        assert client.get("/health").status_code == 200
