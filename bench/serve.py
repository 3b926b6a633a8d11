"""Streaming clients of `penwright serve`, beside the engine by itself and llama.cpp's server.

    python bench/serve.py [--model base] [--clients 64] [--tokens 128] [--rounds 3] [--json]

Each round measures, in turn: `penwright.sample.generate` writing the clients' prompts at once, as
`generate --input` does, in a process that does nothing else; as many clients that stream from
`penwright serve`; and the same clients of llama.cpp's server (llama-cpp-python), with the model as
GGUF. Both of ours have the same weights, options, lengths and number of texts side by side. The
clients run in this process and parse nothing until all of them are done. Prompts have different
lengths, each client its own seed. With `--weights float32` every answer must be the engine's own
text.

Time to first token: single requests to the idle server, the median of 20.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keeping
from penwright import sample, weights
from penwright.cli import ENVIRONMENT
from penwright.config import LoadConfig, SamplingConfig
from penwright.model import GPT2, SIZES, init_weights
from penwright.sample.batch import Batch, Row, choose_rows
from penwright.sample.window import Window
from penwright.tokens import Tokenizer
from penwright.verbs.generate import Writer, load_with
from serving import serve

HERE = Path(__file__)
RANDOM = "random-124M"
"""A model as large as GPT-2 124M, with random weights."""


def make_random(folder: Path) -> Path:
    """Write the random model's folder."""
    model = GPT2(SIZES["124M"])
    init_weights(model, seed=1)
    weights.save(folder, model, Tokenizer.gpt2(), card="", penwright={})
    return folder


def make_prompts(clients: int) -> list[str]:
    """Return beginnings of sample stories, of 1 to about 60 words."""
    folder = Path(str(files("penwright") / "assets" / "samples"))
    lines = (folder / "stories.wp_target").read_text("utf-8").replace("<newline>", "").splitlines()
    words = [line.split() for line in lines if len(line.split()) > 60]
    return [" ".join(words[i % len(words)][: 1 + (7 * i) % 60]) for i in range(clients)]


def settings(tokens: int, seed: int) -> SamplingConfig:
    return SamplingConfig(
        max_new_tokens=tokens, min_new_tokens=tokens, top_k=40, seed=seed, heal=False
    )


def body(prompt: str, tokens: int, seed: int) -> dict[str, Any]:
    """Return the request whose text is the one of `settings`."""
    asked = settings(tokens, seed)
    return {
        "prompt": prompt,
        "max_tokens": tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "top_k": asked.top_k,
        "seed": seed,
        "ignore_eos": True,
        "heal": False,
        "stream": True,
    }


def write_offline(options: argparse.Namespace) -> None:
    """Print, for each line read, the seconds in which `generate` writes all texts, and the texts.

    A text's random numbers come from its seed and its index. `generate` has one seed and counts
    the index, a client has its own seed and the index 0: so the texts of the clients, which are
    printed, are written apart, and not timed.
    """
    config = LoadConfig(device="cpu", weights=options.weights)
    writer = load_with(options.model, config, lambda _: None)
    prompts = make_prompts(options.clients)
    texts = clients_texts(writer, prompts, options.tokens)
    sampling = settings(options.tokens, 0)
    size = choose_rows(writer.source, [[0] * writer.source.config.n_positions], 0)  # the server's
    for _ in sys.stdin:
        begun = time.perf_counter()
        written = sample.generate(
            writer.source, writer.tokenizer, prompts, 1, sampling, batch_size=size
        )
        seconds = time.perf_counter() - begun
        if sum(one.tokens for one in written) != options.clients * options.tokens:
            raise SystemExit("The engine did not write the tokens that the clients ask for.")
        print(json.dumps({"seconds": seconds, "texts": texts}), flush=True)


def clients_texts(writer: Writer, prompts: Sequence[str], tokens: int) -> list[str]:
    """Return the text of each prompt, with the client's number as its seed."""
    batch, texts = Batch(writer.source, writer.tokenizer), {}
    for seed, prompt in enumerate(prompts):
        asked = settings(tokens, seed)
        window = Window.of(writer.source.config.n_positions, writer.tokenizer, asked)
        texts[Row(0, writer.tokenizer.encode_prompt(prompt), window, asked)] = ""
    batch.enter(list(texts))
    while batch.rows:
        for event in batch.step():
            texts[event.row] += event.text
    return list(texts.values())


@contextmanager
def offline(options: argparse.Namespace) -> Iterator[subprocess.Popen[str]]:
    words = ["--offline", "--model", options.model, "--weights", options.weights]
    words += ["--clients", str(options.clients), "--tokens", str(options.tokens)]
    with subprocess.Popen(
        [sys.executable, str(HERE), *words],
        env=os.environ | ENVIRONMENT,  # the threads as the command line sets them
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def run_offline(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    print(file=process.stdin, flush=True)
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


@contextmanager
def serve_theirs(options: argparse.Namespace, folder: Path) -> Iterator[int | None]:
    """Start llama.cpp's server on the same weights; yields its port, or None without it."""
    if find_spec("llama_cpp") is None or find_spec("uvicorn") is None:
        print("llama-cpp-python is not installed; its server is left out.", file=sys.stderr)
        yield None
        return
    from penwright.verbs.model_folders import run_export

    kinds = {"float32": "f32", "bf16": "bf16", "int8": "q8_0", "int4": "q4_0"}
    made = run_export(
        options.model, "gguf", folder / "model.gguf", dtype=kinds.get(options.weights, "f32")
    )
    port = 8917
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(made.path)]
    command += ["--port", str(port), "--n_threads", str(os.cpu_count())]
    command += ["--interrupt_requests", "False"]  # else a request ends the one before
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        answers = False
        while not answers and process.poll() is None:
            time.sleep(0.1)
            answers = asyncio.run(_answers(port))
        if not answers:
            print("llama.cpp's server does not start; it is left out.", file=sys.stderr)
        try:
            yield port if answers else None
        finally:
            process.terminate()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def ask(port: int, request: dict[str, Any], first_only: bool = False) -> tuple[float, bytes]:
    """Send a request; returns the seconds until the first event, and the whole answer."""
    content = json.dumps(request).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + content)
    answer = await reader.readuntil(b"data: ")
    first = time.perf_counter() - begun
    if not first_only:
        answer += await reader.read()
    writer.close()
    return first, answer


def read_text(answer: bytes) -> str:
    events = re.findall(rb"^data: (\{.*\})\r?$", answer, re.M)
    return "".join(
        choice["text"] for event in events for choice in json.loads(event).get("choices", ())
    )


async def ask_all(port: int, options: argparse.Namespace) -> tuple[float, list[bytes]]:
    prompts = make_prompts(options.clients)
    begun = time.perf_counter()
    answers = await asyncio.gather(
        *[ask(port, body(prompt, options.tokens, n)) for n, prompt in enumerate(prompts)]
    )
    return time.perf_counter() - begun, [answer for _, answer in answers]


def first_tokens(port: int) -> list[float]:
    async def run() -> list[float]:
        found = []
        for seed in range(20):
            found.append((await ask(port, body("The sea", 1, seed)))[0])
            await asyncio.sleep(0.05)
        return found

    return asyncio.run(run())


def measure(options: argparse.Namespace) -> dict[str, Any]:
    head = keeping.describe(
        f"{options.clients} clients stream {options.tokens} tokens each from {options.model}",
        ("torch", "uvicorn", "fastapi"),
    )
    tokens = options.clients * options.tokens
    engine_s, ours_s, theirs = [], [], []
    different = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        offline(options) as engine,
        serve(options.model, "--device", "cpu", "--weights", options.weights) as served,
        serve_theirs(options, Path(folder)) as port,
    ):
        ours = served.port
        asyncio.run(ask(ours, body("The sea", 2, 0)))
        waits = first_tokens(ours)
        for round_ in range(options.rounds + 1):
            bulk = run_offline(engine)
            seconds, answers = asyncio.run(ask_all(ours, options))
            pairs = zip(map(read_text, answers), bulk["texts"], strict=True)
            different = sum(a != b for a, b in pairs)
            if round_ > 0:  # the first warms up
                engine_s.append(bulk["seconds"])
                ours_s.append(seconds)
            if port is not None and round_ == options.rounds:  # one at a time, so it takes long
                seconds, answers = asyncio.run(ask_all(port, options))
                # It may end texts early, so what it wrote is counted.
                theirs.append(seconds / sum(answer.count(b'"text"') for answer in answers))
    found = {
        **head,
        "weights": options.weights,
        "rounds": options.rounds,
        "engine_tokens_per_s": round(tokens / statistics.median(engine_s), 1),
        "server_tokens_per_s": round(tokens / statistics.median(ours_s), 1),
        "share_of_engine": round(
            statistics.median(a / b for a, b in zip(engine_s, ours_s, strict=True)), 3
        ),
        "different_answers": different,
        "first_token_ms": round(1000 * statistics.median(waits), 1),
    }
    if theirs:
        found["llama_cpp_tokens_per_s"] = round(1 / theirs[0], 1)
        found["ratio_to_llama_cpp"] = round(theirs[0] * tokens / statistics.median(ours_s), 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="base", help=f"a model's name, or {RANDOM}")
    parser.add_argument("--weights", default="float32")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--offline", action="store_true", help=argparse.SUPPRESS)
    keeping.add_options(parser)
    options = parser.parse_args()
    if options.offline:
        write_offline(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.model == RANDOM:
            options.model = str(make_random(Path(folder) / RANDOM))
        found = measure(options)
    for name in ("engine", "server", "llama_cpp"):
        if f"{name}_tokens_per_s" in found:
            print(f"{name:10} {found[f'{name}_tokens_per_s']:9.1f} tokens/s")
    print(
        f"share of the engine {found['share_of_engine']:.0%}, "
        f"{found['different_answers']} of {options.clients} answers differ, "
        f"first token {found['first_token_ms']} ms"
    )
    print(found["machine"], found["versions"], file=sys.stderr)
    if options.keep:
        keeping.keep(f"serve-{Path(options.model).name}", found)
    if options.json:
        ratios = ("share_of_engine", "first_token_ms", "ratio_to_llama_cpp")
        print(json.dumps({name: found[name] for name in ratios if name in found}))


if __name__ == "__main__":
    main()
