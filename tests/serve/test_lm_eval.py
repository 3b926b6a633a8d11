"""lm-evaluation-harness's client of completions scores texts as `penwright score` does.

Its dependencies are many, so it is in no extra: pip install "lm-eval[api]".
"""

from __future__ import annotations

import math

import pytest

from penwright.config import ScoreConfig
from penwright.verbs.token_scores import score_texts
from penwright.weights.names import base_folder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of its own dependencies
]
TEXTS = (
    "The sea is deep, and nobody knows it.",
    "A goose asked for tea.",
    "It rained again — alas.",
)


@pytest.fixture
def harness(live):
    completions = pytest.importorskip(
        "lm_eval.models.openai_completions", reason="lm-eval[api] is not installed"
    )
    return completions.LocalCompletionsAPI(
        base_url=f"{live.address}/v1/completions",
        model="tiny",
        tokenizer=str(base_folder()),
        tokenizer_backend="huggingface",
        max_length=63,
        batch_size=2,
    )


def ask(harness, kind, arguments):
    from lm_eval.api.instance import Instance

    requests = [
        Instance(request_type=kind, doc={}, arguments=one, idx=number)
        for number, one in enumerate(arguments)
    ]
    return getattr(harness, kind)(requests)


def scored_tokens(writer, tmp_path, text):
    """The tokens of a text as `penwright score` scores them, without those around it."""
    path = tmp_path / "text.txt"
    path.write_text(text, encoding="utf-8")
    _, documents = score_texts(writer, [path], ScoreConfig(), lambda _: None)
    (document,) = documents
    return document.tokens[1:-1]


def test_whole_texts(harness, writer, tmp_path):
    found = ask(harness, "loglikelihood_rolling", [(text,) for text in TEXTS])
    for text, logprob in zip(TEXTS, found, strict=True):
        tokens = scored_tokens(writer, tmp_path, text)
        assert logprob == pytest.approx(math.fsum(t.logprob for t in tokens), abs=1e-3)


def test_continuations_and_whether_they_are_the_likeliest(harness, writer, tmp_path):
    pairs = [("The sea is", " deep, and nobody knows it."), ("A goose", " asked for tea.")]
    for (context, end), (logprob, greedy) in zip(
        pairs, ask(harness, "loglikelihood", pairs), strict=True
    ):
        tokens = scored_tokens(writer, tmp_path, context + end)
        tokens = tokens[len(writer.tokenizer.encode(context)) :]
        assert logprob == pytest.approx(math.fsum(t.logprob for t in tokens), abs=1e-3)
        assert greedy == all(t.rank == 1 for t in tokens)


def test_texts_that_are_written(harness, client):
    (text,) = ask(harness, "generate_until", [("The sea", {"until": ["\n"], "max_gen_toks": 12})])
    body = {"prompt": "The sea", "max_tokens": 12, "temperature": 0, "stop": ["\n"]}
    assert text == client.post("/v1/completions", json=body).json()["choices"][0]["text"]
