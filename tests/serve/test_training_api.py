"""Send a file, look at it, plan, train, watch, stop, resume, write with the run: over HTTP."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from penwright.runs import Run
from penwright.serve.app import make_app
from penwright.serve.security import TOKEN_HEADER, Access
from penwright.serve.server import Server
from penwright.serve.training import Training
from penwright.serve.uploads import LARGEST_FILE, Uploads, clean_name
from tests.serve.conftest import TOKEN, make_server, make_writer, wait_until

ROOT = "/penwright/training"
TALE = "The heron stood in the <b>reeds</b> and waited for the tide, for it was never late.\n"
QUICK = {"model": "base", "steps": 3, "max_length": 16, "batch_size": 1, "held_out": 0.0}


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PENWRIGHT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    return tmp_path


def make_client(server: Server, **options) -> TestClient:
    access = Access.choose("127.0.0.1", 8000, token=TOKEN, **options)
    client = TestClient(make_app(server, access), base_url="http://127.0.0.1:8000")
    client.headers[TOKEN_HEADER] = TOKEN
    return client


@pytest.fixture
def training(place) -> Training:
    return Training(place)


@pytest.fixture
def client(place, training):
    tiny = make_writer("tiny", 1)
    server = replace(make_server([tiny], place / "documents"), training=training)
    with make_client(server) as client:
        yield client


def post(client: TestClient, path: str, expect: int = 200, **body):
    answer = client.post(ROOT + path, json=body)
    assert answer.status_code == expect, answer.text
    return answer.json()


def send(client: TestClient, name: str, data: bytes, piece: int = 1000) -> str:
    id_ = post(client, "/files", name=name, size=len(data))["id"]
    for start in range(0, len(data), piece):
        part = base64.b64encode(data[start : start + piece]).decode()
        answer = post(client, f"/files/{id_}", offset=start, size=len(data), data=part)
    assert answer["name"] == clean_name(name)
    return answer["file"]


def watch(client: TestClient, name: str, **query):
    answer = client.get(f"{ROOT}/runs/{name}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_from_a_file_to_writing_with_its_model(client, training):
    file = send(client, "../my tale.txt", TALE.encode() * 80)
    assert training.uploads.find(file).read_bytes() == TALE.encode() * 80

    found = post(client, "/inspect", file=file, options={"model": "base"})
    (tags,) = [one for one in found["findings"] if one["name"] == "tags"]
    assert tags["change"] == {"clean": ["tags"]}
    options = {"model": "base"} | tags["change"]
    found = post(client, "/inspect", file=file, options=options)
    assert "tags" not in [one["name"] for one in found["findings"]]

    options = QUICK | {"steps": 40, "learning_rate": 3e-3, "max_length": 32} | tags["change"]
    plan = post(client, "/plan", file=file, options=options)
    (taken,) = [one for one in plan["options"] if one["name"] == plan["taken"]]
    assert plan["steps"] == 40
    assert taken["seconds"] == pytest.approx(40 * 32 / taken["tokens_per_s"])

    name = post(client, "/start", file=file, options=options)["name"]
    assert name == "my-tale"
    assert watch(client, name)["status"] in ("starting", "running")
    assert "is training" in post(client, "/start", 409, file=file)["error"]["message"]
    wait_until(lambda: watch(client, name)["status"] == "finished", 120)

    seen = watch(client, name)
    steps = [line for line in seen["metrics"] if line["kind"] == "step"]
    assert [line["step"] for line in steps] == list(range(1, 41))
    assert seen["samples"][-1]["step"] == 40
    assert not watch(client, name, offset=seen["offset"], step=40)["metrics"]
    assert "<b>" not in str(Run.open(training.folder / name).info["data"]["cleaning"])
    report = client.get(seen["report"], headers={TOKEN_HEADER: ""})
    assert report.status_code == 200
    assert "sandbox" in report.headers["content-security-policy"]
    assert "default-src 'none'" in report.headers["content-security-policy"]
    assert client.get(seen["report"][:-1] + "!").status_code == 404

    assert post(client, f"/runs/{name}/load")["model"] == name
    assert post(client, f"/runs/{name}/load")["model"] == name
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["tiny", name]
    request = {"model": name, "prompt": "The heron", "max_tokens": 3}
    assert client.post("/v1/completions", json=request).json()["choices"][0]["text"]
    freely, limited = (copy_most(client, name, most) for most in (0, 6))
    assert max(freely) > 8
    assert max(limited) <= 6
    about = client.get(f"/penwright/models/{name}").json()
    assert "my-tale" in about["card"]
    assert "machine-written" in about["statement"]
    assert client.post(f"/penwright/models/{name}/unload", json={}).status_code == 200
    assert client.post("/v1/completions", json=request).status_code == 404
    assert client.post("/penwright/models/tiny/unload", json={}).status_code == 400


def copy_most(client: TestClient, model: str, most: int) -> list[int]:
    """The lengths of what a text copies of the run's training text, at most `most` if above 0."""
    request = {"model": model, "prompt": "", "max_tokens": 40, "max_copy": most, "ignore_eos": True}
    answer = client.post("/v1/completions", json=request | {"temperature": 0})
    body = {"model": model, "text": answer.json()["choices"][0]["text"], "min_tokens": 4}
    spans = client.post("/penwright/copied", json=body).json()["spans"]
    return [span["tokens"] for span in spans] or [0]


@pytest.mark.skipif(os.name != "posix", reason="stopping from the page needs signals")
def test_a_run_is_stopped_and_resumed_also_by_another_server(client, training, place):
    file = send(client, "tale.txt", TALE.encode() * 80)
    long = QUICK | {"steps": 100_000, "sample_every": 0}
    name = post(client, "/start", file=file, options=long, name="long")["name"]
    wait_until(lambda: len(watch(client, name).get("metrics", ())) > 2, 120)
    again = Training(place)
    assert again.watch(name, 0, -1)["status"] == "running"
    again.stop(name)
    wait_until(lambda: watch(client, name)["status"] == "interrupted", 60)
    wait_until(lambda: Run(training.folder / name).holder() is None)
    last = watch(client, name)["metrics"][-1]["step"]
    post(client, f"/runs/{name}/stop", 400)
    post(client, f"/runs/{name}/resume", steps=last + 2)
    assert watch(client, name)["status"] in ("starting", "running")
    wait_until(lambda: watch(client, name)["status"] == "finished", 120)
    assert max(line["step"] for line in watch(client, name)["metrics"]) == last + 2
    listed = client.get(ROOT).json()["runs"]
    assert [(run["name"], run["status"]) for run in listed] == [("long", "finished")]


def test_a_run_that_cannot_begin_says_why(client):
    file = send(client, "table.csv", b"a,b\n1,2\n3,4\n")
    options = QUICK | {"text_column": "story"}
    name = post(client, "/start", file=file, options=options)["name"]
    wait_until(lambda: watch(client, name)["status"] == "failed", 60)
    assert "story" in watch(client, name)["log"]
    assert [run["status"] for run in client.get(ROOT).json()["runs"]] == ["failed"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/files", {"name": "a.txt", "size": LARGEST_FILE + 1}),
        ("/files", {"name": "a.txt", "size": 0}),
        ("/files/0000000000000000", {"offset": 0, "size": 4, "data": "not base64"}),
        ("/inspect", {"file": "../../etc/passwd"}),
        ("/start", {"file": "0" * 16, "options": {"steps": 10**12}}),
        ("/start", {"file": "0" * 16, "options": {"output_dir": "/tmp"}}),
        ("/start", {"file": "0" * 16, "options": {"epochs": float("inf")}}),
        ("/start", {"file": "0" * 16, "options": {"clean": ["rm -rf"]}}),
        ("/start", {"file": "0" * 16, "name": "../out"}),
        ("/start", {"file": "0" * 16, "name": "--overwrite"}),
        ("/runs/x/resume", {"overwrite": True}),
    ],
)
def test_bodies_beyond_the_bounds_are_refused(client, path, body):
    headers = {"Content-Type": "application/json"}
    answer = client.post(ROOT + path, content=json.dumps(body), headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("file", ["metrics.jsonl", "samples/step-000001.json"])
def test_a_damaged_run_is_told_in_a_sentence(client, training, file):
    run = Run.create(training.folder / "old")
    run.update(status="finished", data={}, plan={"steps": 1})
    run.close()
    (run.folder / file).write_text("no JSON\n")
    answer = client.get(f"{ROOT}/runs/old")
    assert (answer.status_code, "damaged" in answer.text) == (400, True)


def test_blind_votes_are_kept_and_counted_in_either_order(client):
    for number, (a, b, winner) in enumerate(
        [("x", "y", "a"), ("y", "x", "b"), ("x", "y", "neither"), ("x", "z", "b")]
    ):
        texts = {"a": f"one {number}", "b": f"two {number}"}
        counted = post(client, "/votes", a=a, b=b, winner=winner, prompt="", texts=texts)
    assert (counted["wins"], counted["losses"], counted["ties"]) == (0, 1, 0)
    counted = client.get(ROOT + "/votes", params={"a": "y", "b": "x"}).json()
    assert (counted["wins"], counted["losses"], counted["ties"]) == (0, 2, 1)
    assert "preferred" in counted["says"]
    same = {"a": "one", "b": "one"}
    post(client, "/votes", 400, a="x", b="y", winner="a", prompt="", texts=same)
    post(client, "/votes", 400, a="x", b="y", winner="x", prompt="", texts=texts)


@pytest.mark.parametrize("path", ["/runs/nobody", "/runs/..%2f..", "/runs/.uploads"])
def test_only_runs_are_found(client, path):
    assert client.get(ROOT + path).status_code == 404
    assert client.post(f"{ROOT}{path}/load", json={}).status_code == 404


def test_only_offered_models_are_opened(client):
    file = send(client, "tale.txt", TALE.encode())
    for model in ("/etc", "../runs", "someone/model"):
        message = post(client, "/start", 400, file=file, options={"model": model})["error"]
        assert "no model" in message["message"]


def test_pieces_come_in_order_and_whole(tmp_path):
    uploads = Uploads(tmp_path / "files")
    id_ = uploads.begin("a.txt", 4)
    assert uploads.append(id_, 0, b"ab", 4) is None
    with pytest.raises(Exception, match="lost"):
        uploads.append(id_, 3, b"d", 4)
    ids = set()
    for _ in range(2):
        id_ = uploads.begin("a.txt", 2)
        ids.add(uploads.append(id_, 0, b"ab", 2))
    other = uploads.begin("b.md", 2)
    ids.add(uploads.append(other, 0, b"ab", 2))
    assert len(ids) == 2
    assert sorted(uploads.find(id_).name for id_ in ids) == ["a.txt", "b.md"]
    assert not list((tmp_path / "files").glob(".new-*"))

    used, unused = sorted(ids)
    name = uploads.find(unused).name
    assert uploads.drop_old("") == []
    for id_ in ids:
        os.utime(tmp_path / "files" / id_, (0, 0))
    assert uploads.drop_old(f'"paths": ["runs/.uploads/{used}/a.txt"]') == [name]
    assert [path.name for path in (tmp_path / "files").iterdir()] == [used]


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("my tale.txt", "my tale.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\books\\Été.epub", "Été.epub"),
        ("..", "text"),
        ("*[a]?.csv", "a-.csv"),
        ("-rf.txt", "rf.txt"),
        ("x" * 300 + ".jsonl", "x" * 94 + ".jsonl"),
    ],
)
def test_names_of_files_are_made_safe(name, clean):
    assert clean_name(name) == clean
