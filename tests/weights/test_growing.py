from __future__ import annotations

import pytest
import torch

from penwright.errors import UsageError
from penwright.model import GPT2, GPT2Config, init_weights
from penwright.tokens import Tokenizer
from penwright.weights.opening import OpenedModel, grow, open, with_tokens


@pytest.mark.parametrize("tied", [True, False])
def test_new_rows_are_the_mean_and_all_else_stays(tied):
    config = GPT2Config(
        vocab_size=300, n_positions=16, n_embd=16, n_layer=1, n_head=2, tie_word_embeddings=tied
    )
    model = GPT2(config)
    init_weights(model.eval(), 1)
    grown = grow(model, [300, 301])
    assert grown.config.vocab_size == 302
    tokens = torch.randint(0, 300, (1, 9))
    assert torch.equal(grown.logits(grown(tokens))[..., :300], model.logits(model(tokens)))
    for old, new in (
        (model.embed_tokens.weight, grown.embed_tokens.weight),
        (model.head_weight_VC, grown.head_weight_VC),
    ):
        torch.testing.assert_close(new[300:], old.mean(0).expand(2, -1))
    assert grow(model, []) is model


def test_a_token_is_one_id_wherever_it_stands():
    opened = open("base")
    found = with_tokens(opened, ["<sep>"])
    ids = found.tokenizer.encode("a <sep> b<|endoftext|>")
    assert ids.count(8192) == 1
    assert 0 not in ids, "other markers are text as ever"
    assert found.tokenizer.decode(ids) == "a <sep> b<|endoftext|>"
    assert found.model.config.vocab_size == 8193
    assert found.format["markers"] == ["<sep>"]
    again = with_tokens(found, ["<sep>"])
    assert again.model is found.model
    assert with_tokens(opened, []) is opened


@pytest.mark.parametrize("token", ["", " "])
def test_what_cannot_be_a_token(token):
    model = GPT2(GPT2Config(vocab_size=300, n_positions=8, n_embd=8, n_layer=1, n_head=1))
    opened = OpenedModel(model, Tokenizer.gpt2(), "x", None)
    with pytest.raises(UsageError):
        with_tokens(opened, [token])
