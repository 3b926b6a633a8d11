"""One thread writes the texts of all requests: fair, bounded, and free of those that left."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from penwright.config import SamplingConfig
from penwright.errors import PenwrightError
from penwright.model.cache import count_common
from penwright.sample import generate
from penwright.serve.metrics import Metrics
from penwright.serve.scheduler import BusyError, Job, LateError, Scheduler
from tests.serve.conftest import Live, make_server, wait_until

LONG = SamplingConfig(max_new_tokens=10**6, min_new_tokens=10**6, seed=1)


@contextlib.asynccontextmanager
async def started(writers, **options):
    scheduler = Scheduler(writers, Metrics(), **options)
    scheduler.start()
    try:
        yield scheduler
    finally:
        await scheduler.close()


def job(writer, tokens=20, n=1, prompt="The sea", seed=0, **more) -> Job:
    sampling = SamplingConfig(max_new_tokens=tokens, min_new_tokens=tokens, seed=seed)
    return Job(writer, [writer.tokenizer.encode_prompt(prompt)], n, sampling, **more)


async def collect(job: Job) -> list[str]:
    texts = [""] * job.texts
    async for pieces in job.pieces():
        for piece in pieces:
            texts[piece.index] += piece.text
    return texts


def test_requests_that_join_and_leave_are_the_offline_texts(writers):
    """Of two models, with different settings, prompts and numbers of texts, in few places."""
    rng = random.Random(5)
    prompts = ["The sea", "A goose asked", "", "It rained." * 30]

    async def ask(scheduler, wanted):
        await asyncio.sleep(rng.random() * 0.2)
        writer, prompt, n, sampling = wanted
        ids = writer.tokenizer.encode_prompt(prompt)
        return await collect(scheduler.submit(Job(writer, [ids], n, sampling)))

    wanted = [
        (
            writers[number % 2],
            prompts[number % 4],
            1 + number % 3,
            SamplingConfig(
                max_new_tokens=rng.choice([0, 1, 7, 40, 90]),
                temperature=rng.choice([0.0, 0.7, 1.0]),
                repetition_penalty=rng.choice([1.0, 1.2]),
                stop=rng.choice([(), ("e",)]),
                seed=number,
            ),
        )
        for number in range(24)
    ]

    async def run():
        async with started(writers, batch_size=5) as scheduler:
            texts = await asyncio.gather(*[ask(scheduler, one) for one in wanted])
            assert scheduler.running == scheduler.waiting == 0
            return texts

    for texts, (writer, prompt, n, sampling) in zip(asyncio.run(run()), wanted, strict=True):
        offline = generate(writer.model, writer.tokenizer, [prompt], n, sampling)
        assert texts == [sample.text for sample in offline]


def test_a_small_request_does_not_wait_for_a_large_one(writers):
    async def run():
        async with started(writers, batch_size=2, max_waiting=1000) as scheduler:
            large = scheduler.submit(job(writers[0], 20, n=100))
            small = scheduler.submit(job(writers[0], 20))
            await collect(small)
            assert large.unfinished > 90
            scheduler.cancel(large)

    asyncio.run(run())


def test_texts_that_begin_alike_share_the_cache_and_are_counted(writers):
    begin = "It rained on the sea and it rained on the land, and on the third day it"
    prompts = [begin + end for end in (" did", " rained")]

    async def write(batch_size):
        async with started(writers, batch_size=batch_size) as scheduler:
            jobs = [scheduler.submit(job(writers[0], prompt=prompt, n=2)) for prompt in prompts]
            return await asyncio.gather(*map(collect, jobs)), scheduler.metrics

    alone, nothing = asyncio.run(write(1))
    together, shared = asyncio.run(write(4))
    assert together == alone
    assert (nothing.prefix_hits, nothing.prefix_hit_tokens) == (0, 0)
    first, second = (writers[0].tokenizer.encode_prompt(prompt)[:-1] for prompt in prompts)
    assert shared.prefix_hits == 3
    assert shared.prefix_hit_tokens == len(first) + len(second) + count_common(first, second)
    assert f"penwright_prefix_hit_tokens_total {shared.prefix_hit_tokens}\n" in shared.render({})


def test_a_full_queue_is_refused_and_empties_again(writers):
    async def run():
        async with started(writers, batch_size=1, max_waiting=4) as scheduler:
            first = scheduler.submit(Job(writers[0], [[0]], 1, LONG))
            while not scheduler.running:
                await asyncio.sleep(0.01)
            queued = [scheduler.submit(job(writers[0], 1)) for _ in range(4)]
            with pytest.raises(BusyError) as busy:
                scheduler.submit(job(writers[0], 1))
            assert 1 <= busy.value.seconds <= 60
            scheduler.cancel(first)
            await asyncio.gather(*map(collect, queued))
            await collect(scheduler.submit(job(writers[0], 1)))

    asyncio.run(run())


def test_a_request_that_takes_too_long_ends(writers):
    async def run():
        async with started(writers, batch_size=1) as scheduler:
            late = scheduler.submit(Job(writers[0], [[0]], 2, LONG, seconds=0.2))
            with pytest.raises(LateError, match="seconds"):
                await collect(late)
            await collect(scheduler.submit(job(writers[0], 3)))
            assert scheduler.running == scheduler.waiting == 0

    asyncio.run(run())


def test_a_row_that_fails_leaves_the_others_alone(writers, monkeypatch):
    """Also when it takes the whole step with it."""
    from penwright.sample.batch import Batch

    step = Batch.step

    def fail(batch):
        if any(row.sampling.seed == 13 and row.written > 3 for row in batch.rows):
            raise RuntimeError("a kernel failed")
        return step(batch)

    monkeypatch.setattr(Batch, "step", fail)

    async def run():
        async with started(writers) as scheduler:
            good = [scheduler.submit(job(writers[0], 12, seed=seed)) for seed in range(3)]
            bad = scheduler.submit(job(writers[0], 12, n=2, seed=13))
            with pytest.raises(PenwrightError, match="log"):
                await collect(bad)
            texts = [text for one in good for text in await collect(one)]
            assert scheduler.running == 0
            return texts

    offline = [
        sample.text
        for seed in range(3)
        for sample in generate(
            writers[0].model,
            writers[0].tokenizer,
            ["The sea"],
            1,
            job(writers[0], 12, seed=seed).sampling,
        )
    ]
    assert asyncio.run(run()) == offline


def test_a_turn_that_fails_ends_its_requests_and_no_others(writers, monkeypatch):
    from penwright.serve.lane import Lane

    def fail(*_):
        monkeypatch.undo()
        raise RuntimeError("a bug")

    def broken():
        yield
        raise RuntimeError("a bug")

    async def run():
        async with started(writers) as scheduler:
            doomed = scheduler.submit(Job(writers[0], [[0]], 1, LONG))
            while not scheduler.running:
                await asyncio.sleep(0.01)
            monkeypatch.setattr(Lane, "step", fail)
            with pytest.raises(PenwrightError, match="log"):
                await collect(doomed)
            with pytest.raises(PenwrightError, match="log"):
                await scheduler.run(broken())
            assert await collect(scheduler.submit(job(writers[0], 5)))
            assert scheduler.is_healthy
            assert scheduler.running == scheduler.cached == 0

    asyncio.run(run())


def test_stopping_ends_what_is_left_with_an_error(writers):
    async def run():
        scheduler = Scheduler(writers, Metrics(), batch_size=1)
        scheduler.start()
        jobs = [scheduler.submit(Job(writers[0], [[0]], 1, LONG)) for _ in range(2)]
        while not scheduler.running:
            await asyncio.sleep(0.01)
        await scheduler.close()
        for one in jobs:
            with pytest.raises(PenwrightError, match="stopping"):
                await collect(one)
        assert not scheduler.is_healthy

    asyncio.run(run())


# Clients over a socket.

BODY = '{"prompt": "The sea", "max_tokens": 100000, "ignore_eos": true, "stream": %s}'


def send(port: int, body: str, length: int | None = None) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length or len(body)}\r\n\r\n"
    )
    connection.sendall((head + body).encode())
    return connection


@pytest.mark.parametrize("stream", ["true", "false"])
def test_a_client_that_leaves_frees_its_place(live, stream):
    scheduler = live.server.scheduler
    for _ in range(3):
        connection = send(live.port, BODY % stream)
        wait_until(lambda: scheduler.running == 1)
        connection.close()
        wait_until(lambda: scheduler.running == 0)


def test_half_a_body_and_a_client_that_leaves_do_no_harm(live):
    for _ in range(20):
        send(live.port, '{"prompt": "The', length=1000).close()
    assert httpx.get(f"{live.address}/health", timeout=60).json() == {"status": "ok"}
    wait_until(lambda: is_idle(live))


def test_a_body_that_does_not_arrive_is_given_up(live, monkeypatch):
    monkeypatch.setattr("penwright.serve.security.BODY_SECONDS", 0.1)
    connection = send(live.port, '{"prompt": "The', length=1000)
    assert b" 408 " in connection.recv(1000).split(b"\r\n")[0]
    connection.close()


def test_a_client_that_does_not_read_is_given_up(writers, tmp_path, monkeypatch):
    monkeypatch.setattr("penwright.serve.streams.STALL_SECONDS", 0.2)
    live = Live(make_server(writers, tmp_path, timeout=1.5))
    live.start()
    connection = send(live.port, BODY % "true")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    wait_until(lambda: live.server.scheduler.running == 1)
    wait_until(lambda: live.server.scheduler.running == 0)
    live.stop()  # it would wait for the connection
    connection.close()


def test_429_says_when_to_come_again(writers, tmp_path):
    live = Live(make_server(writers, tmp_path, batch_size=1, max_waiting=1))
    live.start()
    connections = [send(live.port, BODY % "true")]
    wait_until(lambda: live.server.scheduler.running == 1)
    connections.append(send(live.port, BODY % "true"))
    wait_until(lambda: live.server.scheduler.waiting == 1)
    answer = httpx.post(f"{live.address}/v1/completions", json={"prompt": "x"})
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.json()["error"]["type"] == "rate_limit_error"
    for connection in connections:
        connection.close()
    wait_until(lambda: live.server.scheduler.running == 0)
    live.stop()


def test_requests_under_way_are_finished_before_the_server_stops(writers, tmp_path):
    live = Live(make_server(writers, tmp_path, batch_size=2))
    live.start()
    body = {"prompt": "The sea", "max_tokens": 300, "ignore_eos": True, "seed": 1}
    with ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(httpx.post, f"{live.address}/v1/completions", json=body, timeout=60)
            for _ in range(4)
        ]
        scheduler = live.server.scheduler
        wait_until(lambda: (scheduler.running, scheduler.waiting) == (2, 2))
        live.stop()
        answers = [one.result() for one in asked]
    assert {answer.json()["usage"]["completion_tokens"] for answer in answers} == {300}


def misbehave(live: Live, number: int) -> None:
    """One request of a client that leaves, stalls, sends half a body, or asks too much."""
    kinds = ["leaves", "half", "malformed", "too much", "reads a little", "well"]
    kind = kinds[number % len(kinds)]
    if kind == "leaves":
        send(live.port, BODY % "true").close()
    elif kind == "half":
        send(live.port, '{"prompt": "The', length=500).close()
    elif kind == "malformed":
        body = random.Random(number).choice(["{", "[]", '{"prompt": 5}', '{"n": "x"}', "nul"])
        with contextlib.closing(send(live.port, body)) as connection:
            assert b" 400 " in connection.recv(1000).split(b"\r\n")[0]
    elif kind == "too much":
        body = {"prompt": "x", "n": 100, "max_tokens": 2**18}
        answer = httpx.post(f"{live.address}/v1/completions", json=body, timeout=60)
        assert answer.status_code == 400
    elif kind == "reads a little":
        with contextlib.closing(send(live.port, BODY % "true")) as connection:
            connection.recv(200)
    else:
        body = {"prompt": "The sea", "max_tokens": 12, "seed": number}
        answer = httpx.post(f"{live.address}/v1/completions", json=body, timeout=60)
        assert answer.status_code == 200
        writer = next(iter(live.server.models.values()))
        sampling = SamplingConfig(max_new_tokens=12, temperature=1, top_p=1, seed=number)
        (wanted,) = generate(writer.model, writer.tokenizer, ["The sea"], 1, sampling)
        assert answer.json()["choices"][0]["text"] == wanted.text


def is_idle(live: Live) -> bool:
    return live.server.scheduler.running == live.server.scheduler.waiting == 0


def count_threads() -> int:
    """Count the threads but for the clients' and anyio's, which are made when all are busy."""
    return sum(not one.name.startswith(("AnyIO", "client")) for one in threading.enumerate())


@pytest.mark.parametrize("requests", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_clients_that_misbehave(writers, tmp_path, requests):
    """No wrong answer, no leaked place or thread, and in the long run no memory."""
    psutil = pytest.importorskip("psutil", reason="needs psutil")
    live = Live(make_server(writers, tmp_path))
    live.start()
    memory = psutil.Process().memory_info
    with ThreadPoolExecutor(8, thread_name_prefix="client") as pool:
        list(pool.map(lambda n: misbehave(live, n), range(requests // 2)))
        wait_until(lambda: is_idle(live))
        before, threads = memory().rss, count_threads()
        list(pool.map(lambda n: misbehave(live, n), range(requests)))
        wait_until(lambda: is_idle(live) and count_threads() <= threads)
        if requests >= 1000:
            assert memory().rss < 1.05 * before
    assert httpx.get(f"{live.address}/health", timeout=60).json() == {"status": "ok"}
    live.stop()
