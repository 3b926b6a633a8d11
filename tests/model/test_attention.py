from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from penwright.model import chunked_cross_entropy, documents
from penwright.model.attention import FlashDocuments, MaskedDocuments, attend_causal
from tests.model.conftest import make, tiny


def pack(rows: list[list[int]], length: int):
    """Document numbers and positions of rows of documents of these lengths, padded with -1."""
    documents_BT = torch.full((len(rows), length), -1, dtype=torch.int32)
    positions_BT = torch.zeros(len(rows), length, dtype=torch.long)
    for row, lengths in enumerate(rows):
        start = 0
        for number, n in enumerate(lengths):
            documents_BT[row, start : start + n] = number
            positions_BT[row, start : start + n] = torch.arange(n)
            start += n
    return documents_BT, positions_BT


rows_of_documents = st.lists(
    st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=3
)


@pytest.mark.parametrize("kind", ["chosen", "masked"])
@settings(max_examples=25, deadline=None)
@given(rows=rows_of_documents, padding=st.integers(0, 3), first=st.booleans())
def test_packed_documents_equal_each_alone(kind, rows, padding, first):
    """Logits of each document, and the gradient of all of them together."""
    model = make(tiny(model_type="openai-gpt" if first else "gpt2")).double()
    length = max(map(sum, rows)) + padding
    tokens_BT = torch.randint(61, (len(rows), length))
    documents_BT, positions_BT = pack(rows, length)
    attend = documents(documents_BT) if kind == "chosen" else MaskedDocuments(documents_BT)
    packed_BTC = model(tokens_BT, positions_BT, attend)
    weights_BTC = torch.randn_like(packed_BTC)
    (packed_BTC * weights_BTC)[documents_BT >= 0].sum().backward()
    packed_grads = [
        parameter.grad for parameter in model.parameters() if parameter.grad is not None
    ]

    model.zero_grad()
    for row, lengths in enumerate(rows):
        start = 0
        for n in lengths:
            here = row, slice(start, start + n)
            alone_TC = model(tokens_BT[here][None])[0]
            torch.testing.assert_close(packed_BTC[here], alone_TC, atol=1e-9, rtol=1e-9)
            (alone_TC * weights_BTC[here]).sum().backward()
            start += n
    alone_grads = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    for packed, alone in zip(packed_grads, alone_grads, strict=True):
        torch.testing.assert_close(packed, alone, atol=1e-8, rtol=1e-8)


def flash_in_words(q_NHD, k_NHD, v_NHD, begins, ends, most_q, most_k, *, scale, window_size):
    """What torch says that varlen_attn computes: each stretch between offsets alone."""
    assert begins.dtype == torch.int32
    assert torch.equal(begins, ends)
    assert window_size == (-1, 0)
    assert most_q == most_k >= begins.diff().max()
    parts = zip(
        *(torch.split(x, begins.diff().tolist()) for x in (q_NHD, k_NHD, v_NHD)), strict=True
    )
    mixed = [
        F.scaled_dot_product_attention(
            *(x_LHD.transpose(0, 1)[None] for x_LHD in part), is_causal=True, scale=scale
        )
        for part in parts
    ]
    return torch.cat([mixed_1HLD[0].transpose(0, 1) for mixed_1HLD in mixed])


@settings(max_examples=25, deadline=None)
@given(rows=rows_of_documents, padding=st.integers(0, 3))
def test_documents_in_one_line_equal_a_mask(rows, padding):
    """In half precision; with dropout or in wider numbers the mask itself is taken."""
    length = max(map(sum, rows)) + padding
    documents_BT, _ = pack(rows, length)
    flash = FlashDocuments(documents_BT, flash_in_words, torch.device("cpu"))
    mask = MaskedDocuments(documents_BT)
    qkv = torch.randn(len(rows), length, 3 * 2 * 4).bfloat16().requires_grad_()
    wide = [x.view(*x.shape[:2], 2, 4).transpose(1, 2) for x in qkv.chunk(3, dim=-1)]
    learned_BHT1 = (documents_BT >= 0)[:, None, :, None]
    outs = [attend(0, *wide, 0.0, 0.3) * learned_BHT1 for attend in (flash, mask)]
    torch.testing.assert_close(*outs, atol=2e-2, rtol=2e-2)
    grads = [torch.autograd.grad(out.float().square().sum(), qkv)[0] for out in outs]
    torch.testing.assert_close(*grads, atol=5e-2, rtol=5e-2)
    full = [x.float() for x in wide]
    assert torch.equal(flash(0, *full, 0.0, 0.3), mask(0, *full, 0.0, 0.3))


def test_one_document_a_row_needs_no_mask():
    documents_BT, _ = pack([[5], [9], [2]], 9)
    assert documents(documents_BT) is attend_causal
    assert documents(documents_BT[:, :1]) is attend_causal


def test_a_device_other_than_the_cpu_gets_a_mask():
    documents_BT, _ = pack([[5, 3], [9]], 9)
    attend = documents(documents_BT, "meta")
    assert isinstance(attend, MaskedDocuments)
    assert attend.mask_B1TS.is_meta


def test_a_document_sees_nothing_of_the_others():
    model = make(tiny())
    documents_BT, positions_BT = pack([[6, 4, 7]], 17)
    tokens_BT = torch.randint(61, (1, 17))
    changed_BT = tokens_BT.clone()
    changed_BT[0, :6] = (changed_BT[0, :6] + 1) % 61
    before, after = (
        model(tokens, positions_BT, documents(documents_BT)) for tokens in (tokens_BT, changed_BT)
    )
    assert torch.equal(before[0, 6:], after[0, 6:])
    assert not torch.equal(before[0, :6], after[0, :6])


def test_dropout_reaches_packed_attention():
    model = make(tiny(attn_pdrop=0.5))
    documents_BT, positions_BT = pack([[6, 4, 7]], 17)
    tokens_BT = torch.randint(61, (1, 17))
    first, second = (model(tokens_BT, positions_BT, documents(documents_BT)) for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.isfinite(first).all()


@pytest.mark.parametrize("micro", [1, 2, 3])
def test_gradient_does_not_depend_on_micro_batches(micro):
    """The sum over learned tokens by their global count, with unequal counts in each slice."""
    model = make(tiny(), spread=0.1)
    rows = [[20], [3, 2, 9], [5, 5], [1, 2, 3, 4], [18], [2, 2]]
    documents_BT, positions_BT = pack(rows, 20)
    tokens_BT = torch.randint(61, (6, 20))
    targets_BT = torch.randint(61, (6, 20)).masked_fill(torch.rand(6, 20) < 0.4, -100)
    targets_BT = targets_BT.masked_fill(documents_BT < 0, -100)
    targets_BT[4] = -100
    learned = (targets_BT != -100).sum()

    def gradient(size: int) -> torch.Tensor:
        model.zero_grad()
        for a in range(0, 6, size):
            part = slice(a, a + size)
            hidden = model(tokens_BT[part], positions_BT[part], documents(documents_BT[part]))
            loss = chunked_cross_entropy(
                hidden.flatten(0, 1), model.head_weight_VC, targets_BT[part].flatten(), chunk=7
            )
            (loss / learned).backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    whole, sliced = gradient(6), gradient(micro)
    assert (whole - sliced).norm() / whole.norm() < 1e-6
    hidden = model(tokens_BT, positions_BT, documents(documents_BT))
    model.zero_grad()
    F.cross_entropy(model.logits(hidden).flatten(0, 1), targets_BT.flatten()).backward()
    mean = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    assert (whole - mean).norm() / whole.norm() < 1e-6
