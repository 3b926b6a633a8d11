"""No text copies a longer span than the limit, as counted after it is encoded again."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from penwright import sample
from penwright.config import SamplingConfig
from penwright.errors import UsageError
from penwright.index.repeats import counted_tokens, find_copied
from penwright.index.suffix_index import SuffixIndex
from penwright.sample.copy_limit import CopyGuard, Spelling, TrainingCopies
from tests.index.conftest import ArrayStore
from tests.native.conftest import needs_library, pack
from tests.sample.conftest import build_model

WORDS = ["the goose", "sat", "in the council", "chamber", "asked,", "for tea", "with", "“biscuits”"]
PROMPTS = ["The goose ", "", "sat in the coun"]


@pytest.fixture(scope="module")
def book(tokenizer) -> list[list[int]]:
    """Documents of random phrases, as tokens."""
    chance = random.Random(0)
    texts = [" ".join(chance.choices(WORDS, k=40)) + ".\n\nTwice." for _ in range(6)]
    return [[tokenizer.eot_id, *tokenizer.encode(text), tokenizer.eot_id] for text in texts]


@pytest.fixture(scope="module")
def training(tokenizer, book, tmp_path_factory) -> TrainingCopies:
    store = ArrayStore(book, tokenizer.vocab_size)
    folder = tmp_path_factory.mktemp("index") / "index"
    return TrainingCopies(SuffixIndex.build(store, store.ranges, folder), tokenizer)


@pytest.fixture(scope="module")
def parrot(tokenizer, book):
    """A model that has learned the book by heart."""
    model = build_model(tokenizer.vocab_size, n_positions=128, std=0.05).train()
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    rows = [document[:120] for document in book]
    tokens_BT = torch.tensor([[*row, *[tokenizer.eot_id] * (120 - len(row))] for row in rows])
    for _ in range(120):
        logits_BTV = model.logits(model(tokens_BT[:, :-1]))
        loss = torch.nn.functional.cross_entropy(
            logits_BTV.flatten(0, 1), tokens_BT[:, 1:].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1
    return model.eval()


def longest_copies(tokenizer, training, written: list[sample.Sample]) -> list[int]:
    """The longest span of each text, as `copied` counts it."""
    ids = [tokenizer.encode(one.prompt + one.text) for one in written]
    begins = []
    for one, row in zip(written, ids, strict=True):
        ends = np.cumsum([0, *(len(tokenizer.token_bytes(token)) for token in row)])
        begins.append(int((ends[:-1] < len(one.prompt.encode())).sum()))
    counted = counted_tokens(tokenizer)
    return [one.longest for one in find_copied(training.index, ids, counted, 1, begins)]


@pytest.mark.parametrize("more", [{}, {"temperature": 1.3}, {"greedy": True}, {"num_beams": 3}])
@pytest.mark.parametrize("most", [1, 4, 9])
def test_no_text_copies_more(parrot, tokenizer, training, most, more):
    n = 1 if more.get("greedy") else 3
    options = {"max_new_tokens": 60, "min_new_tokens": 60, **more}
    freely = sample.generate(parrot, tokenizer, PROMPTS, n, SamplingConfig(**options))
    assert max(longest_copies(tokenizer, training, freely)) > 15
    limited = sample.generate(
        parrot, tokenizer, PROMPTS, n, SamplingConfig(max_copy=most, **options), training=training
    )
    longest = longest_copies(tokenizer, training, limited)
    assert max(longest) <= most
    assert max(longest) == most or most == 9, "the limit is reached, not undercut"


def test_a_batch_and_its_order_change_nothing(parrot, tokenizer, training):
    sampling = SamplingConfig(max_new_tokens=60, max_copy=5)
    together = sample.generate(parrot, tokenizer, PROMPTS, 4, sampling, training=training)
    assert together == sample.generate(
        parrot, tokenizer, PROMPTS, 4, sampling, training=training, batch_size=1
    )


@needs_library
@pytest.mark.parametrize("more", [{}, {"greedy": True}, {"temperature": 1.5, "top_p": 1.0}])
def test_the_native_decoder_takes_back_what_is_refused(parrot, tokenizer, training, more):
    sampling = SamplingConfig(max_new_tokens=60, max_copy=4, ban=("sat",), **more)
    in_torch = sample.generate(parrot, tokenizer, PROMPTS, 3, sampling, training=training)
    native = sample.generate(pack(parrot), tokenizer, PROMPTS, 3, sampling, training=training)
    assert sum(a == b for a, b in zip(native, in_torch, strict=True)) >= 8  # but for rounding
    assert max(longest_copies(tokenizer, training, native)) <= 4


def test_a_token_is_refused_exactly_where_a_span_becomes_too_long(tokenizer, training, book):
    prompt = book[0][:4]
    ids = list(prompt)
    guard = CopyGuard(training, 3, len(prompt))
    counted = counted_tokens(tokenizer)
    for token in book[0][4:]:
        written = counted[ids[len(prompt) :]].sum()
        refused = guard.refuses(ids, token)
        assert refused == (written >= 3 and bool(counted[token]))
        ids.append(token)


def test_without_the_training_text(model, tokenizer):
    with pytest.raises(UsageError, match="--max-copy needs the text"):
        sample.generate(model, tokenizer, ["a"], 1, SamplingConfig(max_copy=5))


@pytest.mark.parametrize(
    "text", ["The goose sat\n\n\n in  the council.\n\nTwice, “tea”? 🦆ναι", " x", "\n a"]
)
def test_the_spelling_of_the_tokenizer_is_usual(tokenizer, text):
    spelling, word = Spelling(tokenizer), [tokenizer.eot_id]
    for token in tokenizer.encode(text):
        assert spelling.is_usual(word, token)
        word = [token] if spelling.begins_word[word[-1]][token] else [*word, token]


def test_another_spelling_is_noticed_with_the_token_that_settles_it(tokenizer):
    spelling = Spelling(tokenizer)
    known = dict(tokenizer.by_bytes)
    [whole] = tokenizer.encode(" goose")
    data = tokenizer.token_bytes(whole)
    parts = [(data[:n], data[n:]) for n in range(1, len(data))]
    first, second = next((known[a], known[b]) for a, b in parts if a in known and b in known)
    assert spelling.is_usual([], first)
    assert not spelling.is_usual([first], second)
