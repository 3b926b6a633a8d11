"""Scores against a naive oracle that reads transformers' logits one target at a time."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from penwright.document import Document, Source, Span
from penwright.errors import UsageError
from penwright.score import batch_average, batches, cut, score_windows
from penwright.tokens import Split, Tokenizer, prepare
from tests.model.conftest import make, tiny, twin

EOT = 60
CONTEXT = 12


class MemoryStore:
    """A token store in memory."""

    def __init__(self, documents: list[list[int]], masks: list[list[bool]]) -> None:
        self.line = np.array([token for tokens in documents for token in tokens], dtype=np.uint16)
        self.mask = np.array([learn for mask in masks for learn in mask], dtype=bool)

    def tokens(self, a: int, b: int) -> np.ndarray:
        return self.line[a:b]

    def learn(self, a: int, b: int) -> np.ndarray:
        return self.mask[a:b]


class MemoryPart:
    n_bytes = 100

    def __init__(self, documents: list[list[int]], masks: list[list[bool]]) -> None:
        self.store = MemoryStore(documents, masks)
        ends = np.cumsum([0, *map(len, documents)])
        self.ranges = np.stack([ends[:-1], ends[1:]], axis=1)


def make_part(lengths: list[int], learned: float = 1.0, seed: int = 0) -> MemoryPart:
    """Documents of so many tokens between two end-of-text tokens; the last of them is learned."""
    chance = np.random.default_rng(seed)
    documents = [[EOT, *chance.integers(0, EOT, n).tolist(), EOT] for n in lengths]
    masks = [[False, *(chance.random(n) < learned).tolist(), True] for n in lengths]
    return MemoryPart(documents, masks)


@pytest.fixture(scope="module")
def model():
    return make(tiny(n_positions=CONTEXT), spread=0.3)


@pytest.fixture(scope="module")
def logprob(model):
    """log p(tokens[-1]) after all the others, by transformers."""
    theirs = twin(model).eval()

    def of(tokens: list[int]) -> float:
        with torch.no_grad():
            logits_V = theirs(torch.tensor([tokens[:-1]])).logits[0, -1].double()
        return float(logits_V.log_softmax(-1)[tokens[-1]])

    return of


def context_of(target: int, length: int, stride: int) -> int:
    """The first token that the target at this place sees, in a document of `length` tokens."""
    end = CONTEXT
    while end < target:
        end += stride
    return max(0, min(end, length - 1) - CONTEXT)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(0, 50), min_size=1, max_size=5),
    st.sampled_from([1.0, 0.5, 0.0]),
    st.none() | st.integers(1, CONTEXT),
    st.integers(1, 100),
)
def test_each_token_is_scored_once_with_all_context_there_is(
    model, logprob, lengths, learned, stride, batch_tokens
):
    part = make_part(lengths, learned)
    found = score_windows(model, part, stride=stride, batch_tokens=batch_tokens)
    documents = range(len(lengths))
    losses_D = [found.losses_W[found.documents_W == document].sum() for document in documents]
    counts_D = [found.tokens_W[found.documents_W == document].sum() for document in documents]
    for document, (a, b) in enumerate(part.ranges):
        tokens = part.store.line[a:b].tolist()
        expected, count = 0.0, 0
        for target in range(1, len(tokens)):
            if part.store.mask[a + target]:
                first = context_of(target, len(tokens), stride or CONTEXT // 2)
                expected -= logprob(tokens[first : target + 1])
                count += 1
        assert counts_D[document] == count
        assert losses_D[document] == pytest.approx(expected, rel=1e-5, abs=1e-5)
    score = score_windows(model, part, stride=stride, batch_tokens=batch_tokens).total
    assert score.tokens == sum(counts_D)
    assert score.documents == len(lengths)
    assert score.loss_sum == pytest.approx(sum(losses_D))


def test_with_a_stride_of_one_the_context_is_full(model, logprob):
    part = make_part([40])
    tokens = part.store.line.tolist()
    expected = [
        -logprob(tokens[max(0, target - CONTEXT) : target + 1]) for target in range(1, len(tokens))
    ]
    score = score_windows(model, part, stride=1).total
    assert score.loss_sum == pytest.approx(sum(expected), rel=1e-5)
    assert score.tokens == 41
    assert score.perplexity == pytest.approx(math.exp(sum(expected) / 41), rel=1e-5)
    assert score.bits_per_byte == pytest.approx(sum(expected) / math.log(2) / 100, rel=1e-5)


@settings(deadline=None)
@given(st.integers(0, 90), st.integers(1, 20), st.data())
def test_windows_cover_each_target_once_and_reach_back(length, context, data):
    stride = data.draw(st.integers(1, context))
    seen = []
    for window in cut(7, 1000, 1000 + length, context, stride):
        assert 0 < window.length <= context
        assert window.length == context or window.start == 1000
        seen += range(window.start + window.seen + 1, window.start + window.length + 1)
        assert window.seen >= min(context - stride, window.start - 1000)
    assert seen == list(range(1001, 1000 + length))


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), max_size=20), st.integers(1, 100))
def test_batches_are_bounded_and_complete(lengths, batch_tokens):
    windows = [
        window for number, n in enumerate(lengths) for window in cut(number, 0, n + 1, 30, 15)
    ]
    found = list(batches(windows, batch_tokens))
    assert sorted(w.document for batch in found for w in batch) == list(range(len(lengths)))
    for batch in found:
        longest = max(window.length for window in batch)
        assert len(batch) == 1 or len(batch) * longest <= batch_tokens


def test_the_batches_do_not_change_the_score(model):
    part = make_part([3, 50, 0, 17, 17, 30], 0.7)
    scores = [score_windows(model, part, batch_tokens=n).total.loss_sum for n in (1, 40, 4096)]
    assert scores == pytest.approx([scores[0]] * 3, rel=1e-6)


def test_a_range_that_begins_inside_a_document(model, logprob):
    """Its first token is context only."""
    part = make_part([20])
    part.ranges = np.array([[12, 22]])
    tokens = part.store.line[12:22].tolist()
    expected = -sum(logprob(tokens[: target + 1]) for target in range(1, 10))
    score = score_windows(model, part).total
    assert (score.tokens, score.loss_sum) == (9, pytest.approx(expected, rel=1e-5))


def test_nothing_to_score(model):
    score = score_windows(model, MemoryPart([[EOT], [1, 2, 3]], [[False], [False] * 3])).total
    assert (score.tokens, score.loss_sum) == (0, 0.0)
    assert math.isnan(score.loss)
    assert math.isnan(score.perplexity)


@pytest.mark.parametrize("stride", [0, CONTEXT + 1, -3])
def test_a_stride_beyond_the_context_is_refused(model, stride):
    with pytest.raises(UsageError, match=str(stride)):
        score_windows(model, make_part([5]), stride=stride)


def test_dropout_is_off_and_the_mode_restored():
    model = make(tiny(n_positions=CONTEXT, resid_pdrop=0.5)).train()
    part = make_part([30])
    first, second = score_windows(model, part).total, score_windows(model, part).total
    assert first == second
    assert model.training
    batch_average(model.eval(), part, eot_id=EOT, max_length=CONTEXT)
    assert not model.training


def test_autocast_reaches_the_model(model):
    part = make_part([30, 4])
    exact = score_windows(model, part).total
    cast = score_windows(model, part, autocast=torch.autocast("cpu", dtype=torch.bfloat16)).total
    same = score_windows(model, part, autocast=contextlib.nullcontext()).total
    assert cast.loss == pytest.approx(exact.loss, rel=0.02)
    assert cast != exact
    assert same == exact


@pytest.mark.parametrize("learned", [1.0, 0.4])
@pytest.mark.parametrize(("batch_size", "max_length"), [(4, CONTEXT), (2, 7), (1, 3)])
def test_batch_average_is_the_notebooks_loop(model, learned, batch_size, max_length):
    """Cut, pad with end-of-text, labels -100 on padding; transformers shifts and averages."""
    part = make_part([5, 30, 11, 2, 8, 1, 12], learned)
    theirs = twin(model).eval()
    documents = []
    for a, b in part.ranges:
        inner = slice(a + 1, min(b - 1, a + 1 + max_length))
        documents.append((part.store.line[inner].tolist(), part.store.mask[inner].tolist()))
    means = []
    for first in range(0, len(documents), batch_size):
        batch = documents[first : first + batch_size]
        longest = max(len(tokens) for tokens, _ in batch)
        ids = torch.full((len(batch), longest), EOT)
        labels = torch.full((len(batch), longest), -100)
        for row, (tokens, mask) in enumerate(batch):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            labels[row, : len(tokens)] = torch.tensor(
                [token if learn else -100 for token, learn in zip(tokens, mask, strict=True)]
            )
        if (labels[:, 1:] != -100).any():
            with torch.no_grad():
                means.append(theirs(ids, labels=labels).loss.item())
    average = batch_average(model, part, eot_id=EOT, batch_size=batch_size, max_length=max_length)
    assert average.batches == len(means)
    assert average.loss == pytest.approx(np.mean(means), rel=1e-5)
    assert average.perplexity == pytest.approx(math.exp(np.mean(means)), rel=1e-5)
    assert average.documents == 7


def test_batch_average_leaves_only_the_outer_end_tokens_out(model):
    part = MemoryPart([[EOT, 1, 2, 3, EOT], [4, 5, 6]], [[True] * 5, [True] * 3])
    average = batch_average(model, part, eot_id=EOT, batch_size=1, max_length=CONTEXT)
    assert (average.batches, average.tokens) == (2, 4)


def test_batch_average_of_nothing(model):
    part = MemoryPart([[EOT, EOT], [EOT], [EOT, 1, EOT]], [[False, True], [False], [False] * 3])
    average = batch_average(model, part, eot_id=EOT, max_length=CONTEXT)
    assert (average.batches, average.tokens, average.documents) == (0, 0, 1)
    assert math.isnan(average.perplexity)


def test_a_prepared_store(tmp_path):
    """The closing token of a document counts; the notebooks' figure leaves it out."""
    tokenizer = Tokenizer.train(["a goose sat in the council chamber and asked for tea"] * 9, 270)
    documents = [
        Document((Span("a goose", learn=False), Span(" asked for tea" * n)), Source("made", n))
        for n in range(1, 9)
    ]
    store = prepare(documents, tokenizer, tmp_path / "store")
    part = Split.whole(store)
    model = make(tiny(vocab_size=tokenizer.vocab_size, n_positions=16), spread=0.1)
    score = score_windows(model, part).total
    assert score.tokens == part.n_learned == store.n_learned
    assert score.bytes == sum(len(" asked for tea" * n) for n in range(1, 9))
    assert 0.5 < score.loss / math.log(tokenizer.vocab_size) < 2
    average = batch_average(model, part, eot_id=tokenizer.eot_id, max_length=16)
    cut_off = [min(16, int(b - a) - 2) for a, b in part.ranges]
    prompt = len(tokenizer.encode("a goose"))
    assert average.tokens == sum(n - prompt for n in cut_off)
    assert average.documents == 8


def test_a_length_beyond_the_context_is_refused(model):
    with pytest.raises(UsageError, match="13 tokens"):
        batch_average(model, make_part([5]), eot_id=EOT, max_length=13)
