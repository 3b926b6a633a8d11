"""Requests as KoboldAI Lite, SillyTavern and mikupad send them, and answers as they parse them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest
from starlette.testclient import TestClient

from penwright.sample import generate
from penwright.sample.drafts import Drafter
from penwright.serve.app import make_app
from penwright.serve.completions import build_sampling
from penwright.serve.security import Access
from tests.serve.conftest import TOKEN, make_server, wait_until

LITE = {
    "n": 1,
    "max_context_length": 2048,
    "max_length": 12,
    "rep_pen": 1.0,
    "temperature": 0.75,
    "top_p": 0.92,
    "top_k": 100,
    "top_a": 0,
    "typical": 1,
    "tfs": 1,
    "rep_pen_range": 360,
    "rep_pen_slope": 0.7,
    "sampler_order": [6, 0, 1, 3, 4, 2, 5],
    "memory": "",
    "trim_stop": True,
    "genkey": "KCPP1234",
    "min_p": 0,
    "dynatemp_range": 0,
    "dynatemp_exponent": 1,
    "smoothing_factor": 0,
    "nsigma": 0,
    "banned_tokens": [],
    "render_special": False,
    "logprobs": False,
    "replace_instruct_placeholders": True,
    "presence_penalty": 0,
    "logit_bias": {},
    "stop_sequence": [],
    "use_default_badwordsids": False,
    "bypass_eos": False,
    "prompt": "The sea",
}
"""What KoboldAI Lite sends."""

TAVERN = {
    "prompt": "The sea",
    "model": "",
    "max_new_tokens": 12,
    "max_tokens": 12,
    "n_predict": 12,
    "temperature": 0.75,
    "top_p": 0.92,
    "top_k": 100,
    "typical_p": 1,
    "typical": 1,
    "sampler_seed": -1,
    "seed": -1,
    "min_p": 0,
    "repetition_penalty": 1.0,
    "repeat_penalty": 1.0,
    "rep_pen": 1.0,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "skew": 0,
    "min_tokens": 0,
    "add_bos_token": True,
    "smoothing_factor": 0,
    "dry_multiplier": 0,
    "mirostat_mode": 0,
    "mirostat": 0,
    "stopping_strings": ["\nUser:"],
    "stop": ["\nUser:"],
    "truncation_length": 2048,
    "ban_eos_token": False,
    "skip_special_tokens": True,
    "include_reasoning": True,
    "ignore_eos": False,
    "custom_token_bans": "",
    "banned_strings": [],
    "logit_bias": [],
    "sampler_order": [6, 0, 1, 3, 4, 2, 5],
    "grammar": "",
    "cache_prompt": True,
    "stream": True,
}
"""What SillyTavern sends to text completion servers."""

MIKUPAD = {
    "prompt": "The sea",
    "n_predict": 12,
    "max_tokens": 12,
    "stream": True,
    "temperature": 0.7,
    "repeat_penalty": 1.0,
    "repeat_last_n": 256,
    "penalize_nl": False,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "mirostat": 0,
    "top_k": 40,
    "top_p": 0.95,
    "typical_p": 1,
    "min_p": 0,
    "tfs_z": 1,
    "seed": None,
    "n_probs": 10,
    "ignore_eos": False,
    "stop": [],
}
"""What mikupad sends, in its llama.cpp mode."""


def write(writer, prompt, **settings):
    sampling = build_sampling(writer, settings)
    (text,) = generate(writer.model, writer.tokenizer, [prompt], 1, sampling)
    return text.text


def lite_settings(**more):
    values = {"max_new_tokens": 12, "temperature": 0.75, "top_p": 0.92, "top_k": 100, "seed": 4}
    return values | more


# KoboldAI Lite


def test_lite_finds_the_server(client):
    def get(path):
        answer = client.get(path)
        assert answer.status_code == 200
        return answer.json()

    assert get("/api/v1/model")["result"].endswith("tiny")
    assert get("/api/v1/info/version") == {"result": "1.2.5"}
    version = get("/api/extra/version")
    assert version["result"] == "KoboldCpp"
    assert tuple(map(int, version["version"].split("."))) >= (1, 40)
    assert get("/api/v1/config/max_context_length") == {"value": 64}
    assert get("/api/extra/true_max_context_length") == {"value": 64}
    assert get("/api/extra/preloadstory") == {}
    assert get("/api/extra/perf")["idle"] == 1


def test_lite_streams(client, writer):
    answer = client.post("/api/extra/generate/stream", json=LITE | {"sampler_seed": 4})
    assert answer.headers["content-type"].startswith("text/event-stream")
    text, reasons = "", []
    for event in answer.text.split("\n\n")[:-1]:
        first, second = event.split("\n")
        assert first == "event: message"
        assert second.startswith('data: {"token": ')
        data = json.loads(second.removeprefix("data: "))
        assert list(data) == ["token", "finish_reason"]
        text += data["token"]
        reasons.append(data["finish_reason"])
    assert text == write(writer, "The sea", **lite_settings())
    assert reasons[-1] in ("length", "stop")
    assert set(reasons[:-1]) <= {None}


def test_lite_without_streaming(client, writer):
    body = LITE | {"sampler_seed": 4, "logprobs": True}
    (result,) = client.post("/api/v1/generate", json=body).json()["results"]
    assert result["text"] == write(writer, "The sea", **lite_settings())
    assert result["finish_reason"] in ("length", "stop")
    last = client.post("/api/extra/last_logprobs", json={"genkey": "KCPP1234"}).json()
    assert last["logprobs"] == result["logprobs"]
    assert len(last["logprobs"]["content"]) == result["completion_tokens"]
    check = client.post("/api/extra/generate/check", json={"genkey": "KCPP1234"}).json()
    assert check == {"results": [{"text": result["text"]}]}


def test_memory_stays_before_a_prompt_that_is_too_long(client, writer):
    body = LITE | {"sampler_seed": 4, "memory": "It rains. ", "prompt": "sea " * 100 + "goose"}
    (result,) = client.post("/api/v1/generate", json=body).json()["results"]
    tokenizer = writer.tokenizer
    memory = tokenizer.encode_prompt("It rains. ")
    rest = tokenizer.encode(body["prompt"])[-(64 - 12 - len(memory)) :]
    answer = client.post(
        "/v1/completions",
        json={
            "prompt": [*memory, *rest],
            "max_tokens": 12,
            "temperature": 0.75,
            "top_p": 0.92,
            "top_k": 100,
            "seed": 4,
        },
    )
    assert result["text"] == answer.json()["choices"][0]["text"]
    assert result["prompt_tokens"] == 64 - 12 - 1


def test_the_stop_text_is_kept_or_trimmed(client):
    (whole,) = client.post("/api/v1/generate", json=LITE | {"sampler_seed": 4}).json()["results"]
    stop = whole["text"][4:6]
    before = whole["text"].partition(stop)[0]
    for trim in (True, False):
        body = LITE | {"sampler_seed": 4, "stop_sequence": [stop], "trim_stop": trim}
        (cut,) = client.post("/api/v1/generate", json=body).json()["results"]
        assert cut["text"] == (before if trim else before + stop)
        assert cut["finish_reason"] == "stop"
        events = client.post("/api/extra/generate/stream", json=body).text.split("\n\n")[:-1]
        tokens = [json.loads(event.partition("data: ")[2])["token"] for event in events]
        assert "".join(tokens) == cut["text"]


def test_lite_counts_and_decodes_tokens(client, writer):
    ids = writer.tokenizer.encode("The sea is deep")
    counted = client.post("/api/extra/tokencount", json={"prompt": "The sea is deep"}).json()
    assert counted == {"value": len(ids), "ids": ids}
    assert client.post("/api/extra/detokenize", json={"ids": ids}).json() == {
        "result": "The sea is deep",
        "success": True,
    }


def test_abort_ends_a_text_that_is_being_written(live):
    """The request is answered with its text so far."""
    body = LITE | {"max_length": 100_000, "genkey": "KCPP9", "bypass_eos": True}
    with httpx.Client(base_url=live.address, timeout=30) as http, ThreadPoolExecutor() as pool:
        asked = pool.submit(http.post, "/api/v1/generate", json=body)

        def so_far():
            answer = http.post("/api/extra/generate/check", json={"genkey": "KCPP9"})
            return answer.json()["results"][0]["text"]

        wait_until(lambda: len(so_far()) > 20)
        assert http.post("/api/extra/abort", json={"genkey": "KCPP9"}).json()["success"]
        (result,) = asked.result().json()["results"]
        assert result["text"].startswith(so_far()[:20])
        assert http.post("/api/extra/abort", json={"genkey": "?"}).json()["success"] is False
    wait_until(lambda: live.server.scheduler.running == 0)


# SillyTavern


def test_tavern_aborts_without_a_body(client):
    answer = client.post("/api/extra/abort", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["success"]) == (200, False)


def test_tavern_finds_the_server(client):
    listed = client.get("/v1/models").json()
    assert [model["id"] for model in listed["data"]] == ["tiny", "other"]
    properties = client.get("/props").json()
    assert isinstance(properties["chat_template"], str)
    assert properties["default_generation_settings"]["n_ctx"] == 64


@pytest.mark.parametrize("path", ["/v1/completions", "/completion"])
def test_tavern_streams(client, path):
    answer = client.post(path, json=TAVERN)
    assert answer.status_code == 200
    events = [line.removeprefix("data: ") for line in answer.text.split("\n\n")[:-1]]
    if path == "/v1/completions":
        assert events.pop() == "[DONE]"
    parts = [json.loads(event) for event in events]
    if path == "/v1/completions":
        assert all(isinstance(part["choices"][0]["text"], str) for part in parts)
    else:
        assert [part["stop"] for part in parts] == [False] * (len(parts) - 1) + [True]


# mikupad


def test_mikupad_in_llama_mode(client, writer):
    ids = client.post("/tokenize", json={"content": "The sea"}).json()["tokens"]
    assert ids == writer.tokenizer.encode("The sea")
    assert client.post("/detokenize", json={"tokens": ids}).json() == {"content": "The sea"}
    answer = client.post("/completion", json=MIKUPAD | {"seed": 4})
    parts = [json.loads(e.removeprefix("data: ")) for e in answer.text.split("\n\n")[:-1]]
    settings = {"max_new_tokens": 12, "temperature": 0.7, "top_k": 40, "top_p": 0.95, "seed": 4}
    assert "".join(part["content"] for part in parts) == write(writer, "The sea", **settings)
    for part in parts[:-1]:
        (token,) = part["completion_probabilities"]
        assert len(token["top_logprobs"]) >= 10
        assert token["id"] in [top["id"] for top in token["top_logprobs"]]
        assert len(token["probs"]) == len(token["top_logprobs"])
    assert (parts[-1]["stop"], parts[-1]["stop_type"]) == (True, "limit")


def test_llama_whole_with_a_stop(client, writer):
    body = {"prompt": ["The", 2008], "n_predict": 12, "seed": 4, "temperature": 1, "top_k": 0}
    body |= {"top_p": 1, "min_p": 0}
    whole = client.post("/completion", json=body).json()
    settings = {"max_new_tokens": 12, "temperature": 1.0, "top_p": 1.0, "seed": 4}
    assert whole["content"] == write(writer, "The" + writer.tokenizer.decode([2008]), **settings)
    stop = whole["content"][3:5]
    cut = client.post("/completion", json=body | {"stop": [stop]}).json()
    assert cut["content"] == whole["content"].partition(stop)[0]
    assert (cut["stop_type"], cut["stopping_word"]) == ("word", stop)


def test_llama_writes_until_the_context_is_full(client, writer):
    answer = client.post("/completion", json={"prompt": "The sea", "ignore_eos": True}).json()
    assert answer["tokens_predicted"] == 64 - len(writer.tokenizer.encode_prompt("The sea"))


def test_mikupad_in_openai_mode_reads_one_token_a_part(writer, tmp_path):
    """Also where a step writes several, as with drafts."""
    drafter = Drafter()
    server = make_server([replace(writer, drafter=drafter)], tmp_path)
    app = make_app(server, Access.choose("127.0.0.1", 8000, token=TOKEN))
    body = MIKUPAD | {"logprobs": 10, "temperature": 0, "max_tokens": 60, "ignore_eos": True}
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        answer = client.post("/v1/completions", json=body | {"stream": True})
        whole = client.post("/v1/completions", json=body | {"stream": False}).json()
    text = ""
    for event in answer.text.split("\n\n")[:-2]:
        choice = json.loads(event.removeprefix("data: "))["choices"][0]
        assert len(choice["logprobs"]["top_logprobs"]) == 1
        text += choice["text"]
    assert drafter.accepted > 0
    assert text == whole["choices"][0]["text"]


def test_llama_biases_in_both_spellings(client):
    for bias in ([[300, 1000]], {"300": 1000}):
        body = {"prompt": "The sea", "n_predict": 3, "logit_bias": bias}
        assert client.post("/completion", json=body).json()["tokens"] == [300] * 3
    body = {"prompt": "The sea", "n_predict": 1, "temperature": 0}
    (likeliest,) = client.post("/completion", json=body).json()["tokens"]
    without = client.post("/completion", json=body | {"logit_bias": [[likeliest, False]]}).json()
    assert without["tokens"] != [likeliest]
