"""The native decoder computes what GPT2 computes, whatever was cached, cut, shared or moved."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from penwright.errors import ModelError
from penwright.model import GPT2, init_weights
from tests.model.conftest import configs, tiny
from tests.native.conftest import every_variant, needs_library, pack

pytestmark = needs_library


def random_model(config, seed: int = 1, std: float = 0.3) -> GPT2:
    model = GPT2(config)
    init_weights(model, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms too
            parameter += std * torch.randn(parameter.shape, generator=generator)
    return model.eval()


@torch.no_grad()
def plain(model: GPT2, text: list[int]) -> Tensor:
    """The logits behind each token of a text, without a cache."""
    return model.logits(model(torch.tensor([text])))[0]


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max() + 1))


def texts(config, n: int):
    return st.lists(st.integers(0, config.vocab_size - 1), min_size=1, max_size=n)


@settings(max_examples=60)
@given(st.data())
def test_float32_is_what_gpt2_computes(data):
    config = data.draw(configs())
    model = random_model(config)
    held = data.draw(st.lists(texts(config, config.n_positions), min_size=1, max_size=5))
    cuts = [data.draw(st.integers(0, len(text) - 1)) for text in held]
    decoder = pack(model).decoder()
    decoder.enter([text[:cut] for text, cut in zip(held, cuts, strict=True)])
    assert decoder.lengths == cuts
    every = data.draw(st.booleans())
    new = [text[cut:] for text, cut in zip(held, cuts, strict=True)]
    found = decoder.feed(new, every=every)
    whole = [plain(model, text) for text in held]
    parts = [x[cut:] if every else x[-1:] for x, cut in zip(whole, cuts, strict=True)]
    close(found, torch.cat(parts))
    assert decoder.lengths == list(map(len, held))


@settings(max_examples=60)
@given(st.data())
def test_rows_may_be_cut_moved_shared_and_dropped(data):
    config = tiny(n_positions=80, vocab_size=7)
    model = random_model(config)
    decoder, held = pack(model).decoder(), []

    def draw_text(least: int = 0, most: int = 80) -> list[int]:
        # Few different tokens in runs, so that beginnings are shared.
        runs = data.draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), max_size=4))
        text = [token for token, n in runs for _ in range(n)][:most]
        return text + [6] * (least - len(text))

    for _ in range(data.draw(st.integers(1, 6))):
        action = data.draw(st.sampled_from(["enter", "feed", "truncate", "select", "drop"]))
        rows = list(range(len(held)))
        if action == "enter":
            prompts = [draw_text() for _ in range(data.draw(st.integers(1, 3)))]
            share = [
                data.draw(st.none() | st.integers(0, len(held) + i - 1)) if held or i else None
                for i in range(len(prompts))
            ]
            decoder.enter(prompts, share)
            held += prompts
        elif action == "feed" and held and max(map(len, held)) < 80:
            new = [draw_text(1, 80 - len(text)) for text in held]
            decoder.feed(new)
            held = [[*text, *more] for text, more in zip(held, new, strict=True)]
        elif action == "truncate":
            lengths = [data.draw(st.integers(0, 80)) for _ in held]
            decoder.truncate(lengths)
            held = [text[:n] for text, n in zip(held, lengths, strict=True)]
        elif action == "select" and held:
            rows = data.draw(st.lists(st.sampled_from(rows), max_size=4))
            decoder.select(rows)
            held = [held[row] for row in rows]
        elif action == "drop" and held:
            leaving = data.draw(st.lists(st.sampled_from(rows), unique=True))
            order = decoder.drop(leaving)
            assert sorted(order) == sorted(set(rows) - set(leaving))
            held = [held[row] for row in order]
        assert decoder.lengths == list(map(len, held))
    if held and max(map(len, held)) < 80:
        found = decoder.feed([[5]] * len(held))
        close(found, torch.cat([plain(model, [*text, 5])[-1:] for text in held]))


@every_variant
@pytest.mark.parametrize("first_gpt", [False, True])
def test_long_texts_in_every_variant(variant, first_gpt):
    kind = {"model_type": "openai-gpt"} if first_gpt else {"tie_word_embeddings": False}
    config = tiny(n_positions=300, n_embd=96, n_head=2, n_layer=3, vocab_size=77, **kind)
    model = random_model(config, std=0.1)
    generator = torch.Generator().manual_seed(0)
    held = [torch.randint(0, 77, (n,), generator=generator).tolist() for n in (300, 1, 33, 257)]
    decoder = pack(model, variant=variant).decoder()
    decoder.enter([text[:-1] for text in held])
    close(
        decoder.feed([text[-1:] for text in held]), torch.stack([plain(model, t)[-1] for t in held])
    )


@every_variant
@pytest.mark.parametrize("weights", ["float32", "bf16", "int8", "int4"])
def test_a_row_does_not_depend_on_its_batch(variant, weights):
    config = tiny(n_positions=100, n_embd=64, n_head=2, vocab_size=77)
    packed = pack(random_model(config), weights, variant)
    generator = torch.Generator().manual_seed(0)
    held = [torch.randint(0, 77, (n,), generator=generator).tolist() for n in range(3, 90, 4)]
    together = packed.decoder()
    together.enter([text[:-2] for text in held])
    found = together.feed([text[-2:] for text in held])
    for text, logits in zip(held, found, strict=True):
        alone = packed.decoder()
        alone.enter([[]])
        for token in text:
            expected = alone.feed([[token]])[0]
        assert torch.equal(logits, expected)


def test_a_row_cannot_outgrow_the_context():
    decoder = pack(random_model(tiny(n_positions=10))).decoder()
    decoder.enter([[1] * 10])
    with pytest.raises(ValueError, match="context"):
        decoder.feed([[1]])


def test_weights_that_are_not_numbers_are_refused():
    model = random_model(tiny())
    with torch.no_grad():
        model.blocks[1].mlp.c_fc.weight[3, 4] = torch.nan
    with pytest.raises(ModelError, match=r"transformer.h.1.mlp.c_fc.weight"):
        pack(model)


@needs_library
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("weights", ["float32", "bf16", "int8", "int4"])
def test_matrices_lie_side_by_side(weights, tied):
    """One block of memory fits on large pages; one for each matrix would not."""
    config = tiny(n_layer=3, n_embd=32, n_head=2, vocab_size=96, tie_word_embeddings=tied)
    struct = pack(random_model(config), weights).struct
    blocks = [struct.layer[number] for number in range(3)]
    matrices = [m for block in blocks for m in (block.qkv, block.proj, block.fc, block.out)]
    matrices += [struct.embedding, struct.head]
    places = sorted({m.data for m in matrices})
    assert len(places) == 13 + (not tied or weights == "int4")
    assert places[0] % 2**21 == 0
    assert places[-1] - places[0] <= 4 * (3 * 12 * 32 * 32 + 96 * 32)
