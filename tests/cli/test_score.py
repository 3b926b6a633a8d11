"""Scores of tokens: the sums of `evaluate`, an independent computation, the files and the page."""

from __future__ import annotations

import io
import json
import math
import sys
from html.parser import HTMLParser

import pytest
import torch

import penwright as package

pytestmark = pytest.mark.usefixtures("small_base")

TEXT = 'The goose asked for tea. "Two lumps," it said — “biscuit” 🦆.\n'


@pytest.fixture
def scores(penwright):
    def read(*words):
        said = penwright("score", "base", *words, "--json")
        assert said.code == 0, said.err
        return [json.loads(line) for line in said.out.splitlines()]

    return read


def test_the_sums_are_those_of_evaluate(penwright, scores, tmp_path):
    # Documents longer than the context, so that windows overlap.
    words = " ".join(f"goose {n} asked for tea" for n in range(300))
    (tmp_path / "a.txt").write_text(f"{words}\n<|endoftext|>\n{TEXT}", encoding="utf-8")
    found = scores("a.txt", "--stride", "200", "--best", "0")
    wanted = json.loads(penwright("evaluate", "base", "a.txt", "--stride", "200", "--json").out)
    assert len(found) == wanted["documents"] == 2
    assert sum(one["scored"] for one in found) == wanted["tokens"]
    loss = sum(one["loss_sum"] for one in found) / wanted["tokens"]
    assert loss == pytest.approx(wanted["loss"], abs=1e-9)
    for one in found:
        logprobs = [token["logprob"] for token in one["tokens"][1:]]
        assert one["loss_sum"] == pytest.approx(-math.fsum(logprobs))


@pytest.mark.usefixtures("real_base")
def test_each_token_has_its_rank_entropy_and_the_likeliest(scores, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    (found,) = scores("a.txt", "--best", "3")
    writer = package.load("base")
    ids = [token["id"] for token in found["tokens"]]
    assert ids == [*writer.tokenizer.encode_prompt(TEXT.rstrip("\n")), writer.tokenizer.eot_id]
    pieces = [token["text"] for token in found["tokens"]]
    assert "".join(pieces[1:-1]) == TEXT.rstrip("\n")
    assert "" in pieces, "a character of several tokens is the text of its last"
    with torch.no_grad():
        hidden_1TC = writer.model(torch.tensor([ids]))
        p_TV = writer.model.logits(hidden_1TC[0]).double().softmax(-1)
    assert found["tokens"][0]["logprob"] is None
    for place, token in enumerate(found["tokens"][1:]):
        p_V = p_TV[place]
        assert token["logprob"] == pytest.approx(math.log(p_V[token["id"]]), abs=1e-4)
        assert token["rank"] == 1 + int((p_V > p_V[token["id"]]).sum())
        assert token["entropy"] == pytest.approx(-float((p_V * p_V.log()).sum()), abs=1e-4)
        top = [writer.tokenizer.decode([id_]) for id_ in p_V.topk(3).indices.tolist()]
        assert [other["text"] for other in token["best"]] == top


def test_columns_that_are_context_are_not_scored(scores, tmp_path):
    (tmp_path / "a.csv").write_text("prompt,story\nWho?,The goose asked for tea.\n")
    (found,) = scores("a.csv")
    unscored = [token["text"] for token in found["tokens"] if token["logprob"] is None]
    assert "".join(unscored[1:]) == "Who?"


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.spans, self.loads, self.classes, self._inside = [], [], set(), False

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.classes |= set((attrs.get("class") or "").split())
        if tag == "div" and attrs.get("class") == "scored":
            self._inside = True
        self.loads += [v for k, v in attrs.items() if k in ("src", "href") and v[:1] not in "#d"]

    def handle_endtag(self, tag):
        self._inside = self._inside and tag != "div"

    def handle_data(self, data):
        if self._inside and self.lasttag == "span":
            self.spans.append(data)


def test_files_and_a_page_that_loads_nothing(penwright, tmp_path, monkeypatch):
    bytes_ = (TEXT + "<b>&amp;</b>").encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(bytes_)))
    said = penwright("score", "base", "-", "--html", "a.html", "--output", "a.jsonl")
    assert said.code == 0, said.err
    assert "first guess" in said.out
    page = _Page()
    page.feed((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "".join(page.spans) == TEXT.replace("\n", "↵\n") + "<b>&amp;</b>∎"
    assert page.loads == []
    assert {"s0", "s1", "s2", "s3", "s4"} <= page.classes
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert rows[0]["scored"] > 10
    again = penwright("score", "base", "-", "--html", "a.html")
    assert (again.code, "a.html exists already" in again.err) == (2, True)


def test_what_cannot_be_scored(penwright):
    assert "no text to score" in penwright("score", "base").err
    assert penwright("score", "base", "a.txt", "--best", "-1").code == 2
